"""A log in memory that keeps the contract of the real one: for tests and simulations.

One object is the database; every worker and every door of a test shares it. Fence, gapless `seq`,
refusal to park over unknown input, leases with an end, fair claims and attempts behave as in
PostgreSQL; both are held to one contract suite. Not kept: streams (`follow`) and pages.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agentstead.clock import Clock
from agentstead.errors import LeaseLost, NotFound
from agentstead.ids import Ids, RandomIds
from agentstead.log.claims import PRIORITY_SECONDS, Shares
from agentstead.log.log import (
    Appended,
    Change,
    Decide,
    Decision,
    Derived,
    Incoming,
    Lease,
    NewSession,
    Park,
    SessionRecord,
    SessionRow,
    Stop,
)
from agentstead.log.stop import held, matches, words, works
from agentstead.testing.memory_session import MemorySession, through_json
from agentstead.wire.events.stored import Event, Pending

LEASE_SECONDS = 5.0


def rank(session: MemorySession) -> float:
    """Its place in its workspace's order."""
    return (session.row.wake_at or 0.0) - PRIORITY_SECONDS * session.row.priority


class MemoryLog:
    """The log of all sessions of a test."""

    def __init__(
        self,
        clock: Clock,
        lease_seconds: float = LEASE_SECONDS,
        shares: Shares | None = None,
        ids: Ids | None = None,
    ) -> None:
        self.clock = clock
        self.lease_seconds = lease_seconds
        self.shares = shares or Shares()
        self.sessions: dict[str, MemorySession] = {}
        self.arrived = 0
        self.waiting: dict[asyncio.Future[None], None] = {}
        """Whoever waits for a notice, in order; woken by every notice, and looks again."""
        self.stops: dict[str, Stop] = {}
        self.ids = ids or RandomIds(clock)
        self.previews: list[tuple[Lease, str, Mapping[str, Any]]] = []

    # what workers do

    async def claim(self, owner: str, limit: int) -> list[Lease]:
        """Claim due sessions: of the workspace that runs least, by priority and age."""
        now = self.clock.now()
        sessions = self.sessions.values()
        places = Counter(each.row.workspace_id for each in sessions if self._is_held(each, now))
        turns: list[tuple[float, float, MemorySession]] = []
        for session in sorted((each for each in sessions if self._is_due(each, now)), key=rank):
            workspace_id = session.row.workspace_id
            share = self.shares.of(workspace_id)
            places[workspace_id] += 1
            if not share.running_max or places[workspace_id] <= share.running_max:
                turns.append((places[workspace_id] / share.weight, rank(session), session))
        turns.sort(key=lambda each: each[:2])
        return [self._lease(session, owner, now) for _, _, session in turns[:limit]]

    @staticmethod
    def _is_held(session: MemorySession, now: float) -> bool:
        return session.lease is not None and (session.row.lease_until or 0.0) > now

    def _is_due(self, session: MemorySession, now: float) -> bool:
        row = session.row
        wanted = row.wake_at is not None and row.wake_at <= now
        return wanted and not self._is_held(session, now)

    def _lease(self, session: MemorySession, owner: str, now: float) -> Lease:
        session.fence += 1
        session.lease = Lease(session.row.id, session.row.workspace_id, session.fence, owner)
        session.update(
            lease_owner=owner,
            lease_until=now + self.lease_seconds,
            attempts=session.row.attempts + 1,
        )
        return session.lease

    async def heartbeat(self, leases: Sequence[Lease]) -> dict[str, bool]:
        """Renew the leases that still hold."""
        now = self.clock.now()
        alive = {}
        for lease in leases:
            session = self.sessions.get(lease.session_id)
            if session is not None and session.lease == lease:
                session.update(lease_until=now + self.lease_seconds)
                alive[lease.session_id] = bool(session.inbox)
        return alive

    async def release(self, leases: Sequence[Lease]) -> None:
        """Hand sessions back, due now; an orderly return is no failed attempt."""
        for lease in leases:
            session = self.sessions.get(lease.session_id)
            if session is not None and session.lease == lease:
                self._give_back(session)
                wake_at, attempts = session.row.wake_at, session.row.attempts
                session.update(
                    wake_at=self.clock.now() if wake_at is None else min(wake_at, self.clock.now()),
                    attempts=max(0, attempts - 1),
                )
                self._notice()

    async def load(self, lease: Lease) -> SessionRecord:
        """Read a claimed session."""
        return self._held(lease).record()

    async def append(
        self,
        lease: Lease,
        entries: Sequence[Event],
        *,
        seen: int,
        take: Sequence[str] = (),
        derived: Derived,
        park: Park | None = None,
        stopped: bool = False,
    ) -> Appended:
        """Write, all or nothing, under the fence."""
        session = self._held(lease)
        stays = [pending for pending in session.inbox if pending.id not in take]
        unknown = park is not None and any(pending.id not in park.known for pending in stays)
        held = session.row.stopped_by is not None
        unknown = unknown or held is not stopped
        if unknown or (park is not None and len(session.events) > seen):
            events, inbox = tuple(session.events[seen:]), tuple(session.inbox)
            return Appended(events, inbox, refused=True, stopped=held)
        columns = self._columns(session, derived)  # first: what is no JSON must write nothing
        session.write(entries, take)
        session.update(**columns, attempts=0)
        session.threads.update({thread.id: thread for thread in derived.threads})
        if park is not None:
            self._give_back(session)
            session.update(wake_at=park.wake_at)
            self._notice()
        return Appended(tuple(session.events[seen:]), tuple(session.inbox), stopped=held)

    async def start_call(self, lease: Lease, call_id: str) -> bool:
        """Note a call's start under the fence; False when it was noted before."""
        started = self._held(lease).started
        known = call_id in started
        started.add(call_id)
        return not known

    def _columns(self, session: MemorySession, derived: Derived) -> dict[str, Any]:
        now = self.clock.now()
        terminated = derived.status == "terminated"
        return {
            "status": derived.status,
            "stop_reason": through_json(derived.stop_reason),
            "asks": derived.asks,
            "usage": through_json(derived.usage),
            "stats": through_json(derived.stats),
            "active_since": derived.active_since,
            "list_cost": derived.list_cost,
            "terminated_at": (session.row.terminated_at or now) if terminated else None,
            "updated_at": now,
        }

    def _held(self, lease: Lease) -> MemorySession:
        session = self.sessions.get(lease.session_id)
        if session is None or session.lease != lease:
            raise LeaseLost
        return session

    @staticmethod
    def _give_back(session: MemorySession) -> None:
        session.lease = None
        session.update(lease_owner=None, lease_until=None)

    async def pending(self, session_id: str) -> tuple[Pending, ...]:
        """All input pending."""
        session = self.sessions.get(session_id)
        return tuple(session.inbox) if session is not None else ()

    async def due(self, timeout_seconds: float) -> None:
        """Return when a session is due or a notice came, or after the time-out."""
        if self.something_is_due():
            return
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._next_notice()
        except TimeoutError:
            return

    def something_is_due(self) -> bool:
        """Whether a claim would find anything now."""
        now = self.clock.now()
        return any(self._is_due(session, now) for session in self.sessions.values())

    async def news(self, session_id: str, after: int) -> int:
        """Return when newer input may be pending, and the latest arrival; never for a lost session."""
        while self._latest(session_id) <= after:
            await self._next_notice()
        return self._latest(session_id)

    def _latest(self, session_id: str) -> int:
        session = self.sessions.get(session_id)
        return session.latest if session is not None else 0

    async def _next_notice(self) -> None:
        notice: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting[notice] = None
        try:
            await notice
        finally:
            del self.waiting[notice]

    def _notice(self) -> None:
        """Wake everybody who waits for something; each looks for himself."""
        for notice in self.waiting:
            if not notice.done():
                notice.set_result(None)

    # what the door does

    async def create(self, new: NewSession) -> str | None:
        """Insert a session with its primary thread and first input; the stop that holds for it."""
        assert new.id not in self.sessions, f"{new.id} exists"
        session = MemorySession.begin(new)
        self.sessions[new.id] = session
        self._hold(session)
        if session.row.stopped_by is not None:
            session.update(status="idle", active_since=None)
        for incoming in new.incoming:
            self._queue(session, incoming)
        return session.row.stopped_by

    async def accept(
        self, workspace_id: str, session_id: str, call_ids: Sequence[str], decide: Decide
    ) -> Decision:
        """Let `decide` look at the desk and queue what it says."""
        session = self._owned(workspace_id, session_id)
        desk = session.desk(call_ids)
        decision = held(desk, decide(desk))
        if decision.starts_work:
            since = session.row.active_since
            session.update(
                status="running",
                stop_reason=None,
                active_since=self.clock.now() if since is None else since,
            )
            session.run_threads(decision.queue)
        for incoming in decision.queue:
            self._queue(session, incoming)
        return decision

    def _queue(self, session: MemorySession, incoming: Incoming) -> None:
        now = self.clock.now()
        self.arrived += 1
        session.queue(incoming, self.arrived, now)
        wake_at = session.row.wake_at
        session.update(wake_at=now if wake_at is None else min(now, wake_at), updated_at=now)
        self._notice()

    async def change(
        self, workspace_id: str, session_id: str, decide: Callable[[SessionRow], Change]
    ) -> SessionRow:
        """Let `decide` look at the row and write what it says."""
        session = self._owned(workspace_id, session_id)
        change = decide(session.seen())
        if change.columns or change.entries:
            columns = through_json(dict(change.columns))
            if "resources" in columns:
                columns["resources"] = tuple(columns["resources"])
            now, row = self.clock.now(), session.row
            if columns.get("status") == "running":
                since = now if row.active_since is None else row.active_since
                columns |= {"stop_reason": None, "active_since": since}
            if change.wakes:
                columns["wake_at"] = now if row.wake_at is None else min(now, row.wake_at)
            session.update(**columns, updated_at=self.clock.now())
            session.write(change.entries)
            if columns.get("status") == "terminated":
                session.end()
            session.audit.append("change")
            self._notice()
        return session.seen()

    async def delete(
        self, workspace_id: str, session_id: str, check: Callable[[SessionRow], None]
    ) -> None:
        """Delete a session and everything of it."""
        session = self._owned(workspace_id, session_id)
        check(session.seen())
        del self.sessions[session_id]
        self._notice()

    async def stop(self, stop: Stop) -> Stop:
        """Stop what matches; interrupt what works."""
        found = [
            each
            for each in self.sessions.values()
            if each.row.terminated_at is None and matches(stop, each.row)
        ]
        working = [each for each in found if each.row.stopped_by is None and works(each.row)]
        stop = replace(stop, sessions=len(found), interrupted=len(working))
        self.stops[stop.id] = stop
        for session in found:
            self._hold(session)
        for session in working:
            for incoming in words(self.ids, stop):
                self._queue(session, incoming)
        return stop

    async def lift(self, workspace_id: str, stop_id: str, by: str) -> Stop:
        """End a stop."""
        stop = self.stops.get(stop_id)
        if stop is None or stop.workspace_id != workspace_id:
            raise NotFound(f"There is no stop {stop_id}.")
        if stop.lifted_at is not None:
            return stop
        now = self.clock.now()
        self.stops[stop_id] = replace(stop, lifted_at=now, lifted_by=by)
        for session in self.sessions.values():
            if session.row.stopped_by == stop_id:
                session.update(stopped_by=None)
                if not self._hold(session) and session.row.terminated_at is None:
                    session.update(wake_at=now)
        self._notice()
        return self.stops[stop_id]

    def _hold(self, session: MemorySession) -> bool:
        """Mark a session with the first stop that holds for it; whether there is one."""
        if session.row.stopped_by is None:
            holding = (each.id for each in self.stops.values() if matches(each, session.row))
            session.update(stopped_by=next(holding, None))
        return session.row.stopped_by is not None

    async def retrieve(self, workspace_id: str, session_id: str) -> SessionRow:
        """One session."""
        return self._owned(workspace_id, session_id).seen()

    def preview(self, lease: Lease, thread_id: str, frame: Mapping[str, Any]) -> None:
        """Keep what would be streamed of a message in the making."""
        self.previews.append((lease, thread_id, dict(frame)))

    def _owned(self, workspace_id: str, session_id: str) -> MemorySession:
        session = self.sessions.get(session_id)
        if session is None or session.row.workspace_id != workspace_id:
            raise NotFound(f"There is no session {session_id}.")
        return session
