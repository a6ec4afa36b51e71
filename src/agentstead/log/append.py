"""The one way in for workers: fence, gapless seq, redaction, derived columns, notices.

Group commit: appends that are ready together go in one transaction, by a handful of set-based
statements. They do not share their fate: a stale fence, a missing take or a refused park fails
only the append it belongs to, and when the database refuses a batch each is tried alone. Session
rows are locked in the order of their ids, first of all.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from psycopg import Error

from agentstead.clock import Clock
from agentstead.errors import LeaseLost, StoreFault
from agentstead.ids import Ids
from agentstead.log import work
from agentstead.log.bus import LOG, WORK, Bus
from agentstead.log.charges import charge
from agentstead.log.log import Appended, Derived, Lease, Park
from agentstead.log.redact import Redactors
from agentstead.log.rows import event_of
from agentstead.log.sheet import (
    JUDGED,
    Columns,
    Sheet,
    Stored,
    Threads,
    arrays,
    decision_record,
    encoded_columns,
    event_record,
    stored,
)
from agentstead.log.tail import Hub, frame_of
from agentstead.log.work_bell import Queued, WorkBell
from agentstead.store.pool import Connection, Database, Transaction, faults
from agentstead.wire.events.stored import Event, Pending

BATCH_APPENDS_MAX = 200
BATCH_BYTES_MAX = 8 << 20

LOCK = b"""
    select id, workspace_id, agent_id, primary_thread_id, status, fence, lease_owner, head_seq,
           stopped_by is not null as stopped,
           extract(epoch from last_event_at)::float8 as last_event_at,
           exists (select from budgets b
                   where b.workspace_id = sessions.workspace_id and b.archived_at is null
                     and (b.agent_id is null or b.agent_id = sessions.agent_id)) as budgeted
    from sessions where id = any(%b) order by id for no key update
"""
INBOX = b"""
    select session_id, id, type, thread_id, payload, arrived, extract(epoch from at)::float8 as at
    from inbox where session_id = any(%b) order by arrived
"""
OTHERS = b"""
    select e.session_id, e.seq, e.id, e.thread_id, e.type, e.primary_view,
           extract(epoch from e.at)::float8 as at, e.payload, e.private
    from unnest(%b::text[], %b::bigint[]) as r(id, seen)
    join events e on e.session_id = r.id and e.seq > r.seen
    order by e.session_id, e.seq
"""
INSERT = b"""
    insert into events (session_id, seq, id, workspace_id, thread_id, type, primary_view, at, fence,
                        arrived, payload, private)
    select session_id, seq, id, workspace_id, thread_id, type, primary_view, to_timestamp(at), fence,
           arrived, payload::json, private::json
    from unnest(%t::text[], %t::bigint[], %t::text[], %t::text[], %t::text[], %t::text[], %t::bool[],
                %t::float8[], %t::bigint[], %t::bigint[], %t::text[], %t::text[])
      as r(session_id, seq, id, workspace_id, thread_id, type, primary_view, at, fence, arrived,
           payload, private)
"""
TAKE = b"delete from inbox where id = any(%b)"
DERIVE = b"""
    update sessions s set
        head_seq = r.head_seq,
        last_event_at = coalesce(to_timestamp(r.last_at), s.last_event_at),
        updated_at = greatest(s.updated_at, to_timestamp(r.at)),
        status = r.status, stop_reason = r.stop_reason::json, asks = r.asks::json,
        usage = r.usage::json, stats = r.stats::json, active_since = to_timestamp(r.active_since),
        list_cost = r.list_cost::numeric,
        attempts = 0,
        terminated_at = case when r.status = 'terminated'
            then coalesce(s.terminated_at, to_timestamp(r.at)) else s.terminated_at end,
        wake_at = case when r.parked then clock_timestamp() + make_interval(secs => r.wake_in)
            else s.wake_at end,
        lease_owner = case when r.parked then null else s.lease_owner end,
        lease_until = case when r.parked then null else s.lease_until end,
        batch_ended_seq = coalesce(s.batch_ended_seq, r.ended_seq),
        batch_ended_at = case when s.batch_ended_seq is null and r.ended_seq is not null
            then to_timestamp(r.at) else s.batch_ended_at end,
        batch_seen = case when r.views is null or s.batch_first is null then s.batch_seen
            else array(select unnest(s.batch_seen) union
                       select json_array_elements_text(r.views::json)) end
    from unnest(%t::text[], %t::bigint[], %t::float8[], %t::float8[], %t::text[], %t::text[],
                %t::text[], %t::text[], %t::text[], %t::float8[], %t::bool[], %t::float8[],
                %t::bigint[], %t::text[], %t::text[])
      as r(id, head_seq, last_at, at, status, stop_reason, asks, usage, stats, active_since, parked,
           wake_in, ended_seq, views, list_cost)
    where s.id = r.id
"""
THREADS = b"""
    insert into threads (id, session_id, workspace_id, parent_thread_id, status, usage, stats,
                         created_at, updated_at)
    select id, session_id, workspace_id, parent_thread_id, status, usage::json, stats::json,
           to_timestamp(at), to_timestamp(at)
    from unnest(%t::text[], %t::text[], %t::text[], %t::text[], %t::text[], %t::text[], %t::text[],
                %t::float8[])
      as r(id, session_id, workspace_id, parent_thread_id, status, usage, stats, at)
    on conflict (id) do update set status = excluded.status, usage = excluded.usage,
        stats = excluded.stats, updated_at = excluded.updated_at
"""
DECISIONS = b"""
    insert into audit (id, workspace_id, at, actor, action, target_type, target_id, decision, rule,
                       detail)
    select id, workspace_id, to_timestamp(at), actor, 'tool.judge', 'event', target, decision, rule,
           detail::json
    from unnest(%t::text[], %t::text[], %t::float8[], %t::text[], %t::text[], %t::text[], %t::text[],
                %t::text[])
      as r(id, workspace_id, at, actor, target, decision, rule, detail)
"""


@dataclass(slots=True)
class Request:
    """One append that waits for its transaction."""

    lease: Lease
    entries: Sequence[Stored]
    seen: int
    take: Sequence[str]
    columns: Columns
    park: Park | None
    done: "asyncio.Future[Appended]"
    size: int = 0
    stopped: bool = False


@dataclass(slots=True)
class Batch:
    """Appends of one transaction and what became of them."""

    requests: list[Request]
    sheets: dict[str, Sheet] = field(default_factory=dict)
    outcomes: list[Appended | BaseException] = field(default_factory=list)
    offered: list[str] = field(default_factory=list)
    """Environments in which work was queued."""


class Appender:
    """Appends of this process."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        ids: Ids,
        bus: Bus,
        hub: Hub,
        redactors: Redactors,
        work_bell: WorkBell,
        work_queued: Queued,
    ) -> None:
        self.database = database
        self.work_bell = work_bell
        self.work_queued = work_queued
        self.ids = ids
        self.clock = clock
        self.bus = bus
        self.hub = hub
        self.redactors = redactors
        self.threads = Threads()
        self.waiting: list[Request] = []
        self.ready = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to write."""
        self.task = asyncio.create_task(self.flushing(), name="log append")

    async def close(self) -> None:
        """Stop writing; what still waits fails."""
        if self.task:
            self.task.cancel()
            with suppress(asyncio.CancelledError):
                await self.task
            self.task = None

    async def append(
        self,
        lease: Lease,
        entries: Sequence[Event],
        *,
        seen: int,
        take: Sequence[str],
        derived: Derived,
        park: Park | None,
        stopped: bool = False,
    ) -> Appended:
        """Write with the next transaction."""
        assert self.task, "the log is not started"
        if self.task.done():  # an error nobody foresaw ended it: who waited was told
            self.start()
        redactor = self.redactors.of(lease.session_id)
        texts = [stored(entry, redactor) for entry in entries]
        columns = encoded_columns(derived)
        request = Request(
            lease, texts, seen, take, columns, park, asyncio.get_running_loop().create_future()
        )
        request.size = sum(len(entry.text) for entry in texts)
        request.stopped = stopped
        self.waiting.append(request)
        self.ready.set()
        return await request.done

    async def flushing(self) -> None:
        """Write what is ready, again and again."""
        requests: list[Request] = []
        try:
            while True:
                requests = []
                await self.ready.wait()
                requests = self.gather()
                if requests:
                    await self.write(requests)
        except BaseException as error:
            closed = StoreFault("The log was closed.", kind="unavailable", retryable=True)
            closed.__cause__ = error
            for request in (*requests, *self.waiting):
                resolve(request, closed)
            self.waiting = []
            raise

    def gather(self) -> list[Request]:
        """The next batch, oldest first."""
        count, size = 0, 0
        for request in self.waiting[:BATCH_APPENDS_MAX]:
            size += request.size
            if count and size > BATCH_BYTES_MAX:
                break
            count += 1
        batch, self.waiting = self.waiting[:count], self.waiting[count:]
        if not self.waiting:
            self.ready.clear()
        return [request for request in batch if not request.done.done()]

    async def write(self, requests: list[Request]) -> None:
        """One transaction for all; when the database refuses it, one for each."""
        batch = Batch(requests)
        try:
            await self.transact(batch)
        except (Error, StoreFault) as error:
            if len(requests) > 1 and not isinstance(error, StoreFault):
                for request in requests:
                    await self.write([request])
                return
            self.hub.resync()  # it may have been committed, and nobody here would be told
            for request in requests:
                resolve(request, error)
            return
        for request, outcome in zip(requests, batch.outcomes, strict=True):
            resolve(request, outcome)
        self.publish(batch)

    async def transact(self, batch: Batch) -> None:
        """Lock, decide, write, tell."""
        ids = sorted({request.lease.session_id for request in batch.requests})
        async with self.database.connection() as connection:
            with faults():
                async with connection.pipeline(), connection.transaction():
                    locked = await connection.execute(LOCK, (ids,))
                    boxes = await connection.execute(INBOX, (ids,))
                    batch.sheets = {row["id"]: Sheet(row) for row in await locked.fetchall()}
                    for row in await boxes.fetchall():
                        batch.sheets[row["session_id"]].add_pending(row)
                    await self.read_others(connection, batch)
                    for request in batch.requests:
                        batch.outcomes.append(self.settle(batch.sheets, request))
                    await self.insert(connection, batch)

    async def read_others(self, connection: Connection, batch: Batch) -> None:
        """Events that a request has not seen yet, written by routes or earlier workers."""
        seen: dict[str, int] = {}
        for request in batch.requests:
            sheet = batch.sheets.get(request.lease.session_id)
            if sheet and sheet.holds(request.lease) and request.seen < sheet.head:
                seen[sheet.id] = min(request.seen, seen.get(sheet.id, request.seen))
        if seen:
            cursor = await connection.execute(OTHERS, (list(seen), list(seen.values())))
            for row in await cursor.fetchall():
                batch.sheets[row["session_id"]].events.append(event_of(row))

    def settle(self, sheets: dict[str, Sheet], request: Request) -> Appended | BaseException:
        """Decide on one append, on the sheet of its session."""
        sheet = sheets.get(request.lease.session_id)
        if sheet is None or not sheet.holds(request.lease):
            return LeaseLost()
        missing = [taken for taken in request.take if taken not in sheet.pending]
        if missing:
            return AssertionError(f"not in the inbox any more: {', '.join(missing)}")
        taken = set(request.take)
        left = tuple(p for p in sheet.pending.values() if p.id not in taken)
        unknown = request.park and any(p.id not in request.park.known for p in left)
        unknown = unknown or sheet.stopped is not request.stopped
        if unknown or (request.park and sheet.head > request.seen):
            pending = tuple(sheet.pending.values())
            return found(sheet, sheet.since(request.seen), pending, refused=True)
        sheet.write(request.entries, request.take, request.columns, request.park, self.clock.now())
        return found(sheet, sheet.since(request.seen), left)

    async def insert(self, connection: Connection, batch: Batch) -> None:
        """Write all sheets."""
        written = [sheet for sheet in batch.sheets.values() if sheet.columns]
        if not written:
            return
        records = [event_record(sheet, entry) for sheet in written for entry in sheet.written]
        if records:
            await connection.execute(INSERT, arrays(records))
        if taken := [taken for sheet in written for taken in sheet.taken]:
            await connection.execute(TAKE, (taken,))
        await connection.execute(
            DERIVE, arrays([sheet.record(self.hub.views(sheet.id)) for sheet in written])
        )
        if judged := [
            decision_record(self.ids, sheet, entry.event)
            for sheet in written
            for entry in sheet.written
            if entry.event.type in JUDGED
        ]:
            await connection.execute(DECISIONS, arrays(judged))
        if threads := [row for sheet in written for row in self.threads.changed(sheet)]:
            await connection.execute(THREADS, arrays(threads))
        await charge(connection, written)
        await self.hosts(connection, batch, written)
        told = [f"{LOG} {sheet.id} {sheet.head}" for sheet in written if sheet.written]
        told += [f"{WORK} {environment_id} 0" for environment_id in batch.offered]
        await self.bus.send(connection, told)

    async def hosts(self, connection: Connection, batch: Batch, written: list[Sheet]) -> None:
        """Offer sessions whose calls wait for a self-hosted worker; take back those that ended."""
        after = [(sheet.id, sheet.columns.derived) for sheet in written if sheet.columns]
        offers = [
            work.Offer(session_id, cause)
            for session_id, derived in after
            if (cause := work.for_a_worker(derived.asks))
        ]
        tx = Transaction(connection)
        if offers:
            batch.offered = await work.offer_calls(tx, self.ids, offers, self.work_queued)
        over = [session_id for session_id, derived in after if derived.status == "terminated"]
        if over:
            await work.withdraw(tx, over, "The session ended.")

    def publish(self, batch: Batch) -> None:
        """Hand the committed events to this process's subscribers, and its work to its pollers."""
        for environment_id in batch.offered:
            self.work_bell.ring(environment_id)
        for sheet in batch.sheets.values():
            if not sheet.columns:
                continue
            self.threads.keep(sheet)
            if sheet.id in self.hub.channels:
                self.hub.publish(sheet.id, [frame_of(e.event, e.text) for e in sheet.written])


def found(
    sheet: Sheet, events: tuple[Event, ...], inbox: tuple[Pending, ...], *, refused: bool = False
) -> Appended:
    """What an append is answered, with what holds for the session."""
    return Appended(events, inbox, refused, stopped=sheet.stopped, budgeted=sheet.budgeted)


def resolve(request: Request, outcome: Appended | BaseException) -> None:
    """Answer, unless whoever asked has gone."""
    if request.done.done():
        return
    if isinstance(outcome, BaseException):
        request.done.set_exception(outcome)
    else:
        request.done.set_result(outcome)
