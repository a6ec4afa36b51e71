"""One session log per choreography: what happens → events, what the planner wants, what the model is sent.

The files beside this one are to be read by eye when they change: `AGENTSTEAD_GOLDEN=write` writes them
anew. Times are left out, ids are numbers.
"""

import json
import os
from pathlib import Path

import pytest

from agentstead.errors import ProviderFault
from agentstead.harness.steps import CallModel, CancelTools, RunTools, Wait
from agentstead.providers.prices import Price, rates
from agentstead.testing.script import thinking, use
from tests.harness.talk import CHILD_ID, Talk

HERE = Path(__file__).parent
WRITE = os.environ.get("AGENTSTEAD_GOLDEN") == "write"
PRICE = Price(rates("500", "1000"), "test")
"""A request of the talk, 10 tokens in and 5 out, is one cent."""
BUSY = ProviderFault("too busy", kind="overloaded", retryable=True)


def cap(amount: str) -> dict:
    """A budget of so many cents."""
    return {"type": "limit", "max_list_cost": {"amount": amount, "currency": "USD"}}


class Told(Talk):
    """A talk that is written down as it goes."""

    def __init__(self, **more) -> None:
        super().__init__(**more)
        self.lines: list[str] = []
        self.shown = 0

    def show(self, what: str) -> None:
        """What happened, the events that came of it, and what is to be done now."""
        steps = self.settle()
        self.lines.append(f"# {what}")
        for event in self.events[self.shown :]:
            payload = {k: v for k, v in event.payload.items() if k != "processed_at"}
            line = {"seq": event.seq, "thread": event.thread_id.removeprefix("sthr_"), **payload}
            if not event.primary:
                line["primary"] = False
            self.lines.append(json.dumps({"event": line}))
        self.shown = len(self.events)
        for step in steps:
            self.lines.append(json.dumps({"step": shown(step)}))
            if isinstance(step, CallModel):
                messages = self.request(step.thread_id).messages
                self.lines.append(json.dumps({"request": list(messages)}))


def shown(step) -> dict:
    """A step without what its events say already."""
    match step:
        case CallModel(thread_id, request_id):
            return {"CallModel": request_id, "thread": thread_id}
        case RunTools(thread_id, calls):
            return {"RunTools": [call.id for call in calls], "thread": thread_id}
        case CancelTools(thread_id, calls, _):
            return {"CancelTools": [call.id for call in calls], "thread": thread_id}
        case Wait(reason, wake_at):
            return {"Wait": reason, **({} if wake_at is None else {"until": "then"})}
    raise AssertionError(step)


def normal_turn(talk: Told):
    talk.message("begin")
    talk.show("a message arrives")
    talk.answer(thinking("Hm.", "sig"), "I look.", use("bash", command="ls"), use("read", n=1))
    talk.show("the model thinks, speaks and calls two tools")
    one, other = talk.uses()
    talk.result(other, "second")
    talk.result(one, "first")
    talk.show("both have their results")
    talk.answer("Done.")
    talk.show("the model has nothing more to do")


def asks(talk: Told):
    talk.message("begin")
    talk.answer(use("write", n=1), use("lookup", n=2), use("edit", n=3))
    talk.show("the model asks for two confirmations and a custom tool")
    write, lookup, edit = talk.uses()
    talk.custom(lookup)
    talk.show("the client answers one of three")
    talk.confirm(write)
    talk.confirm(edit, "deny")
    talk.show("the client allows one and denies the other")
    talk.result(write)
    talk.show("the allowed call has run")


def interrupt(talk: Told):
    talk.message("begin")
    talk.answer(use("bash", n=1), use("write", n=2))
    talk.interrupt()
    talk.message("instead")
    talk.show("the client interrupts and says something else, while a tool runs")
    talk.cancelled()
    talk.show("the tool has ended")
    talk.interrupt()
    talk.show("the client interrupts the model request")


def retry(talk: Told):
    talk.message("begin")
    talk.fails(BUSY)
    talk.show("the model is overloaded")
    talk.clock.at += 60
    talk.show("a minute later")
    talk.fails(ProviderFault("pay first", kind="billing"))
    talk.show("the model must be paid first")


def refusal(talk: Told):
    talk.message("begin")
    details = {"type": "refusal", "category": None, "explanation": "No."}
    talk.answer(stop_reason="refusal", stop_details=details)
    talk.show("the model refuses")


def messages_while_running(talk: Told):
    talk.message("begin")
    talk.answer(use("bash", n=1))
    talk.message("and this")
    talk.show("a message arrives while a tool runs")
    talk.result(talk.uses()[0])
    talk.show("the tool has run")


def two_threads(talk: Told):
    talk.message("begin")
    talk.show("a message arrives; a second thread has a task")
    talk.answer("Done.")
    talk.show("the primary thread is done")
    talk.answer(use("write", n=11), thread_id=CHILD_ID)
    talk.show("the other one asks")
    talk.confirm(talk.uses(CHILD_ID)[0])
    talk.show("the client allows it")
    talk.result(talk.uses(CHILD_ID)[0])
    talk.answer("My part is done.", thread_id=CHILD_ID)
    talk.show("the other thread is done")


def self_hosted(talk: Told):
    talk.message("begin")
    talk.answer(use("bash", n=1), use("write", n=2), use("read", n=3), use("nothing", n=4))
    talk.show("the model calls a shell, asks to write, reads, and names a tool that is not there")
    bash, write, read = talk.uses()
    talk.ran(bash)
    talk.show("the worker answers one of three")
    talk.confirm(write)
    talk.show("the client allows the other, which the worker now runs")
    talk.ran(read)
    talk.ran(write)
    talk.ran(write, "once more")
    talk.show("the worker answers the rest, one of them twice")
    talk.answer(use("edit", n=5))
    talk.show("the model asks to edit")
    talk.confirm(talk.uses()[0], "deny")
    talk.show("the client denies it: no worker is needed")
    talk.answer(use("bash", n=6))
    talk.interrupt()
    talk.show("the client interrupts while the worker runs a call")


def budget(talk: Told):
    talk.message("begin")
    talk.answer("I look.", use("bash", n=1), use("write", n=2))
    talk.show("the request that crosses the cap calls a tool and asks; the tool runs")
    bash, write = talk.uses()
    talk.result(bash)
    talk.show("the tool has run; the ask outranks the cap")
    talk.confirm(write)
    talk.show("the client allows the other; it runs at the cap")
    talk.result(write)
    talk.show("no request begins with the results: the thread pauses")
    talk.new_budget(cap("2"))
    talk.show("the budget is raised, the work goes on")
    talk.answer(use("bash", n=3))
    talk.result(talk.uses()[0])
    talk.show("it is used up again")
    talk.new_budget(None)
    talk.answer("Done.")
    talk.show("without a budget the turn ends")


CHOREOGRAPHIES = (
    normal_turn, asks, interrupt, retry, refusal, messages_while_running, two_threads,
    self_hosted, budget,
)  # fmt: skip


@pytest.mark.parametrize("choreography", CHOREOGRAPHIES, ids=lambda each: each.__name__)
def test_it_is_as_it_was(choreography):
    more = {"budget": cap("1"), "price": PRICE} if choreography is budget else {}
    talk = Told(
        child=choreography is two_threads,
        environment="self_hosted" if choreography is self_hosted else "cloud",
        **more,
    )
    choreography(talk)
    path = HERE / f"{choreography.__name__}.jsonl"
    text = "\n".join(talk.lines) + "\n"
    if WRITE:
        path.write_text(text)
    assert path.read_text().splitlines() == text.splitlines()


def test_no_file_is_left_over():
    names = {path.stem for path in HERE.glob("*.jsonl")}
    assert names == {each.__name__ for each in CHOREOGRAPHIES}
