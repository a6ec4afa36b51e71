"""Whatever goes wrong with a tool is a result, never the end of a session."""

import pytest

from agentstead.errors import SandboxFault
from agentstead.harness.steps import Call, CancelTools
from agentstead.sandbox.sandbox import Outcome
from agentstead.testing.script import in_turn, say, use
from agentstead.wire.events.stored import Draft
from agentstead.worker.load import from_record
from agentstead.worker.run_tools import cancel_tools, run_tool
from tests.worker.support import PRIMARY, SESSION, Place


async def state_of(place: Place):
    await place.session()
    return from_record(place.world, place.log.sessions[SESSION].record())


def call(name: str = "bash", thread: str = PRIMARY) -> Call:
    return Call("sevt_1", thread, "builtin", name, {"command": "ls"}, "toolu_1")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (
            SandboxFault("The sandbox cannot start: no namespaces", kind="start"),
            "The sandbox could not be started: no namespaces",
        ),
        (SandboxFault("supervisor lost", kind="unknown"), "has not been run again"),
        (SandboxFault("too many processes", kind="limits"), "The tool failed: too many processes"),
    ],
)
async def test_a_fault_of_the_sandbox_is_told_to_the_model(fault, said) -> None:
    async def failing(_):
        raise fault

    place = Place(in_turn([]), run=failing)
    (draft,) = await run_tool(place.world, await state_of(place), call())
    assert draft.type == "agent.tool_result"
    assert draft.fields["tool_use_id"] == "sevt_1"
    assert draft.fields["is_error"] is True
    assert said in draft.fields["content"][0]["text"]


async def test_a_sandbox_that_cannot_start_does_not_end_the_session() -> None:
    async def failing(_):
        raise SandboxFault("bwrap: creating a namespace failed", kind="start")

    place = Place(in_turn([say(use("bash", command="ls")), say("It does not work.")]), run=failing)
    async with place.worker():
        await place.session("go")
        assert (await place.parked()).stop_reason == {"type": "end_turn"}
    (result,) = place.of("agent.tool_result")
    assert "creating a namespace failed" in result.payload["content"][0]["text"]
    assert place.of("session.error") == []


async def test_an_unknown_tool_has_a_result_too() -> None:
    place = Place(in_turn([]))
    (draft,) = await run_tool(place.world, await state_of(place), call("fly"))
    assert draft.fields["is_error"] is True
    assert "fly" in draft.fields["content"][0]["text"]


async def test_a_child_threads_result_stays_on_its_own_log() -> None:
    async def fine(_):
        return Outcome.text("ok")

    place = Place(in_turn([]), run=fine)
    (draft,) = await run_tool(place.world, await state_of(place), call(thread="sthr_child"))
    assert draft.primary is False


async def test_cancelled_calls_are_ended_before_their_results_are_written() -> None:
    place = Place(in_turn([]))
    state = await state_of(place)
    ended: list[str] = []
    cancel = place.world.sandbox.cancel

    async def noted(sandbox_id, call_id):
        ended.append(call_id)
        await cancel(sandbox_id, call_id)

    place.world.sandbox.cancel = noted
    draft = Draft("agent.tool_result", PRIMARY, {"tool_use_id": "sevt_1"})
    step = CancelTools(PRIMARY, (call(),), (draft,))
    assert await cancel_tools(place.world, state, step) == [draft]
    assert ended == ["sevt_1"]
