"""Every check is proven able to fail: for each there is a planted bug that it finds.

A bug is planted in a double or in the product, for the length of one hunt: first the fixed
scenarios without faults, then seeds. What is found must be what the bug breaks.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from agentstead.errors import LeaseLost
from agentstead.harness import drafts, permission, plan, retry, state, thread
from agentstead.log import asks
from agentstead.prompt import context
from agentstead.testing import memory_log, memory_session
from agentstead.testing.fake_sandbox import FakeSandbox
from agentstead.testing.fake_servers import FakeServers
from agentstead.testing.memory_log import MemoryLog
from agentstead.worker import run_tools, step_tasks, turn
from agentstead.worker.loop import Worker
from tests.simulation import checks, unfair
from tests.simulation.faults import CHANGE_FIRST
from tests.simulation.repositories import Checkouts, broken_host
from tests.simulation.run import by_seed, calmly, with_fault
from tests.simulation.scenarios import GOLDEN
from tests.simulation.world import PLAIN, Doubles

SEEDS = range(1, 151)


@dataclass(frozen=True)
class Bug:
    """What is broken, how, and what must be said about it."""

    name: str
    finds: str
    """A pattern that the violation's text matches."""
    plant: Callable = lambda patch: None
    doubles: Doubles = PLAIN
    seeds_only: bool = False
    raced: bool = False
    """Found when a client changes the session right before an append of the last fixed scenario."""
    once: tuple[int, ...] = ()
    """Seeds that found it once: they are tried first."""


def runs(bug: Bug):
    """Seeds of old, the fixed scenarios without faults, then seeds."""
    for seed in bug.once:
        yield by_seed(seed, bug.doubles)
    for scenario in () if bug.seeds_only or bug.raced else GOLDEN:
        yield calmly(scenario, bug.doubles)
    for point in range(1, calmly(GOLDEN[-1]).points + 1) if bug.raced else ():
        yield with_fault(GOLDEN[-1], point, CHANGE_FIRST, bug.doubles)
    for seed in SEEDS:
        yield by_seed(seed, bug.doubles)


def hunt(bug: Bug) -> tuple[bool, list[str]]:
    """Whether a run says what is wrong, and what all runs up to it have said."""
    said: list[str] = []
    for world in runs(bug):
        if world.broken is not None:
            said.append(str(world.broken)[:300])
            if re.search(bug.finds, said[-1]):
                return True, said
    return False, said


# Bugs of the log


class NoFence(MemoryLog):
    """Anybody who ever held a lease may write."""

    def _held(self, lease):
        session = self.sessions.get(lease.session_id)
        if session is None:
            raise LeaseLost
        return session


class OldFence(MemoryLog):
    """A claim does not raise the fence."""

    def _lease(self, session, owner, now):
        session.fence = max(session.fence - 1, 0)
        return super()._lease(session, owner, now)


class Generous(MemoryLog):
    """Gives leases away before their promised end."""

    def _is_due(self, session, now):
        row = session.row
        free = session.lease is None or (row.lease_until or 0.0) - 4.0 <= now
        return row.wake_at is not None and row.wake_at <= now and free


class RenewsAnything(MemoryLog):
    """A heartbeat renews leases that are somebody else's by now."""

    async def heartbeat(self, leases):
        await super().heartbeat(leases)
        return {lease.session_id: False for lease in leases}


class LostWake(MemoryLog):
    """Input does not wake a parked session."""

    def _queue(self, session, incoming):
        super()._queue(session, incoming)
        if session.events:
            session.update(wake_at=None)


class ParksBlindly(MemoryLog):
    """Parks without a look at the inbox."""

    async def append(self, lease, entries, *, seen, take=(), derived, park=None, stopped=False):
        if park is not None:
            stays = self._held(lease).inbox
            park = replace(park, known=frozenset(pending.id for pending in stays))
        return await super().append(
            lease, entries, seen=seen, take=take, derived=derived, park=park, stopped=stopped
        )


class KeepsLease(MemoryLog):
    """A park does not give the lease back."""

    @staticmethod
    def _give_back(session):
        """Nothing."""


class SleepsOverABudget(MemoryLog):
    """Parks a session although somebody else has written to it."""

    async def append(self, lease, entries, *, seen, take=(), derived, park=None, stopped=False):
        session = self._held(lease)
        if park is not None and all(pending.id in park.known for pending in session.inbox):
            done = await super().append(
                lease, entries, seen=seen, take=take, derived=derived, stopped=stopped
            )
            seen = len(session.events)
            parked = await super().append(
                lease, (), seen=seen, derived=derived, park=park, stopped=stopped
            )
            return replace(parked, events=done.events)
        return await super().append(
            lease, entries, seen=seen, take=take, derived=derived, park=park, stopped=stopped
        )


class DoesNotWake(MemoryLog):
    """A raised budget wakes nobody."""

    async def change(self, workspace_id, session_id, decide):
        return await super().change(
            workspace_id, session_id, lambda row: replace(decide(row), wakes=False)
        )


class DoesNotRefuse(MemoryLog):
    """Writes what was planned before the stop."""

    async def append(self, lease, entries, *, seen, take=(), derived, park=None, stopped=False):
        held = self._held(lease).row.stopped_by is not None
        return await super().append(
            lease, entries, seen=seen, take=take, derived=derived, park=park, stopped=held
        )


class StopsQuietly(MemoryLog):
    """A stop interrupts nobody."""

    async def stop(self, stop):
        words = memory_log.words
        memory_log.words = lambda *_: ()
        try:
            return await super().stop(stop)
        finally:
            memory_log.words = words


class LiftsQuietly(MemoryLog):
    """Who was stopped is not woken."""

    async def lift(self, workspace_id, stop_id, by):
        before = {each.row.id: each.row.wake_at for each in self.sessions.values()}
        lifted = await super().lift(workspace_id, stop_id, by)
        for each in self.sessions.values():
            each.update(wake_at=before[each.row.id])
        return lifted


class NeverSleeps(MemoryLog):
    """A park leaves the session due."""

    async def append(self, lease, entries, *, seen, take=(), derived, park=None, stopped=False):
        if park is not None:
            park = replace(park, wake_at=self.clock.now() + 3600)
        return await super().append(
            lease, entries, seen=seen, take=take, derived=derived, park=park, stopped=stopped
        )


class TakesAll(MemoryLog):
    """Empties the inbox instead of removing what was taken in."""

    async def append(self, lease, entries, *, seen, take=(), derived, park=None, stopped=False):
        answer = await super().append(
            lease, entries, seen=seen, take=take, derived=derived, park=park, stopped=stopped
        )
        self.sessions[lease.session_id].inbox.clear()
        return replace(answer, inbox=())


class ForgetsAsks(MemoryLog):
    """The row does not repeat what the log says."""

    def _columns(self, session, derived):
        return super()._columns(session, replace(derived, asks=()))


class ForgetsUsage(MemoryLog):
    """The row's usage is not the log's."""

    def _columns(self, session, derived):
        return super()._columns(session, replace(derived, usage={"input_tokens": 1}))


def gaps(patch):
    original = memory_session.MemorySession.write

    def write(session, entries, taken=()):
        written = original(session, entries, taken)
        if len(session.events) > 6:
            session.events[-1] = replace(session.events[-1], seq=session.events[-1].seq + 1)
        return written

    patch.setattr(memory_session.MemorySession, "write", write)


def twice(patch):
    original = memory_session.MemorySession.write

    def write(session, entries, taken=()):
        written = original(session, entries, taken)
        if written and written[-1].type == "session.status_idle":
            session.events.append(replace(written[-1], seq=len(session.events) + 1))
        return written

    patch.setattr(memory_session.MemorySession, "write", write)


# Bugs of the sandbox and the model


class NoJournal(FakeSandbox):
    """Runs a call as often as it is told to."""

    async def call(self, sandbox_id, spec, call_id, tool, arguments):
        self.journals.get(sandbox_id, {}).pop(call_id, None)
        return await super().call(sandbox_id, spec, call_id, tool, arguments)


class ForgetsStarts(MemoryLog):
    """Every call is the first."""

    async def start_call(self, lease, call_id):
        self._held(lease)
        return True


class AlwaysStarted(MemoryLog):
    """No call is the first."""

    async def start_call(self, lease, call_id):
        self._held(lease)
        return False


class CallsTwice(FakeServers):
    """A request goes out again when its answer is slow."""

    async def call(self, lease, server, tool, arguments, key):
        await super().call(lease, server, tool, arguments, key)
        return await super().call(lease, server, tool, arguments, key)


# Bugs of the worker


def tool_outcome(change):
    def plant(patch):
        original = run_tools.run_tool

        async def run_tool(world, state_now, call, *, lost):
            return change(await original(world, state_now, call, lost=lost), state_now)

        patch.setattr(step_tasks, "run_tool", run_tool)

    return plant


def in_primary(results, state_now):
    return [replace(result, thread_id=state_now.primary_id) for result in results]


def folds_others_last(patch):
    def caught_up(self, after, own, appended):
        mine = {event.id for event in own}
        others = [event for event in appended.events if event.id not in mine]
        after = state.fold_all(after, others)
        self.see(appended.inbox)
        last = appended.events[-1].seq if appended.events else after.seq
        return replace(after, seq=last).with_inbox(appended.inbox)

    patch.setattr(turn.Turn, "caught_up", caught_up)
    patch.setattr(checks, "SAMPLED", 1)


def ends_by_itself(patch):
    async def claim(self):
        if self.world.clock.monotonic() > 1:
            raise OSError("out of memory")
        await original(self)

    original = Worker.claim
    patch.setattr(Worker, "claim", claim)


def asserts(patch):
    def perform(self, state_now, record):
        raise AssertionError("planted")

    patch.setattr(turn.Turn, "perform", perform)


# Bugs of the harness


def rule(name, change):
    """Put a rule of a thread in another form."""

    def plant(patch):
        rules = tuple(
            (each, change(function) if each == name else function)
            for each, function in plan.THREAD_RULES
        )
        assert rules != plan.THREAD_RULES, name
        patch.setattr(plan, "THREAD_RULES", rules)

    return plant


def takes_messages_any_time(_):
    def messages_to_take(state_now, of, now):
        mail = plan.messages_for(state_now, of)
        return plan.Record(take=tuple(entry.id for entry in mail)) if mail else None

    return messages_to_take


def messages_first(patch):
    """Messages are taken in before anything else, also between a call and its result."""
    rules = plan.THREAD_RULES
    first = ("messages_to_take", takes_messages_any_time(None))
    patch.setattr(plan, "THREAD_RULES", (first, *rules))


def idle_order(change):
    def plant(patch):
        original = drafts.idle

        def idle(*arguments):
            return change(original(*arguments))

        patch.setattr(drafts, "idle", idle)

    return plant


def idle_with(reason):
    """Every session idle gives this reason."""

    def change(written):
        return tuple(
            replace(draft, fields={**draft.fields, "stop_reason": reason})
            if draft.type == "session.status_idle"
            else draft
            for draft in written
        )

    return change


def running_again(patch):
    original = plan.begin_request

    def begin_request(state_now, of):
        again = drafts.Draft("session.status_running", state_now.primary_id)
        return plan.Record(drafts=(again, *original(state_now, of).drafts))

    patch.setattr(plan, "begin_request", begin_request)


def stays_unanswered(patch):
    original = thread.Thread.with_input

    def with_input(self, blocks):
        return replace(original(self, blocks), needs_model=self.status == "running")

    patch.setattr(thread.Thread, "with_input", with_input)


def forgets_a_result(patch):
    original = context.user_blocks

    def user_blocks(group, uses):
        return [
            block
            for block in original(group, uses)
            if block["type"] != "tool_result" or block["tool_use_id"] != uses[-1] or len(uses) < 2
        ]

    patch.setattr(context, "user_blocks", user_blocks)


def forgets_thinking(patch):
    original = thread.Thread.block

    def block(self, entry):
        changed = {**entry, "signature": ""} if "signature" in entry else entry
        return original(self, changed)

    patch.setattr(thread.Thread, "block", block)


def ignores_interrupts(patch):
    handlers = {**state.HANDLERS, "user.interrupt": lambda state_now, event: state_now}
    patch.setattr(state, "HANDLERS", handlers)


def tells_again(patch):
    handlers = {**state.HANDLERS}
    original = handlers["session.error"]

    def session_error(state_now, event):
        return replace_told(original(state_now, event), state_now.told)

    def replace_told(after, told):
        return replace(after, told=told)

    patch.setattr(state, "HANDLERS", {**handlers, "session.error": session_error})


def runs_what_is_denied(patch):
    patch.setattr(thread.OpenCall, "denied", property(lambda self: False))
    patch.setattr(
        thread.Thread, "runnable", property(lambda self: tuple(each.call for each in self.open))
    )


def runs_what_is_elsewhere(patch):
    """The platform runs the calls of a self-hosted worker."""
    patch.setattr(state, "by_client", lambda environment, kind, name: kind == "custom")


def forgets_the_worker(patch):
    """A confirmed call of a self-hosted worker waits for nobody."""
    awaits = property(lambda self: self.call.kind == "custom" or self.awaits_confirmation)
    patch.setattr(thread.OpenCall, "awaits_client", awaits)


def confirmation_is_enough(patch):
    """The door takes an allowed call of a self-hosted worker for answered."""
    patch.setattr(
        asks, "after", lambda ask, confirmed, resulted: None if confirmed or resulted else ask
    )


class QueuesTwice(MemoryLog):
    """Lets in every result, also of calls that have theirs."""

    async def accept(self, workspace_id, session_id, call_ids, decide):
        def anyhow(desk):
            calls = {
                name: replace(facts, awaits=facts.awaits or "tool")
                for name, facts in desk.calls.items()
            }
            return decide(replace(desk, calls=calls))

        return await super().accept(workspace_id, session_id, call_ids, anyhow)


def lets_everything_run(patch):
    """The judge is asked, and its answer forgotten."""
    patch.setattr(
        permission, "judge", lambda *arguments: judged(*arguments[:4], permission.ALLOWED)
    )


judged = permission.judge


def forgets_the_judges_cost(patch):
    patch.setattr(state, "judged", lambda state_now, thread_id, record: state_now)


def ignores_the_clock(patch):
    patch.setattr(plan, "seconds_left", lambda state, now: None)


def ignores_the_budget(patch):
    patch.setattr(state.State, "at_cap", property(lambda self: False))


def counts_half(patch):
    """The row's cost leaves some of the work out."""
    original = state.HANDLERS["span.model_request_end"]

    def request_ended(state_now, event):
        after = original(state_now, event)
        return replace(after, cost=state_now.cost if state_now.cost.priced else after.cost)

    patch.setattr(state, "HANDLERS", {**state.HANDLERS, "span.model_request_end": request_ended})


def drops_what_is_paused(patch):
    original = state.HANDLERS["session.thread_status_idle"]

    def thread_idle(state_now, event):
        after = original(state_now, event)
        paused = after.threads[event.payload["session_thread_id"]]
        return after.with_thread(replace(paused, needs_model=False))

    patch.setattr(state, "HANDLERS", {**state.HANDLERS, "session.thread_status_idle": thread_idle})


def idles_too_soon(patch):
    going = ("running", "rescheduling")
    busy = property(lambda self: self.status in going or self.needs_model)
    patch.setattr(thread.Thread, "busy", busy)


def alone(patch):
    """A thread's end is the session's, whatever the others do."""
    patch.setattr(thread.Thread, "busy", property(lambda self: False))


def never_hands_over(patch):
    """Whoever hears of the idle finds nothing."""

    async def nothing(self, entries):
        """As if there were no outputs."""

    patch.setattr(turn.Turn, "hand_over", nothing)


def asks_without_repositories(patch):
    rules = tuple(rule for rule in plan.THREAD_RULES if rule[0] != "repository_missing")
    patch.setattr(plan, "THREAD_RULES", rules)


def never_gives_up(patch):
    """A repository that cannot be had is tried again for ever."""
    patch.setattr(retry, "tries_again", lambda policy, failures, *, retryable: True)


class NeverThere(Checkouts):
    """No host answers any more."""

    async def check_out(self, session_id, repository_id, limits):
        await self.clock.sleep(0.5)
        raise broken_host()


def ignores_the_stop(patch):
    """The planner does not know of stops."""
    rules = tuple(rule for rule in plan.THREAD_RULES if rule[0] != "held")
    patch.setattr(plan, "THREAD_RULES", rules)
    original = plan.messages_for
    patch.setattr(plan, "messages_for", lambda s, t: original(state.evolve(s, stopped=False), t))


def runs_in_circles(patch):
    """The planner counts no failures."""
    rules = tuple(rule for rule in plan.THREAD_RULES if rule[0] != "in_circles")
    patch.setattr(plan, "THREAD_RULES", rules)


BUGS = (
    Bug("asks without repositories", "is asked without", asks_without_repositories),
    Bug("never gives up", "not settled", never_gives_up, doubles=Doubles(repositories=NeverThere)),
    Bug("no fence", "a row of fence", doubles=Doubles(log=NoFence), seeds_only=True),
    Bug("a fence twice", "fence .* is not new", doubles=Doubles(log=OldFence)),
    Bug("a lease given away", "given away", doubles=Doubles(log=Generous), seeds_only=True),
    Bug("renews old leases", "old lease was renewed", doubles=Doubles(log=RenewsAnything),
        seeds_only=True),
    Bug("lost wake", "not settled", doubles=Doubles(log=LostWake)),
    Bug("parks blindly", "not settled.*nobody takes in|lists calls that are answered",
        doubles=Doubles(log=ParksBlindly), seeds_only=True),
    Bug("keeps the lease", "idle and claimed", doubles=Doubles(log=KeepsLease)),
    Bug("wants to be woken", "wants to be woken", doubles=Doubles(log=NeverSleeps)),
    Bug("loses input", "accepted and is not in the log|not settled", doubles=Doubles(log=TakesAll)),
    Bug("row without asks", "row says", doubles=Doubles(log=ForgetsAsks)),
    Bug("row with a wrong usage", "usage is not the log's", doubles=Doubles(log=ForgetsUsage)),
    Bug("gaps", "seq has gaps", gaps),
    Bug("an event twice", "ids written twice|idle again|nothing may follow", twice),
    Bug("no journal", "executed twice", doubles=Doubles(sandbox=NoJournal), seeds_only=True),
    Bug("forgets starts", "servers called twice", doubles=Doubles(log=ForgetsStarts),
        seeds_only=True, once=(160,)),
    Bug("gives up outcomes", "although nothing had gone wrong", doubles=Doubles(log=AlwaysStarted)),
    Bug("calls servers twice", "servers called twice", doubles=Doubles(servers=CallsTwice)),
    Bug("tells again", "told twice", tells_again, seeds_only=True, once=(53,)),
    Bug("a result twice", "results|which is not open", tool_outcome(lambda r, _: r + r)),
    Bug("a result dropped", "not settled", tool_outcome(lambda r, _: [])),
    Bug("a result in a wrong place", "in a wrong place", tool_outcome(in_primary)),
    Bug("others folded last", "live state differs", folds_others_last, raced=True),
    Bug("outputs after the idle", "outputs were handed over", never_hands_over),
    Bug("a worker ends", "ended by itself", ends_by_itself),
    Bug("an assertion fails", "planted", asserts),
    Bug("messages in between", "a message between", messages_first),
    Bug("usage after idle", "an idle after", idle_order(lambda d: (d[0], *reversed(d[1:])))),
    Bug("no usage", "an idle after", idle_order(lambda d: (d[0], *d[2:]))),
    Bug("lists nothing", "wait for the client", idle_order(idle_with({"type": "end_turn"}))),
    Bug("running twice", "running although it ran", running_again),
    Bug("unanswered", "was not answered|not settled", stays_unanswered),
    Bug("a result missing in a request", "invalid model request", forgets_a_result),
    Bug("thinking changed", "came back changed", forgets_thinking),
    Bug("interrupts ignored", "after an interrupt", ignores_interrupts),
    Bug("runs what is denied", "executed without permission|servers called without permission",
        runs_what_is_denied),
    Bug("runs what is elsewhere", "executed here", runs_what_is_elsewhere),
    Bug("forgets the worker", "have no result and wait for nobody|not settled|wait for the client",
        forgets_the_worker),
    Bug("a confirmation is enough", "not settled|lists calls that are answered|idle while",
        confirmation_is_enough),
    Bug("the door takes any result", "two answers of clients",
        doubles=Doubles(log=QueuesTwice)),
    Bug("ignores the judge", "the judge said", lets_everything_run),
    Bug("forgets the judge's cost", "the requests cost", forgets_the_judges_cost),
    Bug("sleeps over a raised budget", "a budget that has room", raced=True,
        doubles=Doubles(log=SleepsOverABudget)),
    Bug("a raised budget wakes nobody", "not settled", doubles=Doubles(log=DoesNotWake)),
    Bug("ignores the budget", "a request begins at a cost", ignores_the_budget),
    Bug("writes into a stop", "began in a stopped session|not settled|was taken in",
        doubles=Doubles(log=DoesNotRefuse)),
    Bug("a stop interrupts nobody", "although it is stopped",
        doubles=Doubles(log=StopsQuietly)),
    Bug("a lifted stop wakes nobody", "not settled", doubles=Doubles(log=LiftsQuietly)),
    Bug("takes messages in while stopped", "was taken in|began in a stopped session",
        ignores_the_stop),
    Bug("runs in circles", "times in a row", runs_in_circles),
    Bug("ignores the clock", "a request begins after", ignores_the_clock),
    Bug("counts half the cost", "the requests cost", counts_half),
    Bug("drops what is paused", "does not go on|not settled", drops_what_is_paused),
    Bug("idles too soon", "lists calls that are answered", idles_too_soon),
    Bug("whoever has waited longest", "got a place with", doubles=Doubles(log=unfair.LongestFirst),
        seeds_only=True, once=(6,)),
    Bug("no bound", "more than", doubles=Doubles(log=unfair.Unbounded), seeds_only=True,
        once=(3,)),
    Bug("forgets priorities", "was passed over", unfair.forgets_priorities, seeds_only=True, once=(6,)),
    Bug("trusts notices", "not settled", unfair.trusts_notices, seeds_only=True, once=(18,)),
    Bug("idles alone", "the session is idle while|while the session is", alone),
)  # fmt: skip


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name.replace(" ", "-"))
def test_the_bug_is_found(bug, monkeypatch):
    bug.plant(monkeypatch)
    found, said = hunt(bug)
    assert found, said[:5] or "nothing was found"
