"""What model requests used, written with the end of each: the ledger, and the settling of reservations.

Promises: a request is in the ledger exactly once, since its end is in the log exactly once; whatever way
it ended, what was reserved for it above the session is settled in the same transaction. Budgets' own
rows, for which all sessions of a workspace would have to wait, are not touched here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentstead.log.sheet import JUDGED, Sheet, arrays
from agentstead.store.pool import Connection

JUDGE = ":judge"
"""What the id of a request ends with under which its judges' calls are reserved."""

LEDGER = b"""
    insert into usage_ledger (workspace_id, at, agent_id, session_id, model, input_tokens, output_tokens,
                              cache_read_tokens, cache_creation_tokens, picodollars)
    select workspace_id, to_timestamp(at), agent_id, session_id, model, input, output, read, written,
           cost::numeric
    from unnest(%b::text[], %b::float8[], %b::text[], %b::text[], %b::text[], %b::bigint[], %b::bigint[],
                %b::bigint[], %b::bigint[], %b::text[])
      as r(workspace_id, at, agent_id, session_id, model, input, output, read, written, cost)
"""
SETTLE = b"""
    update budget_reservations b set settled = true, picodollars = r.cost::numeric, tokens = r.tokens
    from unnest(%b::text[], %b::text[], %b::bigint[]) as r(request_id, cost, tokens)
    where b.request_id = r.request_id and not b.settled
"""
COUNTS = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
)
Used = Mapping[str, Any]
"""`usage` and `list_cost` of a request, as they are kept with its end."""


@dataclass(frozen=True, slots=True)
class Bound:
    """The most that a model request can use."""

    picodollars: int | None
    """None: the model has no list price."""
    tokens: int
    model: str


@dataclass(frozen=True, slots=True)
class Short:
    """A budget that has no room for a request."""

    budget_id: str
    final: bool
    """Even once all that is reserved is settled; else it may fit then."""
    until: float | None = None
    """When the budget's next period begins."""


async def charge(connection: Connection, sheets: Sequence[Sheet]) -> None:
    """Write what the ends of requests on these sheets say; nothing where there are none."""
    ledger = [row for sheet in sheets for row in entries(sheet)]
    if ledger:
        await connection.execute(LEDGER, arrays(ledger))
    settled = [row for sheet in sheets if sheet.budgeted for row in settlements(sheet)]
    if settled:
        await connection.execute(SETTLE, arrays(settled))


def entries(sheet: Sheet) -> Iterator[tuple[Any, ...]]:
    """Rows of the ledger, in the order of the statement."""
    for entry in sheet.written:
        event = entry.event
        used = event.private or {}
        if event.type in JUDGED:
            used = used.get("judge") or {}
        elif event.type != "span.model_request_end":
            continue
        if "usage" in used:
            cost = used.get("list_cost")
            yield (
                sheet.workspace_id,
                event.at,
                sheet.agent_id,
                sheet.id,
                str(used.get("model") or "unknown"),
                *counts(used),
                None if cost is None else str(cost),
            )


def settlements(sheet: Sheet) -> Iterator[tuple[str, str, int]]:
    """Request, picodollars and tokens of every request that ended; judges' calls come before its end."""
    judged: dict[str, list[Used]] = {}
    for entry in sheet.written:
        event = entry.event
        if event.type in JUDGED and (record := (event.private or {}).get("judge")):
            judged.setdefault(event.thread_id, []).append(record)
        elif event.type == "span.model_request_end":
            request_id = str(event.payload["model_request_start_id"])
            yield request_id, *total([event.private or {}])
            yield request_id + JUDGE, *total(judged.pop(event.thread_id, []))


def total(used: Sequence[Used]) -> tuple[str, int]:
    """Picodollars and tokens; what has no price or reported nothing counts nothing."""
    cost = sum(int(one.get("list_cost") or 0) for one in used)
    return str(cost), sum(sum(counts(one)) for one in used)


def counts(used: Used) -> tuple[int, ...]:
    """Its tokens by kind."""
    usage = used.get("usage") or {}
    long_and_short = int(usage.get("cache_creation_5m_input_tokens") or 0) + int(
        usage.get("cache_creation_1h_input_tokens") or 0
    )
    first = [int(usage.get(name) or 0) for name in COUNTS]
    return *first[:3], max(first[3], long_and_short)
