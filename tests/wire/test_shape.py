"""The base shape: refusals by path, omitted against null, metadata patches."""

import json

import pytest

from agentstead.errors import Invalid
from agentstead.wire.agent import AgentUpdate
from agentstead.wire.events.params import Send
from agentstead.wire.shape import canonical, parse, patch_metadata


def refusal(body: object) -> str:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(Invalid) as caught:
        parse(Send, text)
    return caught.value.message


def message(*blocks: object) -> dict[str, object]:
    return {"events": [{"type": "user.message", "content": list(blocks)}]}


# wire §1.5: messages begin with the path of the field at fault.
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "events: Field required."),
        ({"events": [{"type": "nope"}]}, "events.0.type: Expected one of"),
        ({"events": [{}]}, "events.0.type: Expected one of"),
        ({"events": ["x"]}, "events.0.type: Expected one of"),
        (message({"type": "text"}), "events.0.content.0.text: Field required."),
        (message({"type": "text", "text": 5}), "events.0.content.0.text: Input should be a valid"),
        (message({"type": "text", "text": "a", "x": 1}), "events.0.content.0.x: Extra inputs"),
        (message({"type": "text", "text": "  "}), "events.0.content.0.text: Must not be blank."),
        (message({"type": "text", "text": "\x00"}), "events.0.content.0.text: The NUL character"),
        (message({"type": "redacted"}), "events.0.content.0: A message cannot hold redacted"),
        (message({"type": "image", "source": {"type": "url", "url": "file:///etc/passwd"}}),
         "events.0.content.0.source.url: Must be an http or https URL."),
        ({"events": [], "more": 1}, "events: Should have at least 1 item"),
        ({"events": "x"}, "events: Input should be a valid list."),
        ([1], "The request body is wrong: Input should be an object."),
    ],
)  # fmt: skip
def test_the_first_fault_is_named_by_its_path(body: object, said: str) -> None:
    assert refusal(body).startswith(said)


# Bad input: broken JSON is a refusal, whatever is broken about it.
@pytest.mark.parametrize(
    "body",
    [b"nope", b"{", b"\xff", b'{"a":NaN}', b"[" * 5000, b'{"a":"\\ud800"}', b'{"events":1e999}'],
)
def test_broken_json_is_refused(body: bytes) -> None:
    assert refusal(body)


# "omitted keeps, null clears" is model_fields_set.
def test_given_tells_omitted_from_null() -> None:
    assert parse(AgentUpdate, b'{"system":null}').given() == {"system": None}
    assert parse(AgentUpdate, b"").given() == {}


def test_no_type_is_coerced() -> None:
    with pytest.raises(Invalid, match=r"^version: Input should be a valid integer"):
        parse(AgentUpdate, b'{"version":"1"}')
    with pytest.raises(Invalid, match=r"^version: Input should be a valid integer"):
        parse(AgentUpdate, b'{"version":true}')


def test_canonical_json_is_one_line_and_finite() -> None:
    assert canonical({"a": "é\n", "b": [1.5, None]}) == '{"a":"é\\n","b":[1.5,null]}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical(float("nan"))


# wire §1.9
def test_a_metadata_patch_upserts_deletes_and_keeps() -> None:
    assert patch_metadata({"a": "1", "b": "2"}, {"a": None, "c": "3"}) == {"b": "2", "c": "3"}
    assert patch_metadata({"a": "1"}, None) == {"a": "1"}
    assert patch_metadata({"a": "1"}, {"a": ""}) == {"a": ""}
    assert patch_metadata({"a": "1"}, {"a": ""}, empty_deletes=True) == {}


def test_the_limits_of_metadata_hold_for_the_result() -> None:
    full = {str(number): "x" for number in range(16)}
    with pytest.raises(Invalid, match=r"^metadata: At most 16 pairs") as caught:
        patch_metadata(full, {"more": "x"}, code="invalid_metadata")
    assert caught.value.code == "invalid_metadata"
    assert len(patch_metadata(full, {"0": None, "more": "x"})) == 16
    for bad in ({"k" * 65: "v"}, {"": "v"}, {"k": "v" * 513}, {"k": 1}):
        with pytest.raises(Invalid, match=r"^metadata"):
            parse(AgentUpdate, json.dumps({"metadata": bad}).encode())


def test_a_union_is_described_with_the_schema_of_each_value() -> None:
    described = Send.model_json_schema()
    union = described["properties"]["events"]["items"]
    mapping = union["discriminator"]["mapping"]
    assert set(mapping.values()) == {one["$ref"] for one in union["oneOf"]}
    for value, ref in mapping.items():
        shape = described["$defs"][ref.rpartition("/")[2]]
        assert shape["properties"]["type"]["const"] == value
