"""What may happen next, choreography by choreography (wire §7.10)."""

import pytest

from agentstead.errors import ProviderFault
from agentstead.harness.drafts import INTERRUPTED
from agentstead.harness.plan import SESSION_RULES, THREAD_RULES
from agentstead.harness.steps import CallModel, CancelTools, RunTools, Wait
from agentstead.providers.provider import Done, Usage
from agentstead.testing.script import use
from tests.harness.talk import CHILD_ID, PRIMARY, Talk

BEGIN = ["user.message", "status_running", "thread_status_running", "span.model_request_start"]
END = ["thread_status_idle", "usage", "status_idle"]


def begun(**more) -> Talk:
    """A session whose first message the model is about to answer."""
    talk = Talk(**more)
    talk.message("begin")
    talk.settle()
    return talk


def stop_reason(talk):
    assert talk.events[-1].type == "session.status_idle"
    return talk.events[-1].payload["stop_reason"]


def listed(talk):
    assert stop_reason(talk)["type"] == "requires_action"
    return stop_reason(talk)["event_ids"]


def test_a_new_session_waits():
    assert Talk().steps() == (Wait("idle"),)


def test_a_turn():
    talk = begun()
    assert talk.types() == BEGIN
    assert talk.steps() == (CallModel(PRIMARY, talk.events[3].id),)
    assert talk.answer("Hello.") == (Wait("idle"),)
    assert talk.types(4) == ["agent.message", "span.model_request_end", *END]
    assert stop_reason(talk) == {"type": "end_turn"}


def test_tools_run_all_at_once_and_the_model_goes_on_when_all_have_results():
    talk = begun()
    (step,) = talk.answer("I look.", use("bash", n=1), use("read", n=2))
    assert [call.name for call in step.calls] == ["bash", "read"]
    one, other = talk.uses()
    (step,) = talk.result(other)
    assert [call.id for call in step.calls] == [one]
    (step,) = talk.result(one)
    assert isinstance(step, CallModel)
    blocks = talk.request().messages[-1]["content"]
    assert [block["tool_use_id"] for block in blocks] == ["toolu_1", "toolu_2"]


def test_an_ask_waits_for_the_client_while_its_sibling_runs():
    talk = begun()
    talk.answer(use("write", n=1), use("bash", n=2))
    ask, allowed = talk.uses()
    assert talk.result(allowed) == (Wait("client"),)
    assert talk.types()[-3:] == END
    assert listed(talk) == [ask]
    talk.confirm(ask)
    (step,) = talk.settle()
    assert isinstance(step, RunTools)
    assert talk.types()[-3:] == [
        "user.tool_confirmation",
        "status_running",
        "thread_status_running",
    ]


def test_an_answer_before_the_idle_is_taken_and_no_idle_comes():
    talk = begun()
    talk.answer(use("write", n=1), use("bash", n=2))
    ask, allowed = talk.uses()
    talk.confirm(ask)
    (step,) = talk.settle()
    assert {call.id for call in step.calls} == {ask, allowed}
    assert "status_idle" not in talk.types()


def test_a_partial_answer_is_followed_by_the_rest():
    talk = begun()
    talk.answer(use("write", n=1), use("lookup", n=2), use("edit", n=3))
    one, two, three = talk.uses()
    assert listed(talk) == [one, two, three]
    talk.custom(two)
    assert talk.settle() == (Wait("client"),)
    assert listed(talk) == [one, three]
    talk.confirm(one)
    talk.settle()
    assert listed(talk) == [three]
    talk.confirm(three, "deny")
    (step,) = talk.settle()
    assert [call.id for call in step.calls] == [one]


def test_a_denial_is_an_error_result_with_the_clients_words():
    talk = begun()
    talk.answer(use("write", n=1))
    (ask,) = talk.uses()
    talk.queue("user.tool_confirmation", tool_use_id=ask, result="deny", deny_message="Not now.")
    (step,) = talk.settle()
    assert isinstance(step, CallModel)
    result = next(event for event in talk.events if event.type == "agent.tool_result")
    assert result.payload["is_error"]
    assert result.payload["content"] == [{"type": "text", "text": "Not now."}]


def test_what_is_not_enabled_or_unknown_is_refused_without_asking():
    talk = begun()
    (step,) = talk.answer(use("glob", n=1), use("nothing", n=2))
    assert isinstance(step, CallModel)
    texts = [
        event.payload["content"][0]["text"]
        for event in talk.events
        if event.type == "agent.tool_result"
    ]
    assert texts == [
        "Permission to use glob has been denied.",
        "There is no tool named nothing here, or it is not enabled.",
    ]


def test_messages_wait_for_results_and_are_answered_in_the_same_turn():
    talk = begun()
    talk.answer(use("bash", n=1))
    talk.message("and this")
    (step,) = talk.settle()
    assert isinstance(step, RunTools)
    talk.result(talk.uses()[0])
    assert talk.types()[-3:] == [
        "agent.tool_result",
        "user.message",
        "span.model_request_start",
    ]
    talk.message("and that")
    talk.answer("Yes.")
    assert "status_idle" not in talk.types()


def test_an_interrupt_stops_the_request():
    talk = begun()
    talk.interrupt()
    assert talk.settle() == (Wait("idle"),)
    assert talk.types(4) == ["user.interrupt", "span.model_request_end", *END]
    assert talk.events[5].payload["is_error"] is None
    assert stop_reason(talk) == {"type": "end_turn"}


def test_an_interrupt_ends_running_calls_first_and_the_others_then():
    talk = begun()
    talk.answer(use("bash", n=1), use("write", n=2), use("lookup", n=3))
    running, ask, custom = talk.uses()
    talk.interrupt()
    (step,) = talk.settle()
    assert isinstance(step, CancelTools)
    assert [call.id for call in step.calls] == [running]
    assert talk.cancelled() == (Wait("idle"),)
    results = [event.payload for event in talk.events if event.type == "agent.tool_result"]
    assert [each["tool_use_id"] for each in results] == [running, ask, custom]
    assert {each["content"][0]["text"] for each in results} == {INTERRUPTED}
    assert stop_reason(talk) == {"type": "end_turn"}


def test_an_answer_during_an_interrupt_is_the_only_result():
    talk = begun()
    talk.answer(use("bash", n=1), use("lookup", n=2))
    custom = talk.uses()[1]
    talk.interrupt()
    talk.settle()
    talk.custom(custom)
    talk.cancelled()
    answers = [e.type for e in talk.events if custom in e.payload.values() and e.id != custom]
    assert answers == ["user.custom_tool_result"]


def test_a_message_queued_behind_an_interrupt_goes_on_at_once():
    talk = begun()
    talk.interrupt()
    talk.message("instead")
    (step,) = talk.settle()
    assert isinstance(step, CallModel)
    assert talk.types(4) == [
        "user.interrupt",
        "span.model_request_end",
        "user.message",
        "span.model_request_start",
    ]


def test_an_interrupt_while_waiting_for_the_client_ends_the_turn_without_the_model():
    talk = begun()
    talk.answer(use("write", n=1))
    before = len(talk.events)
    talk.interrupt()
    talk.settle()
    assert talk.types(before) == ["user.interrupt", "agent.tool_result", *END]
    assert stop_reason(talk) == {"type": "end_turn"}


OVERLOADED = ProviderFault("too busy", kind="overloaded", retryable=True)


async def test_a_retry_waits_then_runs_again():
    talk = begun()
    (wait,) = talk.fails(OVERLOADED)
    assert talk.types(4) == [
        "span.model_request_end",
        "error",
        "status_rescheduled",
        "thread_status_rescheduled",
    ]
    assert wait.reason == "retry"
    assert 0.25 <= wait.wake_at - talk.clock.now() <= 0.5
    await talk.clock.advance(1)
    (step,) = talk.settle()
    assert isinstance(step, CallModel)
    assert talk.types(8) == [
        "status_running",
        "thread_status_running",
        "span.model_request_start",
    ]


async def test_retries_end_with_a_reason_and_the_next_message_starts_afresh():
    talk = begun()
    for _ in range(talk.state.retry.retries_max):
        talk.fails(OVERLOADED)
        await talk.clock.advance(60)
    assert talk.fails(OVERLOADED) == (Wait("idle"),)
    assert stop_reason(talk) == {"type": "retries_exhausted"}
    error = [event for event in talk.events if event.type == "session.error"][-1]
    assert error.payload["error"]["retry_status"] == {"type": "exhausted"}
    talk.message("once more")
    (step,) = talk.settle()
    assert isinstance(step, CallModel)


def test_what_cannot_be_retried_ends_at_once():
    talk = begun()
    talk.fails(ProviderFault("pay first", kind="billing"))
    assert stop_reason(talk) == {"type": "retries_exhausted"}
    assert [e.payload["error"]["type"] for e in talk.events if e.type == "session.error"] == [
        "billing_error"
    ]


async def test_an_interrupt_ends_a_wait_for_a_retry():
    talk = begun()
    talk.fails(OVERLOADED)
    talk.interrupt()
    assert talk.settle() == (Wait("idle"),)
    assert stop_reason(talk) == {"type": "end_turn"}


def test_a_refusal_ends_the_turn_with_its_details():
    talk = begun()
    details = {"type": "refusal", "category": None, "explanation": "No."}
    talk.answer(stop_reason="refusal", stop_details=details)
    assert stop_reason(talk) == {"type": "refusal"}
    assert talk.events[-1].payload["stop_details"] == details


def test_a_message_queued_behind_a_refusal_is_answered():
    talk = begun()
    talk.message("then this")
    (step,) = talk.answer(stop_reason="refusal")
    assert isinstance(step, CallModel)


def test_a_full_context_says_so():
    talk = begun()
    talk.answer(stop_reason="context_window")
    assert stop_reason(talk) == {"type": "retries_exhausted"}
    error = next(event for event in talk.events if event.type == "session.error")
    assert error.payload["error"]["type"] == "compaction_limit_reached_error"


def test_workers_that_die_again_and_again_stop_the_session_with_a_reason():
    talk = Talk(attempts=99)
    talk.message("begin")
    talk.state = talk.folded().with_inbox(talk.state.inbox)
    talk.settle()
    assert stop_reason(talk) == {"type": "retries_exhausted"}
    assert talk.events[-4].payload["error"]["type"] == "unknown_error"


# Two threads


def test_two_threads_work_at_once_and_the_session_idles_once():
    talk = begun(child=True)
    assert {step.thread_id for step in talk.steps()} == {PRIMARY, CHILD_ID}
    talk.answer("Done.")
    assert talk.types()[-1] == "thread_status_idle"
    talk.answer("My part.", thread_id=CHILD_ID)
    assert talk.types()[-3:] == END
    assert talk.types().count("status_idle") == 1


def test_the_session_lists_the_asks_of_all_threads_in_the_order_of_the_log():
    talk = begun(child=True)
    talk.answer(use("write", n=11), thread_id=CHILD_ID)
    talk.answer(use("lookup", n=1))
    child_ask, own = talk.uses(CHILD_ID)[0], talk.uses()[0]
    assert listed(talk) == [child_ask, own]
    use_event = next(event for event in talk.events if event.id == child_ask)
    assert use_event.primary
    assert use_event.payload["session_thread_id"] == CHILD_ID
    talk.confirm(child_ask)
    (step, *_) = talk.settle()
    assert isinstance(step, RunTools)


def test_an_interrupt_of_one_thread_leaves_the_other_alone():
    talk = begun(child=True)
    talk.interrupt(CHILD_ID)
    step, wait = talk.settle()
    assert (step.thread_id, wait) == (PRIMARY, Wait("idle"))
    assert "status_idle" not in talk.types()


def test_an_interrupt_of_all_idles_once():
    talk = begun(child=True)
    talk.answer(use("write", n=1))
    talk.answer(use("write", n=11), thread_id=CHILD_ID)
    before = len(talk.events)
    talk.interrupt()
    talk.settle()
    assert talk.types(before).count("status_idle") == 1
    assert stop_reason(talk) == {"type": "end_turn"}


def test_two_threads_that_stop_together_idle_once():
    """One ends its turn while the other has yet to say what it still waits for."""
    talk = begun(child=True)
    talk.answer(use("write", n=11), use("lookup", n=12), thread_id=CHILD_ID)
    one, other = talk.uses(CHILD_ID)
    talk.confirm(one)
    talk.write(*talk.made(talk.work(CallModel)).drafts(done("Done.")))
    talk.settle()
    assert talk.types().count("status_idle") == 1
    assert listed(talk) == [other]


def done(text):
    return Done(({"type": "text", "text": text},), "end_turn", Usage(), "m")


@pytest.mark.parametrize("rules", [SESSION_RULES, THREAD_RULES])
def test_the_tables_name_their_rules(rules):
    assert all(name == rule.__name__ for name, rule in rules)


# work queue §1: what a self-hosted worker runs


def hosted() -> Talk:
    talk = Talk(environment="self_hosted")
    talk.message("begin")
    talk.settle()
    return talk


def test_a_workers_calls_are_never_run_here():
    talk = hosted()
    assert talk.answer(use("bash", n=1), use("read", n=2)) == (Wait("client"),)
    bash, read = talk.uses()
    assert listed(talk) == [bash, read]
    talk.ran(bash)
    assert talk.settle() == (Wait("client"),)
    assert listed(talk) == [read]
    talk.ran(read)
    (step,) = talk.settle()
    assert isinstance(step, CallModel)
    assert talk.request().messages[-1]["content"][0]["content"][0]["text"] == "done there"


def test_a_worker_waits_for_the_confirmation_and_is_told_again():
    talk = hosted()
    talk.answer(use("write", n=1))
    (write,) = talk.uses()
    talk.confirm(write)
    assert talk.settle() == (Wait("client"),)
    assert listed(talk) == [write]
    assert talk.types()[-4:] == ["user.tool_confirmation", *END]


def test_what_the_platform_says_to_a_waiting_session_leaves_it_waiting():
    """Clients rule 5: the last entry of an idle session is its idle."""
    talk = hosted()
    talk.answer(use("bash", n=1))
    (bash,) = talk.uses()
    error = {"type": "unknown_error", "message": "m", "retry_status": {"type": "exhausted"}}
    talk.queue("session.error", error=error)
    assert talk.settle() == (Wait("client"),)
    assert talk.types()[-4:] == ["error", *END]
    assert listed(talk) == [bash]


def timed(seconds: float = 10.0, **more) -> Talk:
    """A session that may run so long."""
    return Talk(session_seconds=seconds, **more)


async def test_a_session_out_of_time_ends_its_calls_and_its_turn():
    talk = timed()
    talk.message("begin")
    talk.answer(use("bash", n=1))
    began = talk.state.active_since
    assert talk.settle()[-1] == Wait("time", began + 10.0)
    await talk.clock.advance(10.0)
    step = talk.work(CancelTools)
    assert [call.id for call in step.calls] == talk.uses()
    assert talk.cancelled() == (Wait("idle"),)
    assert talk.types()[-4:] == ["error", "thread_status_idle", "usage", "status_idle"]
    assert "session_seconds" in talk.events[-4].payload["error"]["message"]
    assert talk.state.stop_reason == {"type": "retries_exhausted"}
    assert talk.state.primary.transcript[-1].is_error


async def test_a_session_out_of_time_drops_its_request_and_takes_no_more_work():
    talk = timed()
    talk.message("begin")
    talk.settle()
    await talk.clock.advance(11.0)
    talk.message("one more")
    assert talk.settle() == (Wait("idle"),)
    assert talk.types().count("error") == 1
    assert talk.types().count("span.model_request_start") == 1
    talk.message("and again")
    assert talk.settle() == (Wait("idle"),)
    assert talk.types().count("error") == 2
    assert talk.types().count("span.model_request_start") == 1


async def test_a_turn_out_of_time_ends_and_the_next_one_has_its_own():
    talk = Talk(turn_seconds=10.0)
    talk.message("begin")
    talk.answer(use("bash", n=1))
    await talk.clock.advance(10.0)
    talk.message("meanwhile")
    assert talk.work(CancelTools).calls
    talk.cancelled()
    assert "turn_seconds" in talk.events[-8].payload["error"]["message"]
    assert talk.types().count("error") == 1
    assert talk.state.before_turn == 10.0
    (step, _) = talk.settle()
    assert isinstance(step, CallModel)
    await talk.clock.advance(9.0)
    assert talk.answer("Done.") == (Wait("idle"),)
    assert talk.state.stop_reason == {"type": "end_turn"}
    assert talk.folded() == talk.state


async def test_a_turn_goes_on_after_its_client_has_answered():
    talk = Talk(turn_seconds=10.0)
    talk.message("begin")
    talk.settle()
    await talk.clock.advance(6.0)
    talk.answer(use("write", n=1))
    await talk.clock.advance(1000.0)
    (call,) = talk.uses()
    talk.confirm(call)
    talk.settle()
    await talk.clock.advance(6.0)
    assert talk.work(CancelTools).calls


async def test_time_in_which_the_client_is_awaited_does_not_count():
    talk = timed()
    talk.message("begin")
    talk.answer(use("write", n=1))
    assert talk.settle() == (Wait("client"),)
    await talk.clock.advance(1000.0)
    assert talk.settle() == (Wait("client"),)
    talk.confirm(talk.uses()[0])
    assert isinstance(talk.work(RunTools), RunTools)
    await talk.clock.advance(11.0)
    assert isinstance(talk.work(CancelTools), CancelTools)


async def test_a_question_outlives_the_time_and_its_answer_starts_nothing():
    talk = timed()
    talk.message("begin")
    talk.answer(use("bash", n=1), use("write", n=2))
    await talk.clock.advance(11.0)
    assert talk.cancelled() == (Wait("client"),)
    (asked,) = talk.uses()
    talk.confirm(asked)
    assert talk.cancelled() == (Wait("idle"),)
    assert talk.state.stop_reason == {"type": "retries_exhausted"}
