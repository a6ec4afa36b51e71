"""From a model's stream to the events of a request."""

from dataclasses import replace
from typing import Any

from agentstead.errors import Invalid, ProviderFault
from agentstead.harness.state import fold_all
from agentstead.harness.steps import CallModel
from agentstead.log.log import Lease
from agentstead.providers.provider import Capabilities, TextDelta, TextStart
from agentstead.testing.script import in_turn, say, text, thinking, use
from agentstead.wire.events.stored import Event
from agentstead.worker.call_model import call_model
from agentstead.worker.load import from_record
from tests.worker.support import PRIMARY, SESSION, WORKSPACE, Place

LEASE = Lease(SESSION, WORKSPACE, 1, "w1")


async def asked(place: Place) -> list[Any]:
    """The drafts of one model request on a fresh session with one message."""
    await place.session()
    state = from_record(place.world, place.log.sessions[SESSION].record())
    content = [{"type": "text", "text": "go"}]
    state = fold_all(
        state,
        [
            Event("sevt_1", "user.message", PRIMARY, {"content": content}, 1.0),
            Event("sevt_2", "span.model_request_start", PRIMARY, {}, 1.0),
        ],
    )
    return await call_model(place.world, LEASE, state, CallModel(PRIMARY, "sevt_2"))


async def test_thinking_text_calls_and_end_in_this_order() -> None:
    place = Place(
        in_turn([say(thinking("hm", "sig"), text("Look."), use("bash", command="ls"), text("So."))])
    )
    drafts = await asked(place)
    assert [draft.type for draft in drafts] == [
        "agent.thinking", "agent.message", "agent.tool_use", "span.model_request_end",
    ]  # fmt: skip
    assert [block["text"] for block in drafts[1].fields["content"]] == ["Look.", "So."]
    assert drafts[2].fields["evaluated_permission"] == "allow"
    end = drafts[-1]
    assert end.fields["model_request_start_id"] == "sevt_2"
    assert set(end.fields["model_usage"]) == {
        "input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens",
    }  # fmt: skip
    assert end.private["layout"] == [
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "text", "text_index": 0},
        {"type": "tool_use", "call_index": 0},
        {"type": "text", "text_index": 1},
    ]


async def test_previews_announce_the_events_that_follow() -> None:
    place = Place(in_turn([say(thinking("hm", "sig"), text("Hello there."))]))
    drafts = await asked(place)
    frames = [frame for _, _, frame in place.log.previews]
    starts = [frame["event"] for frame in frames if frame["type"] == "event_start"]
    assert starts == [
        {"type": "agent.thinking", "id": drafts[0].id},
        {"type": "agent.message", "id": drafts[1].id},
    ]
    deltas = [frame["delta"]["content"]["text"] for frame in frames if "delta" in frame]
    assert "".join(deltas) == "Hello there."


async def test_an_answer_of_blanks_is_no_message() -> None:
    drafts = await asked(Place(in_turn([say(text("  "))])))
    assert [draft.type for draft in drafts] == ["span.model_request_end"]
    assert drafts[0].private["layout"] == []


async def test_a_providers_fault_is_written_down() -> None:
    def failing(_):
        raise ProviderFault("busy", kind="overloaded", retryable=True, retry_after=3.0)

    (end,) = await asked(Place(failing))
    assert end.fields["is_error"] is True
    assert end.private == {
        "fault": {"kind": "overloaded", "message": "busy", "retryable": True, "retry_after": 3.0}
    }


class Halting:
    """A provider whose stream stops in mid-answer without an error."""

    name, upstream = "halting", "halting"
    capabilities = Capabilities("Halting", 200_000, 64_000)
    price = None

    @property
    def provider(self) -> Any:
        return self

    def resolve(self, _name: str) -> Any:
        return self

    async def stream(self, _request: Any) -> Any:
        yield TextStart(0)
        yield TextDelta(0, "hal")


async def test_a_stream_without_an_end_is_cut_never_a_short_answer() -> None:
    place = Place(in_turn([]))
    place.world = replace(place.world, models=Halting())
    (end,) = await asked(place)
    assert end.private["fault"]["kind"] == "cut"
    assert end.private["fault"]["retryable"] is True


async def test_a_model_that_is_gone_ends_the_turn_with_its_reason() -> None:
    place = Place(in_turn([]))

    class Gone:
        def resolve(self, name):
            raise Invalid(f"model.id: {name} is not available here.")

    place.world = replace(place.world, models=Gone())
    (end,) = await asked(place)
    assert end.private["fault"]["retryable"] is False
    assert "not available here" in end.private["fault"]["message"]


async def test_what_cannot_fit_is_not_sent() -> None:
    place = Place(in_turn([say("x")]))
    place.script.abilities = Capabilities("Tiny", 100, 50)
    (end,) = await asked(place)
    assert end.private["fault"]["kind"] == "too_long"
    assert place.script.requests == []
