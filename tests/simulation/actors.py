"""The clients: they write messages, interrupt, and answer what the agent asks, well and badly.

A `Client` belongs to one session. Its habits are drawn from the seed or given by a scenario. Like a
real client it only knows what it has sent and what it reads in the log.
"""

import asyncio
from dataclasses import dataclass, field

from agentstead.clock import rfc3339
from agentstead.errors import Invalid
from agentstead.log.log import Change, Incoming, Stop
from agentstead.resources import session_budget
from agentstead.wire.events.stored import Event
from tests.simulation import door, faults

PEEK_SECONDS = 0.2
PLENTY_CENTS = 100
"""More than the next request costs."""


@dataclass(frozen=True)
class Habits:
    """How a client behaves."""

    gap_seconds: float = 4.0
    """Up to so long between two messages."""
    interrupts: int = 0
    all_threads: bool = False
    """An interrupt is always for all threads."""
    eager: bool = True
    """Answers as soon as the call is in the log, also before the idle; else only what an idle lists."""
    together: bool = False
    """Waits until it can answer all at once."""
    late_seconds: float = 0.0
    """Up to so long before an answer."""
    twice: float = 0.0
    """How likely an answer is sent again."""
    deny: float = 0.2
    silent: float = 0.0
    """How likely a call is never answered."""
    renames: int = 0
    """How often it changes the session's title and agent."""
    raises: int = 0
    """How often it raises a budget that stops the session."""
    step_cents: int = 1
    """Above what was used, when it does."""
    removes: bool = False
    """When it has raised as often as it wants: removes the budget."""
    rebudgets: int = 0
    """How often it changes the budget at moments that mean nothing."""
    stops: int = 0
    """How often an operator stops the session, or its whole workspace, and lifts that again."""
    stop_seconds: float = 8.0
    """Up to so long before a stop, and between it and its lifting."""


@dataclass
class Client:
    """One client of one session."""

    world: object
    workspace_id: str
    session_id: str
    habits: Habits
    texts: list[str] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    """Ids of everything the door has queued."""
    refused: int = 0
    ignored: set[str] = field(default_factory=set)
    """Calls it will never answer."""
    sent: set[str] = field(default_factory=set)
    will_raise: bool = False
    """It does not leave a session at its budget."""

    @property
    def session(self):
        return self.world.log.sessions[self.session_id]

    async def run(self) -> None:
        """Talk, interrupt and rename; answering goes on until the world ends."""
        self.world.loop.create_task(self.answer_all())
        self.world.loop.create_task(self.raise_when_stopped())
        await asyncio.gather(
            self.talk(),
            self.interrupt_now_and_then(),
            self.rename(),
            self.rebudget(),
            self.operate(),
        )

    # sending

    async def send(self, make, *call_ids: str) -> bool:
        """Through the door; whether it was let in."""
        try:
            decision = await self.world.log.accept(
                self.workspace_id, self.session_id, call_ids, make
            )
        except Invalid:
            self.refused += 1
            return False
        self.accepted += [incoming.id for incoming in decision.queue]
        return True

    def incoming(self, kind: str, thread_id: str | None = None, *, received=False, **fields):
        """Input with an id and its echo."""
        event_id = self.world.ids.new("sevt")
        at = rfc3339(self.world.clock.now()) if received else None
        payload = {"id": event_id, "type": kind, **fields, "processed_at": at}
        return Incoming(event_id, kind, thread_id, payload)

    async def say(self, text: str) -> bool:
        """A message."""
        content = [{"type": "text", "text": text}]
        made = self.incoming("user.message", content=content)
        self.world.say(self, "user.message", text)
        return await self.send(door.message(made))

    async def interrupt(self, thread_id: str | None = None) -> bool:
        """An interrupt of one thread or of all."""
        fields = {} if thread_id is None else {"session_thread_id": thread_id}
        made = self.incoming("user.interrupt", thread_id, **fields)
        self.world.say(self, "user.interrupt", thread_id or "")
        return await self.send(door.interrupt(made))

    async def answer(self, event: Event) -> bool:
        """Answer one call: confirm or deny an ask, or give a custom tool's result."""
        rng, primary = self.world.rng, self.session.row.primary_thread_id
        thread_id = None if event.thread_id == primary else event.thread_id
        if event.type == "agent.custom_tool_use":
            made = self.incoming(
                "user.custom_tool_result",
                thread_id,
                received=True,
                custom_tool_use_id=event.id,
                content=[{"type": "text", "text": f"answer to {event.payload['name']}"}],
            )
        else:
            denied = rng.random() < self.habits.deny
            verdict = {"result": "deny", "deny_message": "No."} if denied else {"result": "allow"}
            made = self.incoming(
                "user.tool_confirmation", thread_id, tool_use_id=event.id, **verdict
            )
        self.world.say(self, made.type, event.id[-6:])
        self.sent.add(event.id)
        return await self.send(door.answer(made, event.id), event.id)

    # behaving

    async def pause(self, seconds: float) -> None:
        """Up to so long; promptly when faults have stopped, so that what is slow is not the client."""
        seconds = min(seconds, 0.5) if self.world.calm else seconds
        await asyncio.sleep(self.world.rng.random() * seconds)

    async def talk(self) -> None:
        """Its messages, whether or not the last one has been answered."""
        for text in self.texts:
            await self.pause(self.habits.gap_seconds)
            for _ in range(12):
                if await self.say(text):
                    break
                await self.pause(5.0)  # it must answer first
            else:
                return

    async def get_in(self, kind: str) -> None:
        """Do one thing at once."""
        match kind:
            case faults.MESSAGE_FIRST:
                await self.say("one more thing")
            case faults.INTERRUPT_FIRST:
                await self.interrupt(self.world.rng.choice([*self.session.threads, None]))
            case faults.ANSWER_FIRST:
                for event in self.open_calls():
                    await self.answer(event)
            case faults.CHANGE_FIRST:
                await self.change(self.world.ids.new("title"))
                await self.new_budget(PLENTY_CENTS)

    async def interrupt_now_and_then(self) -> None:
        """At moments that mean nothing to the session."""
        for _ in range(self.habits.interrupts):
            await self.pause(self.habits.gap_seconds * 2)
            threads = [] if self.habits.all_threads else list(self.session.threads)
            await self.interrupt(self.world.rng.choice([*threads, None, None]))

    async def rename(self) -> None:
        """Change the session under the worker's hands."""
        for number in range(self.habits.renames):
            await self.pause(self.habits.gap_seconds * 2)
            await self.change(f"title {number}")

    async def change(self, title: str) -> None:
        """A new title, announced in the log like every change."""
        at, event_id = self.world.clock.now(), self.world.ids.new("sevt")
        fields = {"title": title, "processed_at": rfc3339(at)}
        payload = {"id": event_id, "type": "session.updated", **fields}
        self.world.say(self, "session.updated", title)

        def decide(row):
            event = Event(event_id, "session.updated", row.primary_thread_id, payload, at)
            return Change({"title": title}, (event,))

        await self.world.log.change(self.workspace_id, self.session_id, decide)

    async def rebudget(self) -> None:
        """Raise or lower the cap under the worker's hands."""
        for number in range(self.habits.rebudgets):
            await self.pause(self.habits.gap_seconds * 2)
            await self.new_budget(1 + number * self.habits.step_cents)

    async def operate(self) -> None:
        """Stop and lift, under the worker's hands."""
        for number in range(self.habits.stops):
            await self.pause(self.habits.stop_seconds)
            now, stop_id = self.world.clock.now(), self.world.ids.new("stop")
            only = None if number % 2 else self.session_id
            stop = Stop(stop_id, self.workspace_id, "Enough.", now, "operator", session_id=only)
            self.world.say(self, "STOP", only or "all")
            await self.world.log.stop(stop)
            self.world.watch.stopped(stop)
            await self.pause(self.habits.stop_seconds)
            self.world.say(self, "LIFT")
            self.world.watch.lifting(stop)
            await self.world.log.lift(self.workspace_id, stop_id, "operator")

    async def raise_when_stopped(self) -> None:
        """Make room each time the session stops for its budget."""
        left = self.habits.raises
        self.will_raise = bool(left or self.habits.removes)
        while self.will_raise:
            await asyncio.sleep(PEEK_SECONDS)
            reason = (self.session.row.stop_reason or {}).get("type")
            if reason == "budget_reached":
                await self.pause(2.0)
                await self.new_budget(self.habits.step_cents if left else None)
                self.will_raise = left > 1 or (left == 1 and self.habits.removes)
                left -= 1

    async def new_budget(self, more: int | None) -> None:
        """A cap of so many cents above what was used; None removes it."""
        at, event_id = self.world.clock.now(), self.world.ids.new("sevt")
        self.world.say(self, "session.updated", f"budget {more}")

        def decide(row):
            if row.budget is None or row.list_cost is None:
                return Change({})
            cap = row.list_cost // 10**10 + more if more else None
            money = {"amount": str(cap), "currency": "USD"}
            budget = None if cap is None else {"type": "limit", "max_list_cost": money}
            if budget == row.budget or (cap is not None and cap * 10**10 <= row.list_cost):
                return Change({})
            columns = {"budget": budget}
            wakes = session_budget.frees(row, budget)
            if wakes and session_budget.paused(row):
                columns["status"] = "running"
            fields = {"budget": budget, "processed_at": rfc3339(at)}
            payload = {"id": event_id, "type": "session.updated", **fields}
            event = Event(event_id, "session.updated", row.primary_thread_id, payload, at)
            return Change(columns, (event,), wakes=wakes)

        await self.world.log.change(self.workspace_id, self.session_id, decide)

    def open_calls(self) -> list[Event]:
        """Calls in the log that wait for this client and that it has not answered yet."""
        settled = self.session.settled_calls()
        return [
            event
            for event in self.session.events
            if event.id not in settled
            and event.id not in self.sent
            and event.id not in self.ignored
            and (
                event.type == "agent.custom_tool_use"
                or event.payload.get("evaluated_permission") == "ask"
            )
        ]

    def answerable(self) -> list[Event]:
        """Those that it wants to answer now."""
        calls = self.open_calls()
        if self.habits.eager:
            return calls
        reason = self.session.row.stop_reason or {}
        listed = set(reason.get("event_ids", ())) if self.session.row.status == "idle" else set()
        if self.habits.together and any(call.id not in listed for call in calls):
            return []
        return [call for call in calls if call.id in listed]

    async def answer_all(self) -> None:
        """Answer whatever comes up."""
        while True:
            for event in self.answerable():
                await self.react(event)
            await asyncio.sleep(PEEK_SECONDS)

    async def react(self, event: Event) -> None:
        """One call: never, late, once or twice."""
        rng, habits = self.world.rng, self.habits
        if rng.random() < habits.silent:
            self.ignored.add(event.id)
            return
        await self.pause(habits.late_seconds)
        await self.answer(event)
        if rng.random() < habits.twice:
            await self.pause(1.0)
            await self.answer(event)
