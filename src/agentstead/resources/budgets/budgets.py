"""The routes of budgets above sessions, and what a change of them wakes."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from agentstead.api.router import Call, Router
from agentstead.clock import from_rfc3339, rfc3339
from agentstead.errors import Invalid
from agentstead.ids import BUDGET
from agentstead.resources.agent_versions import agents
from agentstead.resources.budgets.period import begins, ends
from agentstead.resources.budgets.waking import wake
from agentstead.resources.listing import newest_first
from agentstead.resources.session_budget import spent as cents
from agentstead.store.table import Filter, Row, Table, moment
from agentstead.wire.answers.answer import Page
from agentstead.wire.answers.budget import Budget
from agentstead.wire.budget import PICODOLLARS_PER_CENT, money
from agentstead.wire.session import Money
from agentstead.wire.shape import Id, Shape

router = Router("Budgets")
ONE = "/v1/budgets/{budget_id}"
STANDING = """
    budgets t cross join lateral (
        select coalesce(sum(r.picodollars) filter (where r.settled), 0) as settled_picodollars,
               coalesce(sum(r.tokens) filter (where r.settled), 0)::bigint as settled_tokens,
               coalesce(sum(r.picodollars) filter (where not r.settled), 0) as reserved_picodollars,
               coalesce(sum(r.tokens) filter (where not r.settled), 0)::bigint as reserved_tokens
        from budget_reservations r where r.budget_id = t.id and r.starts_at = t.starts_at
    ) held cross join lateral (
        select count(*) as waiting from budget_waits w where w.budget_id = t.id
    ) who
"""
budgets = Table("budgets", "budget", columns="t.*, held.*, who.*", source=STANDING)
TOKENS_MAX = 10**15

Name = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class Limit(Shape):
    """What may be used in a period; both bind where both are given."""

    max_list_cost: Money | None = None
    max_tokens: Annotated[int, Field(ge=1, le=TOKENS_MAX)] | None = None


class BudgetCreate(Shape):
    """A new budget."""

    name: Name
    scope: Literal["workspace", "agent", "deployment"]
    agent_id: Id | None = None
    deployment_id: Id | None = None
    period: Literal["total", "day", "month"]
    limit: Limit


class BudgetUpdate(Shape):
    """What changes of a budget; its scope and period stay."""

    name: Name | None = None
    limit: Limit | None = None
    """The whole of it."""


@router.post("/v1/budgets", BudgetCreate, answer=Budget)
async def create(call: Call, body: BudgetCreate) -> Mapping[str, Any]:
    """Create a budget. It counts the model requests that begin from now on."""
    await check_scope(call, body)
    budget_id = call.services.ids.new(BUDGET)
    values = {
        "id": budget_id,
        "name": body.name,
        "scope": body.scope,
        "agent_id": body.agent_id,
        "period": body.period,
        "starts_at": begins(body.period, call.now, moment(call.now)),
        **columns(body.limit),
    }
    async with call.services.database.transaction() as tx:
        await budgets.insert(call.write(tx), values)
        return answer(call, await budgets.retrieve(tx, call.workspace_id, budget_id))


@router.get(
    "/v1/budgets", query=("agent_id", "include_archived", "limit", "page"), answer=Page[Budget]
)
async def list_budgets(call: Call) -> Mapping[str, Any]:
    """List budgets, newest first."""
    filters = [] if call.query.flag("include_archived") else [Filter("t.archived_at is null")]
    agent_id = call.query.text("agent_id")
    if agent_id:
        filters.append(Filter("t.agent_id = %s", (agent_id,)))
    kind = f"budgets:{agent_id or ''}"
    found = await newest_first(call, budgets, kind, filters, dict)
    return {**found, "data": [answer(call, row) for row in found["data"]]}


@router.get(ONE, answer=Budget)
async def retrieve(call: Call, budget_id: str) -> Mapping[str, Any]:
    """Retrieve a budget, with what is spent and reserved of it now."""
    row = await budgets.retrieve(call.services.database, call.workspace_id, budget_id)
    return answer(call, row)


@router.post(ONE, BudgetUpdate, answer=Budget)
async def update(call: Call, budget_id: str, body: BudgetUpdate) -> Mapping[str, Any]:
    """Change a budget's name or limit; sessions that wait for room in it try again."""
    async with call.services.database.transaction() as tx:
        write = call.write(tx)
        row = await budgets.lock(write, budget_id)
        if row["archived_at"] is not None:
            raise Invalid(f"Budget {budget_id} is archived and cannot be changed.")
        values: dict[str, Any] = {} if body.name is None else {"name": body.name}
        if body.limit is not None:
            values |= columns(body.limit)
        changed = {name: value for name, value in values.items() if value != row[name]}
        if changed:
            await budgets.update(write, budget_id, changed)
    # After the commit: who waits by now is found, who asks from now on sees the new limit.
    await wake(call, budget_id)
    return await retrieve(call, budget_id)


@router.post(ONE + "/archive", answer=Budget)
async def archive(call: Call, budget_id: str) -> Mapping[str, Any]:
    """Archive a budget: it limits nothing any more, and sessions that wait for it go on."""
    async with call.services.database.transaction() as tx:
        write = call.write(tx)
        row = await budgets.lock(write, budget_id)
        if row["archived_at"] is None:
            await budgets.archive(write, budget_id)
            await tx.execute(CLOSE, (budget_id,))
    await wake(call, budget_id)
    return await retrieve(call, budget_id)


CLOSE = """
    with gone as (
        delete from budget_reservations where budget_id = %s
        returning budget_id, starts_at, picodollars, tokens, settled
    )
    update budgets b set picodollars = b.picodollars + r.picodollars, tokens = b.tokens + r.tokens
    from (select budget_id, starts_at, sum(picodollars) as picodollars, sum(tokens)::bigint as tokens
          from gone where settled group by 1, 2) r
    where b.id = r.budget_id and b.starts_at = r.starts_at
"""
"""What is settled is kept; what goes on counts in no budget that is archived."""


async def check_scope(call: Call, body: BudgetCreate) -> None:
    """Whose sessions it is for, and that there is such a one."""
    if body.scope == "deployment":
        raise Invalid(
            "scope: Deployments are not available on this server yet; a budget can be for the "
            "workspace or for an agent."
        )
    if body.deployment_id is not None:
        raise Invalid("deployment_id: Deployments are not available on this server yet.")
    if body.scope == "workspace":
        if body.agent_id is not None:
            raise Invalid('agent_id: Only a budget with scope "agent" is for one agent.')
        return
    if body.agent_id is None:
        raise Invalid('agent_id: A budget with scope "agent" needs one.')
    found = await agents.find(call.services.database, call.workspace_id, body.agent_id)
    if found is None:
        raise Invalid(f"agent_id: There is no agent {body.agent_id}.")


def columns(limit: Limit) -> dict[str, Any]:
    """A limit as stored."""
    if limit.max_list_cost is None and limit.max_tokens is None:
        raise Invalid("limit: Needs max_list_cost, max_tokens, or both.")
    cost = limit.max_list_cost
    return {
        "max_picodollars": None if cost is None else int(cost.amount) * PICODOLLARS_PER_CENT,
        "max_tokens": limit.max_tokens,
    }


def answer(call: Call, row: Row) -> dict[str, Any]:
    """A budget as on the wire."""
    starts = begins(row["period"], call.now, moment(from_rfc3339(row["created_at"])))
    live = row["archived_at"] is not None or rfc3339(starts.timestamp()) <= row["starts_at"]
    began = row["starts_at"] if live else rfc3339(starts.timestamp())
    finish = ends(row["period"], moment(from_rfc3339(began)))
    settled = (int(row["settled_picodollars"]), row["settled_tokens"])
    spent = (int(row["picodollars"]) + settled[0], row["tokens"] + settled[1])
    reserved = (int(row["reserved_picodollars"]), row["reserved_tokens"])
    cost = row["max_picodollars"]
    return {
        "id": row["id"],
        "type": "budget",
        "name": row["name"],
        "scope": row["scope"],
        "agent_id": row["agent_id"],
        "period": row["period"],
        "period_starts_at": began,
        "period_ends_at": None if finish is None else rfc3339(finish.timestamp()),
        "limit": {
            "max_list_cost": None if cost is None else money(int(cost)),
            "max_tokens": row["max_tokens"],
        },
        "spent": amounts(*(spent if live else (0, 0))),
        "reserved": amounts(*(reserved if live else (0, 0))),
        "waiting": row["waiting"],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
        "archived_at": row["archived_at"],
    }


def amounts(picodollars: int, tokens: int) -> dict[str, Any]:
    """What was used or is kept."""
    return {
        "list_cost": money(picodollars),
        "list_cost_cents": cents(picodollars),
        "tokens": tokens,
    }
