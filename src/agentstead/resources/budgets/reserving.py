"""Reserving what model requests may use at most, in every budget above their sessions.

Requests that are ready together go in one transaction (group commit). It locks first the sessions, then
the budgets, both in the order of their ids, as everything does that locks several; the fence is looked
at under the lock, so that a worker that lost its session leaves nothing behind. What appends have settled
since is added to the budgets here, where they are locked anyway.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from agentstead.clock import Clock
from agentstead.errors import LeaseLost, StoreFault
from agentstead.log.charges import Bound, Short
from agentstead.log.log import Lease
from agentstead.log.sheet import arrays
from agentstead.resources.budgets.counted import Counted, counted, save
from agentstead.store.pool import Database, Transaction

BATCH_MAX = 200

SESSIONS = """
    select id, workspace_id, agent_id, fence, lease_owner from sessions
    where id = any(%s) order by id for share
"""
KEPT = "select distinct request_id from budget_reservations where request_id = any(%s)"
RESERVE = """
    insert into budget_reservations (budget_id, request_id, workspace_id, session_id, starts_at,
                                     picodollars, tokens)
    select budget_id, request_id, workspace_id, session_id, starts_at, cost::numeric, tokens
    from unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::text[],
                %s::bigint[])
      as r(budget_id, request_id, workspace_id, session_id, starts_at, cost, tokens)
"""
WAIT = """
    insert into budget_waits (thread_id, workspace_id, session_id, budget_id, request_id, final,
                              picodollars, tokens, model, until, at)
    select r.*, to_timestamp(%s)
    from unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bool[], %s::numeric[],
                %s::bigint[], %s::text[], %s::timestamptz[]) as r
    on conflict (thread_id) do update set budget_id = excluded.budget_id,
        request_id = excluded.request_id, final = excluded.final, picodollars = excluded.picodollars,
        tokens = excluded.tokens, model = excluded.model, until = excluded.until, at = excluded.at
"""
GO_ON = "delete from budget_waits where thread_id = any(%s)"


@dataclass(slots=True)
class Asked:
    """One request that waits for its transaction."""

    lease: Lease
    thread_id: str
    request_id: str
    bound: Bound
    done: "asyncio.Future[Short | None]"


@dataclass(slots=True)
class Batch:
    """What is decided in one transaction."""

    asked: Sequence[Asked]
    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)
    budgets: Sequence[Counted] = ()
    kept: set[str] = field(default_factory=set)
    """Requests that hold reservations already."""
    outcomes: list[Short | BaseException | None] = field(default_factory=list)
    reserved: list[tuple[Any, ...]] = field(default_factory=list)
    waits: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    """By thread."""
    going_on: list[str] = field(default_factory=list)


class Reservations:
    """Reservations of this process."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock
        self.waiting: list[Asked] = []
        self.task: asyncio.Task[None] | None = None

    async def reserve(
        self, lease: Lease, thread_id: str, request_id: str, bound: Bound
    ) -> Short | None:
        """With the next transaction."""
        one = Asked(lease, thread_id, request_id, bound, asyncio.get_running_loop().create_future())
        self.waiting.append(one)
        if self.task is None or self.task.done():
            self.task = asyncio.create_task(self.flushing(), name="budget reservations")
        return await one.done

    async def close(self) -> None:
        """Stop; who still waits is told that the database is not available."""
        if self.task is not None:
            self.task.cancel()
            with suppress(asyncio.CancelledError):
                await self.task

    async def flushing(self) -> None:
        """Until nobody waits."""
        asked: list[Asked] = []
        try:
            while self.waiting:
                asked, self.waiting = self.waiting[:BATCH_MAX], self.waiting[BATCH_MAX:]
                asked = [one for one in asked if not one.done.done()]
                await self.settle(asked)
        except BaseException:
            closed = StoreFault("Budgets cannot be read.", kind="unavailable", retryable=True)
            for one in (*asked, *self.waiting):
                resolve(one, closed)
            self.waiting = []
            raise

    async def settle(self, asked: Sequence[Asked]) -> None:
        """One transaction for all of them."""
        batch = Batch(asked)
        try:
            async with self.database.pipeline() as tx:
                await read(tx, batch, self.clock.now())
                for one in asked:
                    batch.outcomes.append(decide(batch, one))
                await write(tx, batch, self.clock.now())
        except StoreFault as fault:
            for one in asked:
                resolve(one, fault)
            return
        for one, outcome in zip(asked, batch.outcomes, strict=True):
            resolve(one, outcome)


def resolve(one: Asked, outcome: Short | BaseException | None) -> None:
    """Answer, unless whoever asked has gone."""
    if one.done.done():
        return
    if isinstance(outcome, BaseException):
        one.done.set_exception(outcome)
    else:
        one.done.set_result(outcome)


async def read(tx: Transaction, batch: Batch, now: float) -> None:
    """Lock sessions, then budgets; what is spent and reserved, as of then."""
    ids = sorted({one.lease.session_id for one in batch.asked})
    sessions = await tx.ask(SESSIONS, (ids,))
    workspaces = sorted({one.lease.workspace_id for one in batch.asked})
    batch.budgets = await counted(tx, workspaces, now)
    kept = await tx.ask(KEPT, ([one.request_id for one in batch.asked],))
    batch.sessions = {row["id"]: row for row in await sessions.fetchall()}
    batch.kept = {row["request_id"] for row in await kept.fetchall()}


def decide(batch: Batch, one: Asked) -> Short | BaseException | None:
    """Reserve in all budgets or in none."""
    session = batch.sessions.get(one.lease.session_id)
    held = session and (session["fence"], session["lease_owner"])
    if session is None or held != (one.lease.fence, one.lease.owner):
        return LeaseLost()
    above = [
        budget
        for budget in batch.budgets
        if budget.workspace_id == session["workspace_id"]
        and budget.agent_id in (None, session["agent_id"])
    ]
    short = None
    if one.request_id not in batch.kept:
        short = first_short(above, one.bound)
    if short is not None:
        batch.waits[one.thread_id] = wait_record(session, one, short)
        return Short(short.id, short.hopeless(one.bound), timestamp(short.ends_at))
    if one.request_id not in batch.kept:
        batch.kept.add(one.request_id)
        for budget in above:
            budget.reserve(one.bound)
            batch.reserved.append(record(session, one, budget))
    batch.waits.pop(one.thread_id, None)
    batch.going_on.append(one.thread_id)
    return None


def first_short(budgets: Sequence[Counted], bound: Bound) -> Counted | None:
    """A budget without room: one that will have none, before one that may have some."""
    short = [budget for budget in budgets if not budget.fits(bound)]
    return next((one for one in short if one.hopeless(bound)), short[0] if short else None)


def record(session: dict[str, Any], one: Asked, budget: Counted) -> tuple[Any, ...]:
    """A reservation, in the order of the statement."""
    cost = one.bound.picodollars or 0
    return (
        budget.id,
        one.request_id,
        session["workspace_id"],
        session["id"],
        budget.starts_at,
        str(cost),
        one.bound.tokens,
    )


def wait_record(session: dict[str, Any], one: Asked, budget: Counted) -> tuple[Any, ...]:
    """Who waits for what, in the order of the statement."""
    bound = one.bound
    return (
        one.thread_id,
        session["workspace_id"],
        session["id"],
        budget.id,
        one.request_id,
        budget.hopeless(bound),
        bound.picodollars,
        bound.tokens,
        bound.model,
        budget.ends_at,
    )


def timestamp(at: datetime | None) -> float | None:
    """Seconds since the epoch."""
    return None if at is None else at.timestamp()


async def write(tx: Transaction, batch: Batch, now: float) -> None:
    """What was decided."""
    await save(tx, batch.budgets)
    if batch.reserved:
        await tx.execute(RESERVE, arrays(batch.reserved))
    if batch.going_on:
        await tx.execute(GO_ON, (batch.going_on,))
    if batch.waits:
        await tx.execute(WAIT, (now, *arrays(list(batch.waits.values()))))
