"""Budgets as they stand, while a transaction holds them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agentstead.log.charges import Bound
from agentstead.log.sheet import arrays
from agentstead.resources.budgets.period import begins, ends
from agentstead.store.pool import Transaction

LOCK = """
    select id, workspace_id, agent_id, period, max_picodollars, max_tokens, starts_at, picodollars,
           tokens, created_at
    from budgets where workspace_id = any(%s) and archived_at is null order by id for no key update
"""
SETTLED = """
    with gone as (
        delete from budget_reservations where settled and budget_id in
            (select id from budgets where workspace_id = any(%s) and archived_at is null)
        returning budget_id, starts_at, picodollars, tokens
    )
    select budget_id, starts_at, sum(picodollars) as picodollars, sum(tokens) as tokens
    from gone group by 1, 2
"""
RESERVED = """
    select budget_id, starts_at, sum(picodollars) as picodollars, sum(tokens) as tokens
    from budget_reservations where not settled and budget_id in
        (select id from budgets where workspace_id = any(%s) and archived_at is null)
    group by 1, 2
"""
SAVE = """
    update budgets b set starts_at = r.starts_at, picodollars = r.cost::numeric, tokens = r.tokens
    from unnest(%s::text[], %s::timestamptz[], %s::text[], %s::bigint[])
      as r(id, starts_at, cost, tokens)
    where b.id = r.id
"""


@dataclass(slots=True)
class Counted:
    """A budget: its limits, and what is spent and reserved of them in the present period."""

    id: str
    workspace_id: str
    agent_id: str | None
    period: str
    max_picodollars: int | None
    max_tokens: int | None
    starts_at: datetime
    picodollars: int
    tokens: int
    reserved_picodollars: int = 0
    reserved_tokens: int = 0
    changed: bool = False
    """What is spent differs from its row."""

    @property
    def ends_at(self) -> datetime | None:
        """When the next period begins; None: never."""
        return ends(self.period, self.starts_at)

    def fits(self, bound: Bound) -> bool:
        """Whether a request can be reserved now."""
        return self.has_room(bound, self.reserved_picodollars, self.reserved_tokens)

    def hopeless(self, bound: Bound) -> bool:
        """Whether it would not fit even if all that is reserved turned out to be nothing."""
        return not self.has_room(bound, 0, 0)

    def has_room(self, bound: Bound, picodollars: int, tokens: int) -> bool:
        """Whether it fits beside what is spent, and so much more. What has no price fits no limit
        in money."""
        if self.max_picodollars is not None and (
            bound.picodollars is None
            or self.picodollars + picodollars + bound.picodollars > self.max_picodollars
        ):
            return False
        return self.max_tokens is None or self.tokens + tokens + bound.tokens <= self.max_tokens

    def reserve(self, bound: Bound) -> None:
        """Keep room for a request."""
        self.reserved_picodollars += bound.picodollars or 0
        self.reserved_tokens += bound.tokens

    def spend(self, picodollars: int, tokens: int) -> None:
        """Add what was used."""
        self.picodollars += picodollars
        self.tokens += tokens
        self.changed = True


def of_row(row: Mapping[str, Any], now: float) -> Counted:
    """From its row; a period that is over counts no more."""
    budget = Counted(
        row["id"],
        row["workspace_id"],
        row["agent_id"],
        row["period"],
        None if row["max_picodollars"] is None else int(row["max_picodollars"]),
        row["max_tokens"],
        row["starts_at"],
        int(row["picodollars"]),
        row["tokens"],
    )
    current = begins(budget.period, now, row["created_at"])
    if current > budget.starts_at:
        budget.starts_at, budget.picodollars, budget.tokens = current, 0, 0
        budget.changed = True
    return budget


async def counted(tx: Transaction, workspaces: Sequence[str], now: float) -> list[Counted]:
    """Lock the live budgets of these workspaces, and count; settled reservations become spending."""
    rows, gone, open_ones = [await tx.ask(sql, (workspaces,)) for sql in (LOCK, SETTLED, RESERVED)]
    locked = [of_row(row, now) for row in await rows.fetchall()]
    budgets = {budget.id: budget for budget in locked}
    for row in await gone.fetchall():
        budget = budgets[row["budget_id"]]
        if row["starts_at"] == budget.starts_at:
            budget.spend(int(row["picodollars"]), int(row["tokens"]))
    for row in await open_ones.fetchall():
        budget = budgets[row["budget_id"]]
        if row["starts_at"] == budget.starts_at:
            budget.reserved_picodollars += int(row["picodollars"])
            budget.reserved_tokens += int(row["tokens"])
    return locked


async def save(tx: Transaction, budgets: Sequence[Counted]) -> None:
    """Write what is spent, where it has changed."""
    rows = [
        (one.id, one.starts_at, str(one.picodollars), one.tokens) for one in budgets if one.changed
    ]
    if rows:
        await tx.execute(SAVE, arrays(rows))
