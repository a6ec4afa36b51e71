"""Who gets the next worker: fair between workspaces, by priority and age within one.

Promises: a workspace whose sessions wait by the thousand delays no other one: each free place goes
to the workspace that has the fewest sessions running for its weight; no workspace runs more at once
than its `running_max`; within a workspace a point of priority is worth a minute of waiting, so that
nothing waits for ever behind what is more urgent; a build that is too old for its database claims
nothing. A claim reads as many rows as run, and a few of
each workspace that waits, however many wait.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

PRIORITY_SECONDS = 60
"""What a point of priority is worth; the index `sessions_waiting` is built with it."""
CLAIM_LOCK = 7_023_042
"""Advisory lock of whoever claims where places are counted: two at once would both take the last one."""
EPOCH = "timestamptz '2000-01-01 00:00:00+00'"


def rank(of: str = "") -> str:
    """A session's place in its workspace's order, as SQL: written as the index has it."""
    return (
        f"(extract(epoch from ({of}wake_at - {EPOCH}))::float8 - {PRIORITY_SECONDS} * {of}priority)"
    )


def waiting(of: str = "") -> str:
    """Whether a session is one that no worker has, as SQL: written as the index has it."""
    return f"{of}wake_at is not null and {of}lease_owner is null"


@dataclass(frozen=True, slots=True)
class Share:
    """What one workspace gets of the workers."""

    running_max: int = 0
    """Sessions that run at once, over all workers; 0: no bound."""
    weight: float = 1.0
    """A workspace with 2 gets twice the places of one with 1, where both have enough to do."""


@dataclass(frozen=True, slots=True)
class Shares:
    """What each workspace gets."""

    default: Share = Share()
    own: Mapping[str, Share] = field(default_factory=dict)
    """Of workspaces that get something else."""

    def of(self, workspace_id: str) -> Share:
        """What this one gets."""
        return self.own.get(workspace_id, self.default)

    @property
    def bounded(self) -> bool:
        """Whether any workspace has a bound."""
        return any(share.running_max for share in (self.default, *self.own.values()))

    def columns(self) -> dict[str, object]:
        """As parameters of a claim."""
        return {
            "running_max": self.default.running_max,
            "weight": self.default.weight,
            "spaces": list(self.own),
            "maxima": [share.running_max for share in self.own.values()],
            "weights": [share.weight for share in self.own.values()],
        }


SPACES = f"""
    spaces as (
        (select workspace_id from sessions where {waiting()} order by workspace_id limit 1)
        union all
        select (select s.workspace_id from sessions s
                where {waiting("s.")} and s.workspace_id > spaces.workspace_id
                order by s.workspace_id limit 1)
        from spaces where spaces.workspace_id is not null
    )
"""  # noqa: S608 - made of ours
"""The workspaces in which sessions wait: one look into the index for each."""

CHOSEN = f"""
    with recursive {SPACES}, held as materialized (
        select id, workspace_id, {rank()} as rank,
               lease_until >= statement_timestamp() as live,
               wake_at <= statement_timestamp() and terminated_at is null as due
        from sessions where lease_owner is not null
    ), running as (
        select workspace_id, count(*) as number from held where live group by workspace_id
    ), due as (
        select head.* from spaces cross join lateral (
            select s.id, s.workspace_id, {rank("s.")} as rank from sessions s
            where {waiting("s.")} and s.workspace_id = spaces.workspace_id
              and s.wake_at <= statement_timestamp() and s.terminated_at is null
            order by {rank("s.")}
            limit (select greatest(2, %(candidates)s / greatest(1, count(workspace_id))) from spaces)
        ) head
        union all
        select id, workspace_id, rank from held where due and live is not true
    ), placed as (
        select due.id, due.rank,
               coalesce(running.number, 0) + row_number()
                   over (partition by due.workspace_id order by due.rank) as place,
               coalesce(share.running_max, %(running_max)s) as running_max,
               coalesce(share.weight, %(weight)s) as weight
        from due left join running using (workspace_id)
        left join unnest(%(spaces)s::text[], %(maxima)s::int[], %(weights)s::float8[])
            as share(workspace_id, running_max, weight) using (workspace_id)
    ), chosen as materialized (
        select id, place / weight as turn, rank from placed
        where (running_max = 0 or place <= running_max)
          and not exists (select from schema_migrations where number > %(schema)s and not compatible)
        order by turn, rank limit %(candidates)s
    )
"""  # noqa: S608 - made of ours
"""What may be claimed, whose turn it is first."""

CLAIM = f"""
    {CHOSEN}, free as (
        select s.id from sessions s join chosen on chosen.id = s.id
        where s.wake_at <= clock_timestamp()
          and (s.lease_until is null or s.lease_until < clock_timestamp())
        order by chosen.turn, chosen.rank
        for no key update of s skip locked
        limit %(most)s
    ), claimed as (
        update sessions s set fence = s.fence + 1, lease_owner = %(owner)s, attempts = s.attempts + 1,
            lease_until = clock_timestamp() + make_interval(secs => %(seconds)s)
        from free where s.id = free.id
        returning s.id, s.workspace_id, s.fence
    )
    select id, workspace_id, fence from claimed
    union all select null, null, null
    where exists (select from chosen) and not exists (select from claimed)
"""  # noqa: S608 - made of ours
"""One row for each claimed session; one of nulls when all that are due were locked for a moment."""

PATIENT = CLAIM.replace("order by chosen.turn, chosen.rank\n", "order by s.id\n").replace(
    " skip locked", ""
)
"""Waits for rows that are locked; in the order of the ids, like all who lock many."""
PATIENCE = "set local lock_timeout = '100ms'"
