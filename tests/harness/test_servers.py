"""Names that every provider takes, policies of toolsets, and requests that stay valid."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentstead.harness.permission import judge
from agentstead.harness.servers import (
    TOOLS_MAX,
    ServerTool,
    acceptable,
    definition,
    model_name,
    offer,
)

FITS = re.compile(r"mcp__[A-Za-z0-9_-]{1,59}")
OBJECT = {"type": "object"}


def tool(server: str, name: str, schema: Any = OBJECT, **more: Any) -> ServerTool:
    return ServerTool(server, name, more.pop("description", "d"), schema, **more)


def toolset(server: str, *configs: Any, enabled: bool = True, policy: str = "always_ask") -> Any:
    default = {"enabled": enabled, "permission_policy": {"type": policy}}
    return {
        "type": "mcp_toolset", "mcp_server_name": server, "default_config": default,
        "configs": [{**default, **config} for config in configs],
    }  # fmt: skip


def test_a_plain_name_is_kept() -> None:
    assert model_name("docs", "search") == "mcp__docs__search"
    assert model_name("docs", "_search") == "mcp__docs___search"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a", "b__c"), ("a__b", "c")),
        (("a", "_b"), ("a_", "b")),
        (("a b", "c"), ("a_b", "c")),
        (("é", "c"), ("è", "c")),
        (("a", "x" * 128), ("a", "x" * 127)),
        (("s" * 255, "t"), ("s" * 254, "t")),
        (("a", "c.d"), ("a", "c/d")),
    ],
)
def test_names_that_look_alike_stay_apart(one: Any, other: Any) -> None:
    assert model_name(*one) != model_name(*other)


names = st.one_of(
    st.text(min_size=1, max_size=80), st.text("ab_", min_size=1, max_size=6), st.just("x" * 200)
)
pairs = st.tuples(names, names)


@given(pairs, pairs)
def test_every_name_fits_and_is_the_tools_own(one: Any, other: Any) -> None:
    assert FITS.fullmatch(model_name(*one))
    if one != other:
        assert model_name(*one) != model_name(*other)


def test_what_is_enabled_is_offered_and_the_rest_is_known() -> None:
    tools = [toolset("docs", {"name": "drop", "enabled": False})]
    found = offer(tools, [tool("docs", "look"), tool("docs", "drop"), tool("docs", "look")], "abc")
    assert [one["name"] for one in found.definitions] == ["mcp__docs__look"]
    assert set(found.known) == {"mcp__docs__look", "mcp__docs__drop"}
    closed = [toolset("docs", {"name": "look", "enabled": True}, enabled=False)]
    again = offer(closed, [tool("docs", "look"), tool("docs", "drop")], ())
    assert [one["name"] for one in again.definitions] == ["mcp__docs__look"]


def test_what_is_beyond_a_request_is_left_out() -> None:
    listed = [tool("docs", f"t{number}") for number in range(TOOLS_MAX)]
    found = offer([toolset("docs")], listed, "abc")
    assert len(found.definitions) == TOOLS_MAX - 3
    assert found.left_out == ("mcp__docs__t253", "mcp__docs__t254", "mcp__docs__t255")
    assert len(found.known) == TOOLS_MAX


@pytest.mark.parametrize(
    ("policy", "permission"), [("always_ask", "ask"), ("always_allow", "allow"), ("auto", "ask")]
)
def test_a_call_is_judged_by_its_toolset(policy: str, permission: str) -> None:
    tools = [toolset("docs", policy=policy)]
    verdict = judge(tools, (), "mcp__docs__look", tool("docs", "look"))
    assert (verdict.kind, verdict.permission) == ("mcp", permission)
    assert verdict.evaluation is not None
    assert verdict.evaluation["type"] == policy


def test_what_is_not_enabled_is_denied_without_an_evaluation() -> None:
    tools = [toolset("docs", {"name": "drop", "enabled": False})]
    for wanted in (tool("docs", "drop"), tool("other", "look")):
        verdict = judge(tools, (), "x", wanted)
        assert (verdict.kind, verdict.permission, verdict.evaluation) == ("mcp", "deny", None)


@pytest.mark.parametrize(
    "schema",
    [
        {}, {"type": "string"}, {"type": "object", "anyOf": []},
        {"type": "object", "properties": {"a b": {}}}, {"type": "object", "properties": []},
        {"type": "object", "description": "x" * 70_000},
    ],
)  # fmt: skip
def test_a_schema_that_providers_refuse_goes_into_the_words(schema: Any) -> None:
    assert not acceptable(schema)
    made = definition("n", tool("docs", "t", schema, description=""))
    assert made["input_schema"] == {"type": "object"}
    assert made["description"].startswith("t of the server docs.")
    assert "JSON Schema" in made["description"]


def test_a_usual_schema_is_kept() -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {}}}
    assert definition("n", tool("docs", "t", schema))["input_schema"] == schema
