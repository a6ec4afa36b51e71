"""List cost and budgets, without a world."""

from agentstead.harness import budget
from agentstead.harness.budget import NOTHING, Cost
from agentstead.harness.permission import ALLOWED
from agentstead.harness.steps import CallModel, RunTools, Wait
from agentstead.providers.prices import Price, rates
from agentstead.testing.script import use
from agentstead.wire.budget import PICODOLLARS_PER_CENT
from agentstead.wire.events.stored import Draft
from agentstead.worker.judge import Ruling
from tests.harness.talk import CHILD_ID, PRIMARY, Talk

PRICE = Price(rates("500", "1000"), "test")
"""10 tokens in and 5 out, a request of the talk, are one cent."""


def cap(cents: int) -> dict:
    money = {"amount": str(cents), "currency": "USD"}
    return {"type": "limit", "max_list_cost": money}


def test_costs_add_up_and_one_unknown_spoils_the_sum():
    cost = NOTHING.plus(3).plus(4)
    assert (cost.measured, cost.priced) == (7, True)
    assert cost.plus(None).plus(5).measured is None
    assert budget.list_cost(cost.plus(None), cap(1)) is None
    assert budget.list_cost(NOTHING, None) is None
    assert budget.list_cost(NOTHING, cap(1)) == {"amount": "0", "currency": "USD"}


def test_a_cost_is_what_was_written_down_whatever_prices_are_now():
    talk = Talk(budget=cap(100), price=PRICE)
    talk.message("begin")
    talk.answer("Done.")
    assert talk.state.cost == Cost(PICODOLLARS_PER_CENT, priced=True)
    talk.price = None
    assert talk.folded().cost == talk.state.cost
    talk.message("again")
    talk.answer("Done.")
    assert talk.state.cost.measured is None


def test_the_judge_of_a_call_counts_for_the_session_and_its_thread():
    talk = Talk(budget=cap(5), price=PRICE)
    talk.message("begin")
    judge = {
        "usage": {"input_tokens": 7, "output_tokens": 3},
        "list_cost": 4 * PICODOLLARS_PER_CENT,
    }
    talk.rulings = {"toolu_1": Ruling(ALLOWED, {"model": "small", **judge})}
    talk.answer(use("edit", n=1))
    assert talk.result(talk.uses()[0]) == (Wait("budget"),)
    for counted in (talk.state, talk.state.primary):
        assert counted.cost.measured == 5 * PICODOLLARS_PER_CENT
        assert (counted.usage["input_tokens"], counted.usage["output_tokens"]) == (17, 8)


def test_only_a_users_message_says_what_the_user_wants():
    talk = Talk(child=True)
    talk.message("begin")
    talk.answer("I begin.", use("bash", n=1))
    talk.result(talk.uses()[0], "do as I say")
    talk.queue("system.message", content=[{"type": "text", "text": "be brief"}])
    talk.message("go on")
    talk.answer("Done.")
    assert talk.state.said == ("begin", "go on")


def test_a_failed_request_costs_nothing_and_is_not_repeated_at_the_cap():
    talk = Talk(budget=cap(1), price=PRICE)
    talk.message("begin")
    talk.answer("Done.")
    assert talk.state.stop_reason == {"type": "end_turn"}
    talk.message("a message that raced the crossing request through the door")
    assert talk.settle() == (Wait("budget"),)
    assert talk.state.stop_reason == {"type": "budget_reached"}


def test_usage_without_a_price_stops_a_budgeted_session():
    talk = Talk(budget=cap(1000))
    talk.message("begin")
    talk.answer(use("bash", n=1))
    assert talk.result(talk.uses()[0]) == (Wait("budget"),)
    assert "list_cost" not in talk.events[-2].payload["usage"]
    talk.new_budget(None)
    assert isinstance(talk.settle()[0], CallModel)


def test_a_budget_that_leaves_no_room_changes_nothing():
    talk = Talk(budget=cap(1), price=PRICE)
    talk.message("begin")
    talk.answer(use("bash", n=1))
    talk.result(talk.uses()[0])
    talk.new_budget(cap(1))
    assert talk.settle() == (Wait("budget"),)
    assert talk.state.primary.paused


def put_off(talk: Talk, until: float | None = None) -> None:
    """The worker finds no room in a budget above the session."""
    (step,) = talk.settle()
    fields = {"model_request_start_id": step.request_id, "is_error": None, "model_usage": {}}
    private = {"short": {"budget_id": "budget_1", "until": until}}
    talk.write(Draft("span.model_request_end", PRIMARY, fields, private))


def test_a_budget_above_pauses_what_was_not_asked_until_there_is_room():
    talk = Talk()
    talk.message("begin")
    put_off(talk)
    assert talk.settle() == (Wait("budget"),)
    assert talk.state.stop_reason == {"type": "budget_reached"}
    assert talk.state.primary.paused
    talk.write(Draft("session.updated", PRIMARY, {"title": "new"}))
    assert talk.settle() == (Wait("budget"),)
    talk.write(Draft("session.updated", PRIMARY, {}, {"room": "budget_1"}))
    assert isinstance(talk.settle()[0], CallModel)
    talk.answer("Done.")
    talk.settle()
    assert talk.state.stop_reason == {"type": "end_turn"}


def test_room_that_comes_before_the_pause_is_written_is_not_slept_over():
    talk = Talk()
    talk.message("begin")
    put_off(talk)
    talk.write(Draft("session.updated", PRIMARY, {}, {"room": "budget_1"}))
    assert isinstance(talk.settle()[0], CallModel)
    assert not [event for event in talk.events if event.type == "session.status_idle"]


def test_a_new_period_ends_the_pause():
    talk = Talk()
    talk.message("begin")
    until = talk.clock.now() + 100
    put_off(talk, until)
    assert talk.settle() == (Wait("budget", until),)
    talk.clock.at = until
    assert isinstance(talk.settle()[0], CallModel)


def test_room_above_is_none_at_the_sessions_own_cap():
    talk = Talk(budget=cap(1), price=PRICE)
    talk.message("begin")
    talk.answer("Done.")
    talk.message("more")
    assert talk.settle() == (Wait("budget"),)
    talk.write(Draft("session.updated", PRIMARY, {}, {"room": "budget_1"}))
    assert talk.settle() == (Wait("budget"),)


def test_an_interrupt_drops_nothing_of_a_paused_thread():
    talk = Talk(budget=cap(1), price=PRICE)
    talk.message("begin")
    talk.answer(use("bash", n=1))
    talk.result(talk.uses()[0])
    talk.interrupt()
    talk.settle()
    assert talk.state.primary.paused
    assert talk.state.stop_reason == {"type": "budget_reached"}


def test_one_thread_pauses_while_the_other_works():
    talk = Talk(child=True, budget=cap(1), price=PRICE)
    talk.message("begin")
    talk.answer(use("bash", n=1))
    talk.answer(use("bash", n=2), thread_id=CHILD_ID)
    talk.result(talk.uses()[0])
    assert talk.types()[-2:] == ["thread_status_idle", "usage"]
    assert talk.state.status == "running"
    assert isinstance(talk.work(RunTools, CHILD_ID), RunTools)
    talk.result(talk.uses(CHILD_ID)[0])
    assert talk.types()[-3:] == ["thread_status_idle", "usage", "status_idle"]
    assert talk.state.stop_reason == {"type": "budget_reached"}
    assert all(thread.paused for thread in talk.state.threads.values())
    talk.new_budget(cap(100))
    talk.settle()
    talk.answer("Done.", thread_id=PRIMARY)
    talk.answer("Done.", thread_id=CHILD_ID)
    assert talk.state.stop_reason == {"type": "end_turn"}
