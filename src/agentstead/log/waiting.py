"""Which sessions wait for a worker: how many of each workspace, and how far one of them is.

Only indexes are read, and where a number is asked for as a bound, no more of them than the bound.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from agentstead.log.claims import rank, waiting
from agentstead.store.pool import Database

AHEAD_MAX = 10_000
"""So far a place is counted."""

COUNTS = f"""
    select (select count(*) from (
                select from sessions where {waiting()} and workspace_id = %(workspace)s
                limit %(most)s) as own) as own,
           (select count(*) from (
                select from sessions where {waiting()} limit %(most_in_all)s) as overall) as overall
"""  # noqa: S608 - made of ours
PLACE = f"""
    select (select count(*) from (
                select from sessions o where {waiting("o.")} and o.workspace_id = s.workspace_id
                and {rank("o.")} < {rank("s.")} limit {AHEAD_MAX}) as before) as ahead,
           (select count(*) from sessions h where h.lease_owner is not null
                and h.workspace_id = s.workspace_id and h.lease_until > now()) as running,
           (select count(*) from sessions h where h.lease_owner is not null
                and h.lease_until > now()) as running_in_all,
           (select sum(sessions_max) from workers where owner = any(%(workers)s)) as places
    from sessions s where s.id = %(session)s
"""  # noqa: S608 - made of ours
BY_WORKSPACE = f"""
    select workspace_id, count(*) as number,
           extract(epoch from now() - min(wake_at))::float8 as seconds
    from sessions where {waiting()} and wake_at <= now() and terminated_at is null
    group by workspace_id order by number desc, workspace_id
"""  # noqa: S608 - made of ours


@dataclass(frozen=True, slots=True)
class Place:
    """Where a waiting session is."""

    ahead: int
    """Sessions of its workspace that come before it; at most `AHEAD_MAX` are counted."""
    running: int
    """Sessions of its workspace that workers have."""
    running_in_all: int
    places: int | None
    """Sessions that the workers which are alive take at once; None: one of them does not tell."""


@dataclass(frozen=True, slots=True)
class Queue:
    """Those of one workspace that are due and have no worker."""

    number: int
    oldest_seconds: float


async def counted(
    database: Database, workspace_id: str, most: int, most_in_all: int
) -> tuple[int, int]:
    """How many wait of this workspace and of all, each counted up to a bound."""
    row = await database.fetch_one(
        COUNTS, {"workspace": workspace_id, "most": most, "most_in_all": most_in_all}
    )
    assert row
    return row["own"], row["overall"]


async def place_of(database: Database, session_id: str, workers: frozenset[str]) -> Place | None:
    """Where a session is among those that wait; None when it is not there."""
    row = await database.fetch_one(PLACE, {"session": session_id, "workers": list(workers)})
    if row is None:
        return None
    places = None if row["places"] is None else int(row["places"])
    return Place(row["ahead"], row["running"], row["running_in_all"], places)


async def by_workspace(database: Database) -> Mapping[str, Queue]:
    """The queues, longest first."""
    rows = await database.fetch(BY_WORKSPACE)
    return {row["workspace_id"]: Queue(row["number"], max(0.0, row["seconds"])) for row in rows}
