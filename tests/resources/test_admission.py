"""Which input is legal now, by example."""

from typing import Any

import pytest

from agentstead.errors import Invalid
from agentstead.log.log import Ask, CallFacts, Decision, Desk
from agentstead.resources.admission import Sent, admit, call_ids
from agentstead.wire.events.params import Send
from agentstead.wire.shape import canonical, parse

MAIN = "sthr_main"
AT = 1_700_000_000.0
NOW = "2023-11-14T22:13:20.000000Z"
MESSAGE = {"type": "user.message", "content": [{"type": "text", "text": "hi"}]}
INTERRUPT = {"type": "user.interrupt"}
SYSTEM = {"type": "system.message", "content": [{"type": "text", "text": "be brief"}]}


def allow(call_id: str, **more: Any) -> dict[str, Any]:
    return {"type": "user.tool_confirmation", "tool_use_id": call_id, "result": "allow", **more}


def result(call_id: str, **more: Any) -> dict[str, Any]:
    return {"type": "user.custom_tool_result", "custom_tool_use_id": call_id, **more}


def desk(
    status: str = "idle", reason: str | None = None, *, waits: tuple[str, ...] = (), **more: Any
) -> Desk:
    """A session with these open asks: confirmations, custom tools, and tools that a worker runs.

    `hosted`: on a self-hosted environment.
    """
    calls = {
        "sevt_ask1": ("agent.tool_use", "ask", "bash"),
        "sevt_ask2": ("agent.tool_use", "ask", "write"),
        "sevt_own1": ("agent.custom_tool_use", None, "lookup"),
        "sevt_run1": ("agent.tool_use", "allow", "bash"),
        "sevt_run2": ("agent.tool_use", "allow", "read"),
        "sevt_done": ("agent.tool_use", "ask", "bash"),
        "sevt_ran": ("agent.tool_use", "allow", "bash"),
        "sevt_web": ("agent.tool_use", "allow", "web_fetch"),
    }
    kinds = {"own": "custom", "run": "tool"}
    waiting = {name: kinds.get(name[5:8], "confirmation") for name in waits}
    hosted = more.pop("hosted", False)
    facts: dict[str, Any] = {
        "session_id": "sesn_1",
        "workspace_id": "wrkspc_1",
        "status": status,
        "stop_reason": None if reason is None else {"type": reason},
        "archived": False,
        "primary_thread_id": MAIN,
        "threads": {MAIN: "idle", "sthr_over": "terminated"},
        "calls": {
            name: CallFacts(name, kind, tool, permission, MAIN, waiting.get(name))
            for name, (kind, permission, tool) in calls.items()
        },
        "open_asks": tuple(
            Ask(name, kind, MAIN, kind == "confirmation" and hosted)
            for name, kind in waiting.items()
        ),
        "environment": {"config": {"type": "self_hosted" if hosted else "cloud"}},
        **more,
    }
    return Desk(**facts)


def waiting(*calls: str, **more: Any) -> Desk:
    return desk("idle", "requires_action", waits=calls, **more)


def ran(call_id: str, **more: Any) -> dict[str, Any]:
    return {"type": "user.tool_result", "tool_use_id": call_id, **more}


def decide(at: Desk, *events: dict[str, Any], system_allowed: bool = True) -> Decision:
    body = parse(Send, canonical({"events": list(events)}).encode())
    sent = [
        Sent(one, f"sevt_new{place}", f"events.{place}") for place, one in enumerate(body.events)
    ]
    return admit(sent, AT, system_allowed=system_allowed)(at)


def refusal(at: Desk, *events: dict[str, Any], **more: Any) -> str:
    with pytest.raises(Invalid) as caught:
        decide(at, *events, **more)
    return caught.value.message


def queued(decision: Decision) -> list[str]:
    return [incoming.type for incoming in decision.queue]


# wire §7.1: null while queued.
def test_a_message_starts_work_on_an_idle_session() -> None:
    decision = decide(desk(), MESSAGE)
    assert decision.starts_work
    assert decision.echoes == ({"id": "sevt_new0", **MESSAGE, "processed_at": None},)
    assert decision.queue[0].payload == decision.echoes[0]
    assert decision.queue[0].thread_id is None


# wire §5.7: events may be posted while running or rescheduling.
@pytest.mark.parametrize("status", ["running", "rescheduling"])
def test_a_message_queues_while_a_turn_runs(status: str) -> None:
    decision = decide(desk(status), MESSAGE, MESSAGE)
    assert queued(decision) == ["user.message", "user.message"]
    assert not decision.starts_work


def test_an_ended_session_takes_nothing() -> None:
    assert refusal(desk("terminated"), MESSAGE) == (
        "Session sesn_1 is terminated and takes no more events."
    )
    assert "archived" in refusal(desk("terminated", archived=True), INTERRUPT)


# wire §7.2: 400 while the session is idle on requires_action.
def test_a_message_must_wait_for_answers() -> None:
    said = refusal(waiting("sevt_ask1"), MESSAGE)
    assert said.startswith("events.0: The session waits for answers to sevt_ask1")


def test_one_bad_event_refuses_all() -> None:
    assert refusal(waiting("sevt_ask1", "sevt_ask2"), allow("sevt_ask1"), MESSAGE).startswith(
        "events.1: The session waits for answers to sevt_ask2"
    )


def test_a_message_may_follow_the_last_answer_or_an_interrupt() -> None:
    decision = decide(waiting("sevt_ask1"), allow("sevt_ask1"), MESSAGE)
    assert queued(decision) == ["user.tool_confirmation", "user.message"]
    assert decision.starts_work
    decision = decide(waiting("sevt_ask1"), INTERRUPT, MESSAGE)
    assert queued(decision) == ["user.interrupt", "user.message"]
    assert decision.starts_work


# wire §7.10: partial answers keep the session in requires_action.
def test_only_the_last_answer_starts_work() -> None:
    assert not decide(waiting("sevt_ask1", "sevt_own1"), allow("sevt_ask1")).starts_work
    both = decide(waiting("sevt_ask1", "sevt_own1"), allow("sevt_ask1"), result("sevt_own1"))
    assert both.starts_work
    assert queued(both) == ["user.tool_confirmation", "user.custom_tool_result"]


# wire §7.2: a custom result may precede the idle event; §7.1: it is settled on receipt.
def test_an_answer_may_come_before_the_idle() -> None:
    decision = decide(desk("running", waits=("sevt_own1",)), result("sevt_own1", is_error=True))
    assert decision.echoes[0] == {
        "id": "sevt_new0", "type": "user.custom_tool_result", "custom_tool_use_id": "sevt_own1",
        "content": [], "is_error": True, "session_thread_id": None, "processed_at": NOW,
    }  # fmt: skip
    assert decision.queue[0].thread_id == MAIN


# clients rules 5 and 8: duplicates and late answers succeed and leave nothing behind.
@pytest.mark.parametrize("event", [allow("sevt_done"), allow("sevt_done", session_thread_id="x")])
def test_a_late_confirmation_has_no_effect(event: Any) -> None:
    for at in (desk(), desk("running"), waiting("sevt_ask1")):
        decision = decide(at, event)
        assert decision.queue == ()
        assert not decision.starts_work
        assert decision.echoes[0]["processed_at"] == NOW
        assert decision.echoes[0]["tool_use_id"] == "sevt_done"


def test_a_second_answer_in_one_request_has_no_effect() -> None:
    decision = decide(waiting("sevt_own1"), result("sevt_own1"), result("sevt_own1"))
    assert len(decision.queue) == 1
    assert len(decision.echoes) == 2
    assert decision.starts_work


def test_an_answer_after_an_interrupt_is_late() -> None:
    decision = decide(waiting("sevt_ask1"), INTERRUPT, allow("sevt_ask1"))
    assert queued(decision) == ["user.interrupt"]


# wire §7.2: the target must be a call whose permission is ask.
def test_a_confirmation_needs_an_ask() -> None:
    assert refusal(desk("running"), allow("sevt_ran")).startswith(
        "events.0.tool_use_id: sevt_ran does not ask"
    )
    assert "custom tool" in refusal(waiting("sevt_own1"), allow("sevt_own1"))
    assert refusal(desk(), allow("sevt_none")).startswith("events.0.tool_use_id: There is no")
    assert "not a custom tool" in refusal(waiting("sevt_ask1"), result("sevt_ask1"))


def test_a_denial_is_echoed_with_its_reason() -> None:
    event = {**allow("sevt_ask1"), "result": "deny", "deny_message": "no"}
    assert decide(waiting("sevt_ask1"), event).echoes[0] == {
        "id": "sevt_new0", "type": "user.tool_confirmation", "tool_use_id": "sevt_ask1",
        "result": "deny", "deny_message": "no", "session_thread_id": None, "processed_at": None,
    }  # fmt: skip


# clients rule 5: a no-effect interrupt on an idle session adds nothing.
def test_an_interrupt_needs_something_to_interrupt() -> None:
    decision = decide(desk("idle", "end_turn"), INTERRUPT)
    assert decision.queue == ()
    assert decision.echoes[0]["processed_at"] == NOW
    assert queued(decide(desk("running"), INTERRUPT)) == ["user.interrupt"]
    assert decide(waiting("sevt_ask1"), INTERRUPT).starts_work
    assert queued(decide(desk(), MESSAGE, INTERRUPT)) == ["user.message", "user.interrupt"]


def test_an_interrupt_names_a_thread_that_is_there() -> None:
    here = {**INTERRUPT, "session_thread_id": MAIN}
    assert decide(desk("running"), here).queue[0].thread_id == MAIN
    for thread in ("sthr_none", "sthr_over"):
        said = refusal(desk("running"), {**INTERRUPT, "session_thread_id": thread})
        assert said.startswith("events.0.session_thread_id")


# wire §7.2: only on self_hosted environments.
def test_a_tool_result_needs_a_self_hosted_environment() -> None:
    event = {"type": "user.tool_result", "tool_use_id": "sevt_ask1"}
    assert refusal(waiting("sevt_ask1"), event).startswith(
        "events.0.type: user.tool_result is only"
    )


# work queue §1.7: results of a self-hosted worker, one at a time.
def test_a_workers_results_resolve_one_call_after_the_other() -> None:
    at = waiting("sevt_run1", "sevt_run2", hosted=True)
    content = [{"type": "text", "text": "ok"}]
    first = decide(at, ran("sevt_run1", content=content, is_error=False))
    assert queued(first) == ["user.tool_result"]
    assert not first.starts_work
    assert first.echoes[0] == {
        "id": "sevt_new0", "type": "user.tool_result", "tool_use_id": "sevt_run1",
        "content": content, "is_error": False, "session_thread_id": None, "processed_at": NOW,
    }  # fmt: skip
    assert decide(at, ran("sevt_run1"), ran("sevt_run2")).starts_work


# wire, trap 41: resent results are no-ops.
def test_a_workers_second_result_has_no_effect() -> None:
    at = waiting("sevt_run1", "sevt_run2", hosted=True)
    assert queued(decide(at, ran("sevt_run1"), ran("sevt_run1"))) == ["user.tool_result"]
    assert queued(decide(at, ran("sevt_ran"))) == []
    assert queued(decide(at, INTERRUPT, ran("sevt_run1"))) == ["user.interrupt"]


# wire §7.10: the confirmation comes first, and a deny needs no worker.
def test_a_worker_waits_for_the_confirmation() -> None:
    at = waiting("sevt_ask1", hosted=True)
    assert "waits for a user.tool_confirmation first" in refusal(at, ran("sevt_ask1"))
    allowed = decide(at, allow("sevt_ask1"))
    assert queued(allowed) == ["user.tool_confirmation"]
    assert not allowed.starts_work
    both = decide(at, allow("sevt_ask1"), ran("sevt_ask1"))
    assert queued(both) == ["user.tool_confirmation", "user.tool_result"]
    assert both.starts_work
    assert queued(decide(at, allow("sevt_ask1"), allow("sevt_ask1"))) == ["user.tool_confirmation"]
    denied = decide(at, {**allow("sevt_ask1"), "result": "deny"}, ran("sevt_ask1"))
    assert queued(denied) == ["user.tool_confirmation"]
    assert denied.starts_work
    assert "waits for answers" in refusal(at, allow("sevt_ask1"), MESSAGE)


@pytest.mark.parametrize(
    ("call", "why"),
    [("sevt_web", "the platform runs it"), ("sevt_own1", "user.custom_tool_result")],
)
def test_a_worker_answers_only_for_its_own_tools(call: str, why: str) -> None:
    assert why in refusal(waiting("sevt_run1", hosted=True), ran(call))


def test_outcomes_are_refused_by_name() -> None:
    event = {"type": "user.define_outcome", "description": "d",
             "rubric": {"type": "text", "content": "r"}}  # fmt: skip
    assert refusal(desk(), event) == "events.0.type: Outcomes are not available on this server yet."
    assert refusal(desk(), {**event, "max_iterations": 21}).startswith("events.0.max_iterations")


# wire §7.2: where a system.message may stand.
def test_a_system_message_comes_last_and_after_the_right_event() -> None:
    assert queued(decide(desk(), MESSAGE, SYSTEM)) == ["user.message", "system.message"]
    assert queued(decide(waiting("sevt_own1"), result("sevt_own1"), SYSTEM)) == [
        "user.custom_tool_result", "system.message",
    ]  # fmt: skip
    assert "last event" in refusal(desk(), SYSTEM, MESSAGE)
    assert "At most one" in refusal(desk(), MESSAGE, SYSTEM, SYSTEM) or "last event" in refusal(
        desk(), MESSAGE, SYSTEM, SYSTEM
    )
    assert "directly follow" in refusal(waiting("sevt_ask1"), allow("sevt_ask1"), SYSTEM)
    assert "waits for answers" in refusal(waiting("sevt_ask1"), SYSTEM)


def test_a_system_message_alone_starts_no_turn() -> None:
    decision = decide(desk(), SYSTEM)
    assert queued(decision) == ["system.message"]
    assert not decision.starts_work


def test_a_model_may_not_take_system_messages() -> None:
    body = parse(Send, canonical({"events": [SYSTEM]}).encode())
    with pytest.raises(Invalid) as caught:
        admit([Sent(body.events[0], "sevt_1", "events.0")], AT, system_allowed=False)(desk())
    assert caught.value.code == "model_does_not_support_mid_conversation_system"


def test_the_calls_to_look_up_are_named_once() -> None:
    events = [allow("a"), allow("a"), result("b"), MESSAGE]
    body = parse(Send, canonical({"events": events}).encode())
    assert call_ids([Sent(one, "i", "p") for one in body.events]) == ("a", "b")


def capped(status: str, reason: str | None, *waits: str, cost: int | None = 10**10) -> Desk:
    """A desk at a cap of one cent."""
    money = {"amount": "1", "currency": "USD"}
    budget = {"type": "limit", "max_list_cost": money}
    return desk(status, reason, waits=waits, budget=budget, list_cost=cost)


# wire §5.4: at the cap only answers and interrupts.
@pytest.mark.parametrize("cost", [10**10, 10**12, None])
def test_at_the_cap_nothing_that_starts_work_is_taken(cost: int | None) -> None:
    for status, reason in (("idle", "budget_reached"), ("idle", "end_turn"), ("running", None)):
        at = capped(status, reason, cost=cost)
        for events in ((MESSAGE,), (SYSTEM,), (INTERRUPT, MESSAGE)):
            said = refusal(at, *events)
            assert said.startswith(f"events.{len(events) - 1}.type: The session has used up")
            assert "user.tool_confirmation, user.tool_result, user.custom_tool_result" in said
    assert queued(decide(capped("idle", "end_turn", cost=10**10 - 1), MESSAGE)) == ["user.message"]


def test_answers_are_taken_at_the_cap() -> None:
    at = capped("idle", "requires_action", "sevt_ask1", "sevt_own1")
    decision = decide(at, allow("sevt_ask1"), result("sevt_own1"))
    assert queued(decision) == ["user.tool_confirmation", "user.custom_tool_result"]
    assert decision.starts_work
    assert queued(decide(at, INTERRUPT)) == ["user.interrupt"]


def test_an_interrupt_of_a_paused_session_leaves_no_trace() -> None:
    decision = decide(capped("idle", "budget_reached"), INTERRUPT)
    assert decision.queue == ()
    assert not decision.starts_work
    assert decision.echoes[0]["processed_at"] == NOW
