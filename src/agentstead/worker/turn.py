"""Drive one claimed session until it waits: plan, write down, do, and again.

The world is touched on behalf of a session only here. Everything is appended under the fence before
anything else happens; a lost lease ends the turn at once and another worker carries on.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from agentstead.harness.evolve import evolve
from agentstead.harness.plan import plan
from agentstead.harness.state import State, fold, fold_all
from agentstead.harness.steps import Record, Step, Wait
from agentstead.log.log import Appended, Lease, Park
from agentstead.wire.events.stored import Draft, Event, Pending
from agentstead.worker import packages
from agentstead.worker.derive import derive
from agentstead.worker.load import load
from agentstead.worker.stamp import Stamp
from agentstead.worker.step_tasks import StepTasks
from agentstead.worker.world import World


class Turn:
    """A claimed session being driven."""

    def __init__(self, world: World, lease: Lease, *, hopeless: bool = False) -> None:
        self.world = world
        self.lease = lease
        self.hopeless = hopeless
        """Its turns crash: stop the session instead of trying once more."""
        self.stamp = Stamp(world.clock, world.ids)
        self.nudged = asyncio.Event()
        """Set when input may have arrived."""
        self.left = False
        """It ended at a step's border, and the session is still held."""
        self.leaving = False
        """Begin nothing more: the session goes to another worker when what goes on has ended."""
        self.heard = 0
        """The latest arrival of input that has been looked at."""

    async def run(self) -> None:
        """Until the session is parked, or no step goes on and it is to leave: then it is still held.

        Raises LeaseLost and StoreFault.
        """
        self.state = await load(self.world, self.lease)
        if self.hopeless:
            self.state = evolve(self.state, attempts=self.state.attempts_max + 1)
        self.see(self.state.inbox)
        packages.begin(self.world, self.state)
        outcomes: list[Draft] = []
        async with StepTasks(self.world, self.lease, await self.lost_calls()) as tasks:
            listener: asyncio.Task[int] | None = None
            try:
                while True:
                    steps = await self.settle(tasks, outcomes)
                    if steps is None:
                        return
                    if not self.leaving:
                        tasks.start(self.state, steps)
                    elif not tasks.tasks:
                        self.left = True
                        return
                    if listener is not None and listener.done():
                        listener.result()  # what it heard is heard again: it has not been read
                    if listener is None or listener.done():
                        news = self.world.log.news(self.lease.session_id, self.heard)
                        listener = asyncio.ensure_future(news)
                    await self.wait(tasks, listener, steps)
                    if tasks.checked_out:
                        found = await self.world.repositories.of(self.lease.session_id)
                        self.state = evolve(self.state, repositories=found)
                    outcomes = tasks.finished()
            finally:
                if listener is not None:
                    listener.cancel()
                    await asyncio.gather(listener, return_exceptions=True)

    def leave(self) -> None:
        """Let go of the session at the next step's border."""
        self.leaving = True
        self.nudged.set()

    async def lost_calls(self) -> frozenset[str]:
        """The calls that a worker of another host may have begun: nobody here knows what became of them."""
        open_calls = frozenset(
            call.id
            for thread in self.state.threads.values()
            for call in thread.runnable
            if call.kind == "builtin"
        )
        if open_calls and await self.world.checkpoints.elsewhere(self.lease.session_id):
            return open_calls
        return frozenset()

    async def settle(self, tasks: StepTasks, outcomes: Sequence[Draft]) -> tuple[Step, ...] | None:
        """Write the outcomes and all that follows from them; the work to do, or None when parked."""
        while True:
            state, entries = self.with_drafts(self.state, outcomes)
            taken: list[str] = []
            while True:
                steps = plan(state, self.stamp.now(state))
                records = [step for step in steps if isinstance(step, Record)]
                if not records:
                    break
                for record in records:
                    state, written = self.perform(state, record)
                    entries += written
                    taken += record.take
            await tasks.keep(steps)
            idle = not tasks.tasks and all(isinstance(step, Wait) for step in steps)
            park = Park(wake_at(steps), frozenset(p.id for p in state.inbox)) if idle else None
            if not entries and park is None:
                return steps
            await self.hand_over(entries)
            try:
                appended = await self.world.log.append(
                    self.lease,
                    entries,
                    seen=self.state.seq,
                    take=taken,
                    derived=derive(state),
                    park=park,
                    stopped=state.stopped,
                )
            finally:
                # also where it was written and the lease, let go with it, is missed a moment later
                if ends_turn(entries):
                    self.world.checkpoints.begin(self.lease.session_id)
            known = {pending.id for pending in state.inbox}
            if appended.refused:
                self.state = self.caught_up(self.state, (), appended)
                await self.look_at_files()
                continue
            self.state = self.caught_up(state, entries, appended)
            if park is not None:
                return None
            alone = len(appended.events) == len(entries)
            if alone and all(pending.id in known for pending in appended.inbox):
                return steps
            await self.look_at_files()
            outcomes = ()

    def with_drafts(self, state: State, drafts: Sequence[Draft]) -> tuple[State, list[Event]]:
        """The state after these drafts, and the events they become."""
        events = self.stamp.drafts(untold(drafts, state), state)
        return fold_all(state, events), events

    def perform(self, state: State, record: Record) -> tuple[State, list[Event]]:
        """Take input in and write drafts, in the state only; the append follows."""
        written: list[Event] = []
        by_id = {pending.id: pending for pending in state.inbox}
        for pending_id in record.take:
            event = self.stamp.taken(by_id[pending_id], state)
            state = fold(state, event)
            written.append(event)
        state, events = self.with_drafts(state, record.drafts)
        return state, [*written, *events]

    def caught_up(self, state: State, own: Sequence[Event], appended: Appended) -> State:
        """`state` with what others wrote in between, and with what is pending now."""
        if len(appended.events) > len(own):  # what they wrote comes before one's own
            state = fold_all(self.state, appended.events)
        self.see(appended.inbox)
        last = appended.events[-1].seq if appended.events else state.seq
        state = evolve(state, seq=last, stopped=appended.stopped, budgeted=appended.budgeted)
        return state.with_inbox(appended.inbox)

    async def wait(
        self, tasks: StepTasks, listener: asyncio.Task[int], steps: tuple[Step, ...]
    ) -> None:
        """Until a task has ended, input may have arrived, or a retry is due."""
        extra: list[asyncio.Future[Any]] = [asyncio.ensure_future(self.nudged.wait())]
        due = wake_at(steps)
        if due is not None:
            delay = max(due - self.world.clock.now(), 0.0)
            extra.append(asyncio.ensure_future(self.world.clock.sleep(delay)))
        try:
            waits = {*tasks.tasks.values(), listener, *extra}
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for future in extra:
                future.cancel()
        if self.nudged.is_set() or listener.done():
            self.nudged.clear()
            if listener.done():
                self.heard = max(self.heard, listener.result())
            pending = await self.world.log.pending(self.lease.session_id)
            self.see(pending)
            self.state = self.state.with_inbox(pending)
            await self.look_at_files()

    async def hand_over(self, entries: Sequence[Event]) -> None:
        """Whoever hears that the session is idle finds its outputs: they come before the idle."""
        if ends_turn(entries):
            await self.world.files.hand_over(self.lease.session_id)

    async def look_at_files(self) -> None:
        """New input may speak of files that came or went since the session was loaded."""
        if any(pending.type == "user.message" for pending in self.state.inbox):
            paths = await self.world.files.attached(self.lease.session_id)
            self.state = evolve(self.state, attached=paths)

    def see(self, inbox: Sequence[Pending]) -> None:
        """Remember how far the input has been looked at."""
        self.heard = max(self.heard, *(pending.arrived for pending in inbox), 0)


def ends_turn(entries: Sequence[Event]) -> bool:
    """Whether a turn is over with them."""
    return any(entry.type == "session.status_idle" for entry in entries)


def untold(drafts: Sequence[Draft], state: State) -> list[Draft]:
    """Without troubles that another thread's request has met and told of in the meantime."""
    told, kept = set(state.told), []
    for draft in drafts:
        trouble = (draft.private or {}).get("told")
        if trouble is None or trouble not in told:
            kept.append(draft)
        if trouble is not None:
            told.add(trouble)
    return kept


def wake_at(steps: Sequence[Step]) -> float | None:
    """When a retry is due."""
    times = [step.wake_at for step in steps if isinstance(step, Wait) and step.wake_at is not None]
    return min(times, default=None)
