"""The list of sessions: filters, both directions, cursors.

Promises: a page and its neighbours never overlap; `prev_page` is null on the first page and
`next_page` on the last; a cursor is bound to its order and to the `created_at` filter around it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from agentstead.api.paging import BAD, Cursor, cursor, limit
from agentstead.api.query import Query, instant
from agentstead.api.router import Call
from agentstead.clock import rfc3339
from agentstead.errors import Invalid
from agentstead.log.log import SessionRow
from agentstead.log.rows import SESSION_COLUMNS, session_of
from agentstead.store.table import moment
from agentstead.wire import session as wire

LIMIT, LIMIT_MAX = 20, 100
KIND = "sessions"
SIGNS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
VERSION_MAX = 2**31 - 1
HAS_STORE = (
    "exists (select from json_array_elements(resources) as one"
    " where one ->> 'memory_store_id' = %s)"
)
Conditions = list[tuple[str, tuple[Any, ...]]]


async def list_sessions(call: Call) -> Mapping[str, Any]:
    """List sessions by creation, newest first unless told otherwise."""
    query = call.query
    order = query.choice("order", ("asc", "desc"), "desc")
    most = limit(query, LIMIT, LIMIT_MAX)
    at = cursor(query, KIND, order, (str, str))
    conditions = filters(query)
    if at is not None:
        check_inside(query, at)
    rows = await fetch(call, conditions, order, at, most + 1)
    more = len(rows) > most
    rows = rows[:most]
    backwards = at is not None and at.backwards
    if backwards:
        rows.reverse()
    now = call.services.clock.now()
    return {
        "data": [wire.answer(row, now) for row in rows],
        "next_page": text(rows, order, last=True) if rows and (more or backwards) else None,
        "prev_page": text(rows, order, last=False)
        if rows and at and (more or not backwards)
        else None,
    }


def text(rows: list[SessionRow], order: str, *, last: bool) -> str:
    """The cursor after the last row, or before the first."""
    row = rows[-1 if last else 0]
    return Cursor(KIND, order, (rfc3339(row.created_at), row.id), backwards=not last).text()


async def fetch(
    call: Call, conditions: Conditions, order: str, at: Cursor | None, most: int
) -> list[SessionRow]:
    """The rows after the cursor, or before it in reverse."""
    descending = (order == "desc") != (at is not None and at.backwards)
    where = ["workspace_id = %s", *(sql for sql, _ in conditions)]
    params: list[Any] = [
        call.workspace_id,
        *(value for _, values in conditions for value in values),
    ]
    if at is not None:
        where.append(f"(created_at, id) {'<' if descending else '>'} (%s, %s)")
        params.extend((time(at), at.key[1]))
    way = "desc" if descending else "asc"
    rows = await call.services.database.fetch(
        f"select {SESSION_COLUMNS} from sessions where {' and '.join(where)}"  # noqa: S608
        f" order by sessions.created_at {way}, sessions.id {way} limit %s",
        (*params, most),
    )
    return [session_of(row) for row in rows]


def filters(query: Query) -> Conditions:
    """The conditions of the query."""
    found: Conditions = []
    agent_id = query.text("agent_id")
    version = query.number("agent_version", 1, VERSION_MAX)
    if agent_id is not None:
        found.append(("agent_id = %s", (agent_id,)))
        if version is not None:
            found.append(("agent_version = %s", (version,)))
    elif version is not None:
        raise Invalid("agent_version: Only allowed together with agent_id.")
    statuses = query.words("statuses", wire.STATUSES)
    if statuses:
        found.append(("status = any(%s)", (list(statuses),)))
    if query.text("deployment_id") is not None:
        found.append(("false", ()))  # there are no deployments yet, so that nothing can match
    store = query.text("memory_store_id")
    if store is not None:
        found.append((HAS_STORE, (store,)))
    for comparison, at in query.times("created_at").items():
        found.append((f"created_at {SIGNS[comparison]} %s", (moment(at),)))
    if not query.flag("include_archived"):
        found.append(("archived_at is null", ()))
    return found


def time(at: Cursor) -> datetime:
    """The time a cursor points at."""
    try:
        return moment(instant(at.key[0]))
    except ValueError:
        raise Invalid(BAD) from None


def check_inside(query: Query, at: Cursor) -> None:
    """A cursor outside of the `created_at` filter belongs to another list."""
    place = time(at).timestamp()
    for comparison, bound in query.times("created_at").items():
        inside = {
            "gt": place > bound,
            "gte": place >= bound,
            "lt": place < bound,
            "lte": place <= bound,
        }[comparison]
        if not inside:
            raise Invalid(f"page: This cursor lies outside of created_at[{comparison}].")
