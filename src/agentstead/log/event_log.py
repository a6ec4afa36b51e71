"""The log on PostgreSQL: all of `SessionLog`, from the parts of this room."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from agentstead.clock import Clock
from agentstead.errors import LeaseLost, NotFound
from agentstead.ids import EVENT, WORKER, Ids
from agentstead.log import follow, inbox, pages, read, routes, stopping, wait, work
from agentstead.log.append import Appender
from agentstead.log.backlog import Backlog
from agentstead.log.bus import GONE, INPUT, LOG, WORK, Bus
from agentstead.log.claims import Shares
from agentstead.log.dispatch import Dispatcher, Doorbell, News
from agentstead.log.hearing import Hearing
from agentstead.log.lease import Leases, Presence
from agentstead.log.log import (
    Appended,
    Change,
    Decide,
    Decision,
    Derived,
    EventPage,
    Follower,
    Incoming,
    Lease,
    NewSession,
    Park,
    SessionRecord,
    SessionRow,
    Stop,
)
from agentstead.log.postgres_bus import PostgresBus
from agentstead.log.redact import Redactors
from agentstead.log.starts import start_call
from agentstead.log.stop import held
from agentstead.log.tail import Hub, frame_of
from agentstead.log.work_bell import Queued, WorkBell, tell_nobody
from agentstead.store import audit
from agentstead.store.pool import Database, Transaction
from agentstead.wire.environment import self_hosted
from agentstead.wire.events.stored import Event, Pending


class EventLog:
    """Sessions' logs in one PostgreSQL database, as this process sees and writes them."""

    def __init__(
        self,
        database: Database,
        *,
        ids: Ids,
        clock: Clock,
        lease_seconds: float = 5.0,
        late_stream_seconds: float = 60.0,
        stream_rest_seconds: float = 0.0,
        secrets: Sequence[str] = (),
        work_queued: Queued = tell_nobody,
        nats_url: str | None = None,
        shares: Shares | None = None,
        sessions_max: int | None = None,
    ) -> None:
        self.database = database
        self.ids = ids
        self.clock = clock
        self.late_stream_seconds = late_stream_seconds
        self.redactors = Redactors(secrets)
        self.bus, self.bell = coupling(database, clock, ids.new(WORKER), nats_url)
        self.hub = Hub(clock, stream_rest_seconds)
        self.newsroom = News()
        self.work_bell = WorkBell()
        self.work_queued = work_queued
        self.leases = Leases(database, lease_seconds, shares)
        self.presence = Presence(database, clock, self.bell.ring, sessions_max)
        self.appender = Appender(
            database, clock, ids, self.bus, self.hub, self.redactors, self.work_bell, work_queued
        )
        self.hearing = Hearing(
            database, clock, ids, self.hub, self.bell, self.newsroom, self.work_bell
        )

    async def start(self) -> None:
        """Listen and be ready to write.

        StoreFault when the database cannot be reached, Misconfigured when NATS cannot.
        """
        await self.bus.start(self.hearing.hear, self.hearing.resync)
        try:
            await self.bell.start()
        except BaseException:
            await self.bus.close()
            raise
        self.appender.start()
        self.hearing.start()

    async def close(self) -> None:
        """Stop; what still waits to be written fails."""
        await self.appender.close()
        await self.hearing.close()
        await self.bell.close()
        await self.bus.close()
        await self.presence.close()

    def end_streams(self) -> None:
        """End every open stream of this process; clients connect again and list."""
        self.hub.finish()

    async def __aenter__(self) -> "EventLog":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # What workers do

    async def claim(self, owner: str, limit: int) -> list[Lease]:
        """Claim up to `limit` due sessions."""
        await self.presence.join(owner)
        leases = await self.leases.claim(owner, limit)
        for lease in leases:
            self.newsroom.watch(lease.session_id, lease.fence)
            self.appender.threads.forget(lease.session_id)
        return leases

    async def heartbeat(self, leases: Sequence[Lease]) -> dict[str, bool]:
        """Renew; session id → whether it has input pending."""
        return await self.leases.heartbeat(leases)

    async def release(self, leases: Sequence[Lease]) -> None:
        """Hand sessions back, due now."""
        await self.leases.release(leases)
        for lease in leases:
            self.newsroom.forget(lease.session_id, lease.fence)
        self.bell.ring()
        async with self.database.connection() as connection:
            await self.bus.send(connection, (f"{INPUT} {lease.session_id} 0" for lease in leases))

    async def load(self, lease: Lease) -> SessionRecord:
        """Read a claimed session."""
        return await read.load(self.database, lease)

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
        """Write with the next group commit."""
        try:
            appended = await self.appender.append(
                lease, entries, seen=seen, take=take, derived=derived, park=park, stopped=stopped
            )
        except LeaseLost:
            self.newsroom.forget(lease.session_id, lease.fence)
            self.appender.threads.forget(lease.session_id)
            raise
        if park is not None and not appended.refused:
            self.newsroom.forget(lease.session_id, lease.fence)
        return appended

    async def start_call(self, lease: Lease, call_id: str) -> bool:
        """Whether the call's start was noted now, for the first time."""
        return await start_call(self.database, lease, call_id)

    async def pending(self, session_id: str) -> tuple[Pending, ...]:
        """All input pending."""
        return await read.pending(self.database, session_id)

    async def due(self, timeout_seconds: float) -> None:
        """Return when a session may be due."""
        await self.bell.due(timeout_seconds)

    async def news(self, session_id: str, after: int) -> int:
        """The arrival of newer input, once there may be some."""
        return await self.newsroom.wait(session_id, after)

    def preview(self, lease: Lease, thread_id: str, frame: Mapping[str, Any]) -> None:
        """Publish here at once, elsewhere by the bus."""
        self.hub.publish_preview(lease.session_id, thread_id, frame)
        self.bus.preview(lease.session_id, thread_id, frame)

    # What routes do

    async def create(self, new: NewSession) -> str | None:
        """Insert session, thread and first input; the stop that holds for it."""
        now = self.clock.now()
        incoming = inbox.clean(new.incoming, self.redactors.of(new.id))
        async with self.database.pipeline() as tx:
            stopped_by = await stopping.holding(tx, new)
            await routes.insert_session(tx, new, stopped_by)
            if incoming:
                await inbox.queue(tx, new.workspace_id, new.id, incoming, now)
                latest = await inbox.wake(
                    tx, new.id, incoming, starts=stopped_by is None, views=(), at=new.created_at
                )
                await self.tell(tx, f"{INPUT} {new.id} {latest}")
                if stopped_by is None and self_hosted(new.environment):
                    await self.offer(tx, new.environment_id, new.id, new.incoming)
            await self.audited(tx, new.workspace_id, "session.create", new.id, now)
        if incoming:
            self.bell.ring()
            self.work_bell.ring(new.environment_id)
        return stopped_by

    async def accept(
        self, workspace_id: str, session_id: str, call_ids: Sequence[str], decide: Decide
    ) -> Decision:
        """Lock, decide, queue, wake, publish."""
        now = self.clock.now()
        async with self.database.pipeline() as tx:
            desk = await inbox.desk(tx, workspace_id, session_id, call_ids)
            decision = held(desk, self.cleaned(session_id, decide(desk)))
            if not decision.queue and not decision.starts_work:
                return decision
            await inbox.queue(tx, workspace_id, session_id, decision.queue, now)
            latest = await inbox.wake(
                tx,
                session_id,
                decision.queue,
                starts=decision.starts_work,
                views=self.hub.views(session_id),
                at=now,
            )
            await self.tell(tx, f"{INPUT} {session_id} {latest}")
            environment_id = desk.environment.get("id")
            if decision.starts_work and environment_id and self_hosted(desk.environment):
                await self.offer(tx, environment_id, session_id, decision.queue)
            detail = {"types": [entry.type for entry in decision.queue]}
            await self.audited(tx, workspace_id, "session.send", session_id, now, detail)
            for entry in decision.queue:
                if entry.type == "user.tool_confirmation":
                    await audit.write(tx, self.ids, confirmed(workspace_id, entry, now))
        self.hub.queued_here(session_id, latest)
        self.hub.publish_queued(session_id, inbox.queued_frames(decision.queue))
        self.newsroom.tell(session_id, latest)
        self.bell.ring()
        if decision.starts_work and environment_id:
            self.work_bell.ring(environment_id)
        return decision

    async def change(
        self, workspace_id: str, session_id: str, decide: Callable[[SessionRow], Change]
    ) -> SessionRow:
        """Lock, decide, write, publish."""
        now = self.clock.now()
        async with self.database.transaction() as tx:
            row = await read.retrieve(tx, workspace_id, session_id, lock=True)
            change = decide(row)
            if not change.columns and not change.entries:
                return row
            entries = await routes.write_change(tx, row, change, self.redactors.of(session_id), now)
            if change.columns.get("status") == "terminated" and self_hosted(row.environment):
                await work.withdraw(tx, [session_id], "The session was archived.")
            if entries:
                await self.tell(tx, f"{LOG} {session_id} {entries[-1].event.seq}")
            if change.wakes:
                await self.tell(tx, f"{INPUT} {session_id} 0")
            detail = {"changed": sorted(change.columns)}
            action = "session.archive" if "archived_at" in change.columns else "session.update"
            await self.audited(tx, workspace_id, action, session_id, now, detail)
            row = await read.retrieve(tx, workspace_id, session_id)
        self.hub.publish(session_id, [frame_of(entry.event, entry.text) for entry in entries])
        if change.wakes:
            self.bell.ring()
        return row

    async def delete(
        self, workspace_id: str, session_id: str, check: Callable[[SessionRow], None]
    ) -> None:
        """Delete everything of the session; its streams end."""
        now = self.clock.now()
        async with self.database.transaction() as tx:
            row = await read.retrieve(tx, workspace_id, session_id, lock=True)
            check(row)
            _, frame, text = routes.farewell(self.ids.new(EVENT), row.primary_thread_id, now)
            if self_hosted(row.environment):
                await work.withdraw(tx, [session_id], "The session was deleted.")
            await routes.erase(tx, session_id)
            await self.tell(tx, f"{GONE} {session_id} {text}")
            await self.audited(tx, workspace_id, "session.delete", session_id, now)
        self.hub.deleted(session_id, frame)

    async def stop(self, stop: Stop) -> Stop:
        """Stop what matches."""
        async with self.database.transaction() as tx:
            imposed, told = await stopping.impose(tx, self.ids, stop)
            await self.bus.send(tx.connection, (f"{INPUT} {each} {last}" for each, last in told))
        for session_id, latest in told:
            self.newsroom.tell(session_id, latest)
        self.bell.ring()
        return imposed

    async def lift(self, workspace_id: str, stop_id: str, by: str) -> Stop:
        """End a stop."""
        now = self.clock.now()
        async with self.database.transaction() as tx:
            stop, freed = await stopping.lift(tx, self.ids, workspace_id, stop_id, by, now)
            await self.bus.send(tx.connection, (f"{INPUT} {each} 0" for each in freed))
        self.bell.ring()
        return stop

    async def retrieve(self, workspace_id: str, session_id: str) -> SessionRow:
        """One session."""
        return await read.retrieve(self.database, workspace_id, session_id)

    async def page(
        self,
        workspace_id: str,
        session_id: str,
        *,
        thread_id: str | None = None,
        types: Sequence[str] = (),
        created: Mapping[str, float] | None = None,
        descending: bool = False,
        limit: int = 1000,
        after: tuple[int, int, int] | None = None,
    ) -> EventPage:
        """A page; one that shows the end of the latest turn counts as having seen it."""
        wanted = pages.Wanted(session_id, thread_id, types, created, descending, limit, after)
        read = await pages.page(self.database, workspace_id, wanted)
        if read is None:
            raise NotFound(f"There is no session {session_id}.")
        facts, found = read
        if found.shows_end:
            await self.mark_seen(session_id, thread_id or "", facts)
        return found.page

    async def mark_seen(self, session_id: str, view: str, row: Mapping[str, Any]) -> None:
        """Remember that a list has returned the end of the latest turn."""
        if view not in row["batch_seen"]:
            await self.database.execute(
                "update sessions set batch_seen = array_append(batch_seen, %s)"
                " where id = %s and batch_ended_seq = %s and not %s = any(batch_seen)",
                (view, session_id, row["batch_ended_seq"], view),
            )

    async def follow(
        self,
        workspace_id: str,
        session_id: str,
        *,
        thread_id: str | None = None,
        previews: frozenset[str] = frozenset(),
        after: follow.Mark | None = None,
    ) -> Follower:
        """Subscribe first, then read where to start."""
        subscriber = self.hub.join(session_id, thread_id, previews)
        try:
            start = await follow.opening(
                self.database, workspace_id, session_id, thread_id, self.late_stream_seconds, after
            )
        except BaseException:
            await subscriber.close()
            raise
        if start.far is not None and not self.hub.closed:
            await subscriber.close()
            go_on = partial(
                self.follow, workspace_id, session_id, thread_id=thread_id, previews=previews
            )
            return Backlog(
                self.database, session_id, thread_id, start.primary_thread_id, start.far,
                lambda seq: go_on(after=seq),
            )  # fmt: skip
        subscriber.begin(start.primary_thread_id, start.head, start.queued, start.replay)
        if start.at_rest:
            subscriber.rested_at = self.clock.now()
        self.hub.begun(subscriber, start.input_known)
        if start.over or self.hub.closed:
            subscriber.finish()
        return subscriber

    async def settled(
        self,
        workspace_id: str,
        session_id: str,
        done: Callable[[SessionRow], bool],
        timeout_seconds: float,
    ) -> SessionRow:
        """The session once `done` says so of it, or as it is after the time-out. Raises NotFound."""
        return await wait.settled(
            self.database, self.hub, self.clock, workspace_id, session_id, done, timeout_seconds
        )

    # Shared

    def cleaned(self, session_id: str, decision: Decision) -> Decision:
        """A decision whose input and echoes hold no secret of the platform or the session."""
        redactor = self.redactors.of(session_id)
        return replace(
            decision,
            queue=inbox.clean(decision.queue, redactor),
            echoes=tuple(redactor.without_values(echo) for echo in decision.echoes),
        )

    async def tell(self, tx: Transaction, line: str) -> None:
        """A notice, when and if the transaction commits."""
        await self.bus.send(tx.connection, (line,))

    async def offer(
        self,
        tx: Transaction,
        environment_id: str,
        session_id: str,
        incoming: Sequence[Incoming],
    ) -> None:
        """A self-hosted worker is wanted for the turn that begins."""
        cause = work.for_input(incoming[0].id if incoming else self.ids.new(EVENT))
        wanted = [work.Offer(session_id, cause)]
        if await work.offer(tx, self.ids, wanted, self.work_queued):
            await self.tell(tx, f"{WORK} {environment_id} 0")

    async def audited(
        self,
        tx: Transaction,
        workspace_id: str,
        action: str,
        session_id: str,
        now: float,
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        """The audit row of what a route did."""
        entry = audit.Entry(workspace_id, action, "session", session_id, now, detail=detail)
        await audit.write(tx, self.ids, entry)


def confirmed(workspace_id: str, entry: Incoming, now: float) -> audit.Entry:
    """The audit row of a client's answer to an ask."""
    call_id, result = entry.payload["tool_use_id"], entry.payload["result"]
    return audit.Entry(workspace_id, "tool.confirm", "event", call_id, now, decision=result)


def coupling(
    database: Database, clock: Clock, name: str, nats_url: str | None
) -> tuple[Bus, Dispatcher]:
    """How this process hears of others, and who of them gets the next wake."""
    if nats_url is None:
        return PostgresBus(database, clock, name), Doorbell()
    # 30 ms of import that most platforms do not need
    from agentstead.log.nats_bus import NatsBus
    from agentstead.log.nats_link import NatsLink
    from agentstead.log.nats_wakes import NatsWakes

    link = NatsLink(nats_url, database, name)
    wakes = NatsWakes(link, clock)
    return NatsBus(link, database, clock, wakes), wakes
