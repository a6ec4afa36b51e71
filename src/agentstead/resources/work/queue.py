"""Handing out work: the poll, cheap with many pollers, and what the queue says of itself.

Promises: an item is handed to one poll at a time; a poll that finds the queue empty asks the
database nothing until a notice comes, something falls due, or some seconds have passed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentstead.api.auth import digest
from agentstead.api.router import Call
from agentstead.log.work_bell import LOOK_SECONDS, Queue
from agentstead.resources.work.ending import Ending
from agentstead.resources.work.secret import new_token, packed
from agentstead.store import audit
from agentstead.store.table import Row, readable

POLLER_SECONDS = 30.0
"""A worker that polled within so long counts as polling."""
SEEN_SECONDS = 10.0
"""How exactly it is remembered when a worker polled."""
SEEN_MAX = 10_000
RETRY_SECONDS = 0.05
"""An item that was due and locked by somebody else is looked at again after so long."""

TAKE = """
    with free as (
        select id from work
        where environment_id = %(environment)s and workspace_id = %(workspace)s
          and state = 'queued' and available_at <= clock_timestamp()
          and (polled_at is null
               or polled_at <= clock_timestamp() - make_interval(secs => %(reclaim)s))
        order by created_at, id limit 1 for update skip locked
    )
    update work w set polled_at = clock_timestamp(), worker_id = %(worker)s,
        updated_at = clock_timestamp()
    from free where w.id = free.id returning w.*
"""
ADMIT = """
    insert into work_tokens
        (hash, workspace_id, work_id, environment_id, session_id, created_at, until)
    values (%s, %s, %s, %s, %s, clock_timestamp(), clock_timestamp() + make_interval(secs => %s))
"""
NEXT = """
    select extract(epoch from min(case when state = 'queued' then available_at else lease_until end)
               filter (where polled_at is null) - clock_timestamp())::float8 as due,
           extract(epoch from clock_timestamp() - min(polled_at))::float8 as handed_out
    from work where environment_id = %s and state <> 'stopped'
"""
SEEN = """
    insert into work_pollers (environment_id, worker_id, workspace_id, seen_at)
    values (%s, %s, %s, clock_timestamp())
    on conflict (environment_id, worker_id) do update set seen_at = excluded.seen_at
"""
STATS = """
    select count(*) filter (where polled_at is null and available_at <= clock_timestamp()) as depth,
           count(*) filter (where polled_at is not null) as pending,
           min(created_at) as oldest_queued_at,
           (select count(*) from work_pollers p where p.environment_id = %(environment)s
              and p.seen_at > clock_timestamp() - make_interval(secs => %(recent)s))
             as workers_polling
    from work where environment_id = %(environment)s and workspace_id = %(workspace)s
      and state = 'queued'
"""


@dataclass(frozen=True, slots=True)
class Poll:
    """One poll."""

    environment_id: str
    worker_id: str
    block_seconds: float
    reclaim_seconds: float


@dataclass(frozen=True, slots=True)
class Taken:
    """An item and its secret."""

    row: Row
    secret: str


async def poll(call: Call, asked: Poll) -> Taken | None:
    """The oldest item that waits, as soon as there is one; None when none came in time."""
    clock = call.services.clock
    queue = call.services.log.work_bell.queue(asked.environment_id)
    await seen(call, queue, asked)
    end = clock.monotonic() + asked.block_seconds
    while True:
        rings = queue.rings
        async with queue.looking:
            if not queue.is_quiet(clock.monotonic(), asked.reclaim_seconds):
                rings = queue.rings
                if taken := await take(call, asked):
                    return taken
                due, handed_out = await quiet_seconds(call, asked)
                now = clock.monotonic()
                queue.found_empty(
                    rings, now + due, None if handed_out is None else now - handed_out
                )
        now = clock.monotonic()
        if now >= end:
            return None
        soon = now + RETRY_SECONDS
        await queue.rung(rings, min(end, max(soon, queue.due(asked.reclaim_seconds))) - now)


async def take(call: Call, asked: Poll) -> Taken | None:
    """Claim the oldest item and give it a fresh secret."""
    services = call.services
    await ending(call).lapse(asked.environment_id)
    async with services.database.transaction() as tx:
        row = await tx.fetch_one(
            TAKE,
            {
                "environment": asked.environment_id,
                "workspace": call.workspace_id,
                "reclaim": asked.reclaim_seconds,
                "worker": asked.worker_id,
            },
        )
        if row is None:
            return None
        token = new_token()
        lifetime = services.settings.work_ack_seconds + services.settings.work_token_seconds
        where = (call.workspace_id, row["id"], row["environment_id"], row["session_id"])
        await tx.execute(ADMIT, (digest(token), *where, lifetime))
        detail = {"session_id": row["session_id"], "worker_id": asked.worker_id}
        entry = audit.Entry(
            call.workspace_id, "work.poll", "work", row["id"], call.now, detail=detail
        )
        await audit.write(tx, services.ids, entry)
    return Taken(readable(row), packed(token))


async def quiet_seconds(call: Call, asked: Poll) -> tuple[float, float | None]:
    """How long no item and no lease falls due; how long ago the oldest hand-out was, if any."""
    row = await call.services.database.fetch_one(NEXT, (asked.environment_id,))
    assert row
    due = LOOK_SECONDS if row["due"] is None else max(row["due"], RETRY_SECONDS)
    return min(due, LOOK_SECONDS), row["handed_out"]


async def seen(call: Call, queue: Queue, asked: Poll) -> None:
    """Remember now and then that this worker polls."""
    now = call.services.clock.monotonic()
    if now - queue.seen.get(asked.worker_id, now - SEEN_SECONDS) < SEEN_SECONDS:
        return
    if len(queue.seen) >= SEEN_MAX:
        queue.seen.clear()
    queue.seen[asked.worker_id] = now
    await call.services.database.execute(
        SEEN, (asked.environment_id, asked.worker_id, call.workspace_id)
    )


async def stats(call: Call, environment_id: str) -> Mapping[str, Any]:
    """How full the queue is, and who looks at it."""
    row = await call.services.database.fetch_one(
        STATS,
        {
            "environment": environment_id,
            "workspace": call.workspace_id,
            "recent": POLLER_SECONDS,
        },
    )
    assert row
    return readable(row)


def ending(call: Call) -> Ending:
    """Ends items on behalf of this request."""
    services = call.services
    return Ending(services.database, services.log, services.settings, services.clock, services.ids)
