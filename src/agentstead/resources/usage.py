"""`GET /v1/usage`: what model requests have used, from the ledger; an extension of the wire.

Promises: every request that was answered is in it once, whatever became of its session; the sums are
exact.
"""

from collections.abc import Mapping
from typing import Any

from agentstead.api.query import instant
from agentstead.api.router import Call, Router
from agentstead.clock import rfc3339
from agentstead.errors import Invalid
from agentstead.resources.session_budget import spent as cents
from agentstead.wire.answers.budget import UsageReport
from agentstead.wire.budget import money

router = Router("Budgets")
GROUPS = {
    "day": "to_char(at at time zone 'UTC', 'YYYY-MM-DD')",
    "agent": "agent_id",
    "model": "model",
}
NAMES = {"day": "day", "agent": "agent_id", "model": "model"}
DAY_SECONDS = 86_400
DAYS = 30
DAYS_MAX = 366
GROUPS_MAX = 1_000
SUMS = """
    count(*) as requests, count(*) filter (where picodollars is null) as unpriced_requests,
    coalesce(sum(input_tokens), 0)::bigint as input_tokens,
    coalesce(sum(output_tokens), 0)::bigint as output_tokens,
    coalesce(sum(cache_read_tokens), 0)::bigint as cache_read_input_tokens,
    coalesce(sum(cache_creation_tokens), 0)::bigint as cache_creation_input_tokens,
    coalesce(sum(picodollars), 0) as picodollars
"""


@router.get(
    "/v1/usage",
    query=("agent_id", "ending_at", "group_by[]", "session_id", "starting_at"),
    answer=UsageReport,
)
async def report(call: Call) -> Mapping[str, Any]:
    """Sum what was used up by day, agent and model; without group_by, all in one."""
    groups = call.query.words("group_by", tuple(GROUPS))
    until = bound(call, "ending_at", call.now)
    since = bound(call, "starting_at", until - DAYS * DAY_SECONDS)
    if not 0 < until - since <= DAYS_MAX * DAY_SECONDS:
        raise Invalid(
            f"starting_at: Must be before ending_at, and at most {DAYS_MAX} days before it."
        )
    where, params = "workspace_id = %s and at >= to_timestamp(%s) and at < to_timestamp(%s)", []
    params = [call.workspace_id, since, until]
    for name in ("agent_id", "session_id"):
        if value := call.query.text(name):
            where += f" and {name} = %s"
            params.append(value)
    chosen = ", ".join(f"{GROUPS[one]} as {NAMES[one]}" for one in groups)
    by = ", ".join(str(place + 1) for place in range(len(groups)))
    rows = await call.services.database.fetch(
        f"select {chosen + ', ' if groups else ''}{SUMS} from usage_ledger where {where}"  # noqa: S608 - ours
        + (f" group by {by} order by {by}" if groups else "")
        + f" limit {GROUPS_MAX + 1}",
        params,
    )
    if len(rows) > GROUPS_MAX:
        raise Invalid(
            f"group_by: The answer would hold more than {GROUPS_MAX} groups; ask for less time, one "
            "agent_id, or fewer groups."
        )
    return {
        "type": "usage_report",
        "starting_at": rfc3339(since),
        "ending_at": rfc3339(until),
        "data": [group(row) for row in rows if row["requests"]],
    }


def bound(call: Call, name: str, default: float) -> float:
    """One end of the time asked about."""
    text = call.query.text(name)
    if text is None:
        return default
    try:
        return instant(text)
    except ValueError:
        raise Invalid(
            f"{name}: Expected an RFC 3339 time, for example 2026-11-24T10:00:00Z."
        ) from None


def group(row: Mapping[str, Any]) -> dict[str, Any]:
    """One part of the answer."""
    cost = int(row["picodollars"])
    sums = {name: row[name] for name in row if name not in ("picodollars", *NAMES.values())}
    return {
        **{name: row.get(name) for name in NAMES.values()},
        **sums,
        "list_cost": money(cost),
        "list_cost_cents": cents(cost),
    }
