"""Counts over all sessions and workers, for metrics and for whoever tidies up or tells what is wrong."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from agentstead.log.lease import LOCK_SPACE
from agentstead.log.waiting import Queue, by_workspace
from agentstead.store.pool import Database


@dataclass(frozen=True, slots=True)
class WorkCensus:
    """The work queues of all self-hosted environments together."""

    items: Mapping[str, int]
    """State → live work items."""
    oldest_queued_seconds: float
    polling: int
    """Workers that polled within half a minute."""


@dataclass(frozen=True, slots=True)
class Census:
    """How many sessions are in which state, and whether workers keep up."""

    sessions: Mapping[str, int]
    """State → sessions that are not archived."""
    oldest_due_seconds: float
    """How long the longest-waiting due session has had no worker."""
    work: WorkCensus
    queues: Mapping[str, Queue]
    """Workspace → its sessions that are due and have no worker; the longest first."""


LATE = """
    select extract(epoch from now() - min(greatest(wake_at, lease_until)))::float8 as seconds
    from sessions where lease_owner is not null and wake_at <= now() and lease_until < now()
"""
"""Those whose worker is gone or does not renew its lease."""
WORK = """
    select state, count(*) as number,
           extract(epoch from now() - min(greatest(available_at, created_at)))::float8 as seconds
    from work where state <> 'stopped' group by state
"""
POLLING = "select count(*) as number from work_pollers where seen_at > now() - interval '30 s'"


async def take_work_census(database: Database) -> WorkCensus:
    """Count now."""
    rows = await database.fetch(WORK)
    polling = await database.fetch_one(POLLING)
    waits = max((row["seconds"] for row in rows if row["state"] == "queued"), default=0.0)
    number = int(polling["number"]) if polling else 0
    return WorkCensus({row["state"]: row["number"] for row in rows}, max(0.0, waits), number)


async def take_census(database: Database) -> Census:
    """Count now."""
    rows = await database.fetch(
        "select status, count(*) as number from sessions where archived_at is null group by status"
    )
    late = await database.fetch_one(LATE)
    queues = await by_workspace(database)
    seconds = [queue.oldest_seconds for queue in queues.values()]
    if late and late["seconds"] is not None:
        seconds.append(late["seconds"])
    states = {row["status"]: row["number"] for row in rows}
    work = await take_work_census(database)
    return Census(states, max([0.0, *seconds]), work, queues)


async def without_session(database: Database, session_ids: Collection[str]) -> set[str]:
    """Those of `session_ids` whose session is deleted, archived or terminated."""
    rows = await database.fetch(
        "select id from sessions where id = any(%s)"
        " and archived_at is null and terminated_at is null",
        (list(session_ids),),
    )
    return set(session_ids) - {row["id"] for row in rows}


async def live_workers(database: Database) -> frozenset[str]:
    """Owners of the workers whose connection holds the lock of their number."""
    rows = await database.fetch(
        "select w.owner from workers w join pg_locks l on l.locktype = 'advisory'"
        " and l.classid = %s::bigint::oid and l.objid = w.number::bigint::oid and l.objsubid = 2"
        " and l.granted and l.database ="
        " (select oid from pg_database where datname = current_database())",
        (LOCK_SPACE,),
    )
    return frozenset(row["owner"] for row in rows)
