"""A session without a world: the harness alone, driven by hand. Events get numbered ids.

`Talk` does what a worker does, in memory: it writes down what the plan says until there is work or
a wait, and the test says what becomes of the work.
"""

import json
from dataclasses import replace

from agentstead.harness.plan import plan
from agentstead.harness.state import fold, fold_all, initial
from agentstead.harness.steps import CallModel, CancelTools, Record, RunTools
from agentstead.prompt import context
from agentstead.providers.prices import Price
from agentstead.providers.provider import Done, Usage
from agentstead.testing.clock import ManualClock
from agentstead.testing.memory_session import through_json
from agentstead.wire.events.stored import Draft, Pending
from agentstead.worker.call_model import Answer
from agentstead.worker.stamp import Stamp
from tests.simulation.scenarios import CHILD, MAIN, TOOLS_OFFERED, agent

PRIMARY = "sthr_main"
CHILD_ID = "sthr_child"
BUILTINS = {name: context.ToolText(f"Run {name}.", {"type": "object"}) for name in TOOLS_OFFERED}


class Numbered:
    """Ids with a number: `sevt_7`."""

    def __init__(self) -> None:
        self.last = 0

    def new(self, prefix: str) -> str:
        self.last += 1
        return f"{prefix}_{self.last}"


class Talk:
    """One session's log and state."""

    def __init__(
        self,
        *,
        child: bool = False,
        attempts: int = 0,
        environment: str = "cloud",
        budget=None,
        price: Price | None = None,
        session_seconds: float | None = None,
        repeats_max: int = 0,
        turn_seconds: float | None = None,
    ) -> None:
        self.clock = ManualClock(1_900_000_000.0)
        self.ids = Numbered()
        self.stamp = Stamp(self.clock, self.ids)
        self.beginning = initial(
            session_id="sesn_1",
            primary_id=PRIMARY,
            agent=agent(MAIN),
            environment={"type": "environment", "config": {"type": environment}},
            created_at=self.clock.now(),
            offered=TOOLS_OFFERED,
            attempts=attempts,
            budget=budget,
            session_seconds=session_seconds,
            repeats_max=repeats_max,
        )
        self.beginning = replace(self.beginning, turn_seconds=turn_seconds)
        self.price = price
        self.rulings = {}
        """What a judge says of calls, by the provider's call id."""
        self.state = self.beginning
        self.events = []
        self.pending = []
        self.arrived = 0
        self.calls_made = 0
        if child:
            self.child_begins()

    # writing

    def write(self, *drafts: Draft) -> None:
        """Append and fold."""
        for event in self.stamp.drafts(drafts, self.state):
            self.append(event)

    def append(self, event) -> None:
        """As the log stores it: numbered, and through JSON."""
        stored = replace(
            event,
            seq=len(self.events) + 1,
            payload=through_json(event.payload),
            private=through_json(event.private),
        )
        self.events.append(stored)
        self.state = fold(self.state, stored)

    def child_begins(self) -> None:
        """A second thread with a task."""
        named = {"session_thread_id": CHILD_ID, "agent_name": CHILD}
        private = {"agent": agent(CHILD)}
        self.write(Draft("session.thread_created", PRIMARY, named, private))
        task = {"content": [{"type": "text", "text": "do your part"}]}
        self.write(Draft("agent.thread_message_received", CHILD_ID, task, primary=False))

    # the client

    def queue(self, kind: str, thread_id=None, **fields) -> str:
        """Input arrives."""
        self.arrived += 1
        event_id = self.ids.new("sevt")
        payload = {"id": event_id, "type": kind, **fields, "processed_at": None}
        pending = Pending(event_id, kind, thread_id, payload, self.arrived, self.clock.now())
        self.pending.append(pending)
        self.state = self.state.with_inbox((*self.state.inbox, pending))
        return event_id

    def message(self, text: str) -> str:
        return self.queue("user.message", content=[{"type": "text", "text": text}])

    def interrupt(self, thread_id=None) -> str:
        fields = {} if thread_id is None else {"session_thread_id": thread_id}
        return self.queue("user.interrupt", thread_id, **fields)

    def confirm(self, call_id: str, result: str = "allow") -> str:
        thread = self.state.owner_of(call_id)
        return self.queue(
            "user.tool_confirmation", thread and thread.id, tool_use_id=call_id, result=result
        )

    def custom(self, call_id: str, text: str = "here") -> str:
        thread = self.state.owner_of(call_id)
        content = [{"type": "text", "text": text}]
        return self.queue(
            "user.custom_tool_result",
            thread and thread.id,
            custom_tool_use_id=call_id,
            content=content,
        )

    def ran(self, call_id: str, text: str = "done there") -> str:
        """A self-hosted worker gives a result."""
        thread = self.state.owner_of(call_id)
        content = [{"type": "text", "text": text}]
        return self.queue(
            "user.tool_result", thread and thread.id, tool_use_id=call_id, content=content
        )

    def new_budget(self, budget) -> None:
        """The door replaces or removes the budget."""
        self.write(Draft("session.updated", PRIMARY, {"budget": budget}))

    # the worker

    def steps(self):
        """What the plan says now."""
        return plan(self.state, self.stamp.now(self.state))

    def settle(self):
        """Write everything down that is to be written; the steps that remain."""
        for _ in range(200):
            steps = self.steps()
            records = [step for step in steps if isinstance(step, Record)]
            if not records:
                return steps
            for record in records:
                self.take(record)
                self.write(*record.drafts)
        raise AssertionError(f"the plan never stops writing: {records}")

    def take(self, record: Record) -> None:
        """Take input in."""
        by_id = {pending.id: pending for pending in self.state.inbox}
        for pending_id in record.take:
            self.append(self.stamp.taken(by_id[pending_id], self.state))

    def work(self, kind, thread_id: str = PRIMARY):
        """The step of this kind that the plan has for a thread."""
        for step in self.settle():
            if isinstance(step, kind) and step.thread_id == thread_id:
                return step
        raise AssertionError(f"no {kind.__name__} for {thread_id} in {self.steps()}")

    def answer(self, *content, thread_id: str = PRIMARY, stop_reason: str | None = None, **more):
        """The model answers."""
        step = self.work(CallModel, thread_id)
        blocks = tuple(self.numbered(block) for block in content)
        used = any(block["type"] == "tool_use" for block in blocks)
        done = Done(
            blocks, stop_reason or ("tool_use" if used else "end_turn"), Usage(10, 5), "m", **more
        )
        self.write(*self.made(step).drafts(done))
        return self.settle()

    def numbered(self, block):
        """Text as a block; a tool use with an id of its own."""
        if isinstance(block, str):
            return {"type": "text", "text": block}
        if block["type"] == "tool_use" and "id" not in block:
            self.calls_made += 1
            return {**block, "id": f"toolu_{self.calls_made}"}
        return block

    def fails(self, fault, thread_id: str = PRIMARY):
        """The model request fails."""
        self.write(self.made(self.work(CallModel, thread_id)).failed(fault))
        return self.settle()

    def made(self, step: CallModel) -> Answer:
        """What the worker makes drafts with."""
        thread = self.state.threads[step.thread_id]
        return Answer(
            None,
            None,
            self.state,
            thread,
            step.request_id,
            price=self.price,
            rulings=self.rulings,
        )

    def result(self, call_id: str, text: str = "ok", *, is_error: bool = False):
        """A running tool gives its result."""
        thread_id = self.state.owner_of(call_id).id
        assert call_id in [call.id for call in self.work(RunTools, thread_id).calls]
        fields = {
            "tool_use_id": call_id,
            "content": [{"type": "text", "text": text}],
            "is_error": is_error,
        }
        primary = thread_id == PRIMARY
        self.write(Draft("agent.tool_result", thread_id, fields, primary=primary))
        return self.settle()

    def cancelled(self, thread_id: str = PRIMARY):
        """What had to be ended has ended."""
        self.write(*self.work(CancelTools, thread_id).drafts)
        return self.settle()

    # looking

    def request(self, thread_id: str = PRIMARY):
        """The messages that the model would be sent now."""
        return context.build(self.state.threads[thread_id], BUILTINS)

    def types(self, since: int = 0) -> list[str]:
        """Short names of the events after `since`."""
        return [event.type.removeprefix("session.") for event in self.events[since:]]

    def uses(self, thread_id: str = PRIMARY) -> list[str]:
        """Ids of a thread's open calls."""
        return [entry.call.id for entry in self.state.threads[thread_id].open]

    def folded(self, count: int | None = None):
        """The log folded anew."""
        return fold_all(self.beginning, self.events[:count])

    def as_json(self) -> str:
        """For comparing logs."""
        return json.dumps([event.payload for event in self.events])
