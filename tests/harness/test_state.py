"""Fold's laws, on sessions that chance has made: hypothesis drives a session by hand.

Whatever comes in whatever order: the plan always says something and stops writing, the request is
always valid, every prefix of the log folds, and the kept state is the fold of the log.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentstead.errors import ProviderFault
from agentstead.harness.state import HANDLERS, INERT, fold_all
from agentstead.harness.steps import CallModel, CancelTools, RunTools, ServerCall, Wait
from agentstead.providers.provider import ModelRequest
from agentstead.testing.request_check import request_faults
from agentstead.testing.script import thinking, use
from agentstead.wire.events.stored import Draft, Event
from tests.harness.talk import CHILD_ID, PRIMARY, Talk
from tests.simulation.order import complaints

NAMES = ("bash", "read", "write", "edit", "glob", "lookup", "nothing")
blocks = st.lists(
    st.one_of(
        st.sampled_from(["Hello.", " ", "I look."]),
        st.builds(lambda name: use(name, n=1), st.sampled_from(NAMES)),
        st.just(thinking("Hm.", "sig")),
    ),
    max_size=5,
)
doings = st.lists(
    st.one_of(
        st.tuples(
            st.just("answer"), blocks, st.sampled_from([None, None, "refusal", "max_tokens"])
        ),
        st.tuples(st.just("fail"), st.sampled_from(["overloaded", "cut", "billing"])),
        st.tuples(st.just("message"), st.sampled_from(["more", " "])),
        st.tuples(st.just("interrupt"), st.sampled_from([None, PRIMARY, CHILD_ID])),
        st.tuples(st.just("reply"), st.integers(0, 5), st.sampled_from(["allow", "deny"])),
        st.tuples(st.just("result"), st.integers(0, 5), st.sampled_from(["ok", ""])),
        st.tuples(st.just("time")),
    ),
    max_size=25,
)


def do(talk: Talk, doing) -> None:
    """One thing happens, when it can."""
    kind, *rest = doing
    steps = [step for step in talk.steps() if not isinstance(step, Wait)]
    models = [step for step in steps if isinstance(step, CallModel)]
    if kind == "answer" and models:
        content, stop_reason = rest
        talk.answer(*content, thread_id=models[0].thread_id, stop_reason=stop_reason)
    elif kind == "fail" and models:
        fault = ProviderFault("no", kind=rest[0], retryable=rest[0] != "billing")
        talk.fails(fault, models[-1].thread_id)
    elif kind == "message" and (talk.state.status != "idle" or not waiting_for_client(talk)):
        talk.message(rest[0])
    elif kind == "interrupt":
        talk.interrupt(rest[0] if rest[0] in talk.state.threads else None)
    elif kind == "reply":
        reply(talk, *rest)
    elif kind == "result":
        happen(talk, steps, *rest)
    elif kind == "time":
        talk.clock.at += 40


def waiting_for_client(talk: Talk) -> bool:
    """Whether the door would refuse a message."""
    return any(each.blocking for each in talk.state.threads.values())


def reply(talk: Talk, which: int, verdict: str) -> None:
    """The client answers one of the calls that wait for it."""
    waiting = [entry for each in talk.state.threads.values() for entry in each.blocking]
    if waiting:
        call = waiting[which % len(waiting)].call
        if call.kind == "custom":
            talk.custom(call.id)
        else:
            talk.confirm(call.id, verdict)


def happen(talk: Talk, steps, which: int, text: str) -> None:
    """A running call ends, or calls have been cancelled."""
    for step in steps:
        if isinstance(step, CancelTools):
            talk.cancelled(step.thread_id)
            return
        if isinstance(step, RunTools):
            talk.result(step.calls[which % len(step.calls)].id, text)
            return


@settings(deadline=None, max_examples=150)
@given(doings, st.booleans(), st.sampled_from(["begin", " "]))
def test_whatever_happens(what, child, words):
    talk = Talk(child=child)
    talk.message(words)
    talk.settle()
    for doing in what:
        do(talk, doing)
        steps = talk.settle()
        assert steps, "the plan says something"
        for step in steps:
            if isinstance(step, CallModel):
                prompt = talk.request(step.thread_id)
                faults = request_faults(
                    ModelRequest("m", prompt.system, prompt.messages, prompt.tools, 100)
                )
                assert not faults, (faults, prompt.messages)
    folded = talk.folded()
    assert folded.with_inbox(talk.state.inbox) == talk.state
    for count in range(len(talk.events)):
        assert fold_all(talk.folded(count), talk.events[count:]) == folded
    said = [each for each in complaints(PRIMARY, talk.events) if "has no end" not in each]
    assert said == [], "and what is still going on may be unfinished"


def test_every_known_type_is_folded_or_inert():
    assert not set(HANDLERS) & INERT


def test_an_unknown_type_is_refused():
    talk = Talk()
    event = Event("sevt_x", "agent.dream", PRIMARY, {}, 0.0)
    with pytest.raises(AssertionError, match=r"does not know agent\.dream"):
        fold_all(talk.state, [event])


def test_usage_adds_up_over_threads_and_time():
    talk = Talk(child=True)
    talk.message("begin")
    talk.settle()
    talk.clock.at += 5
    talk.answer("Done.")
    talk.clock.at += 2
    talk.answer("My part.", thread_id=CHILD_ID)
    usage = next(e for e in reversed(talk.events) if e.type == "session.usage").payload["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (20, 10)
    assert usage["active_seconds"] == 7.0
    assert talk.state.threads[PRIMARY].active_seconds == 5.0
    assert talk.state.threads[CHILD_ID].usage["input_tokens"] == 10


def test_a_change_of_the_agent_applies_to_the_primary_thread():
    talk = Talk()
    agent = {**talk.state.agent, "name": "renamed"}
    payload = {"id": "sevt_u", "type": "session.updated", "agent": agent}
    talk.append(Event("sevt_u", "session.updated", PRIMARY, payload, talk.clock.now()))
    assert talk.state.primary.name == "renamed"


def test_a_change_of_the_session_is_not_followed_by_another_idle():
    talk = Talk()
    talk.message("begin")
    talk.settle()
    talk.answer("Done.")
    before = len(talk.events)
    payload = {"id": "sevt_u", "type": "session.updated", "title": "t"}
    talk.append(Event("sevt_u", "session.updated", PRIMARY, payload, talk.clock.now()))
    talk.queue("system.message", content=[{"type": "text", "text": "Later."}])
    assert talk.settle() == (Wait("idle"),)
    assert talk.types(before) == ["updated"]


def server_use(talk: Talk, *, permission: str = "allow") -> str:
    """A call of an MCP server's tool, as a worker writes it down."""
    fields = {
        "name": "send/it", "mcp_server_name": "docs", "input": {"n": 1},
        "evaluated_permission": permission,
    }  # fmt: skip
    private = {
        "provider_id": "toolu_9", "shown": "mcp__docs__send_it_1", "url": "https://docs.example/",
        "repeatable": False,
    }  # fmt: skip
    talk.write(Draft("agent.mcp_tool_use", PRIMARY, fields, private))
    return talk.events[-1].id


def test_a_servers_tool_keeps_the_name_by_which_the_model_called_it() -> None:
    talk = Talk()
    talk.message("begin")
    talk.settle()
    call_id = server_use(talk)
    layout = [{"type": "tool_use", "call_index": 0}]
    private = {"layout": layout, "usage": {}, "stop_reason": "tool_use", "stop_details": None}
    fields = {"model_request_start_id": "sevt_2", "is_error": False, "model_usage": {}}
    talk.write(Draft("span.model_request_end", PRIMARY, fields, private))
    entry = talk.state.primary.find(call_id)
    assert entry is not None
    assert (entry.call.kind, entry.call.name, entry.call.shown) == (
        "mcp", "send/it", "mcp__docs__send_it_1",
    )  # fmt: skip
    assert entry.call.server == ServerCall(
        "docs", "https://docs.example/", "mcp__docs__send_it_1", repeatable=False
    )
    (block,) = talk.state.primary.transcript[-1].blocks
    assert (block["name"], block["id"]) == ("mcp__docs__send_it_1", "toolu_9")


def test_a_trouble_is_remembered_until_the_session_is_idle() -> None:
    talk = Talk()
    talk.message("begin")
    talk.settle()
    error = {"type": "mcp_connection_failed_error", "message": "x", "retry_status": {}}
    talk.write(Draft("session.error", PRIMARY, {"error": error}, {"told": "mcp docs"}))
    assert talk.state.told == {"mcp docs"}
    talk.answer("Done.")
    talk.settle()
    assert talk.state.status == "idle"
    assert talk.state.told == frozenset()
