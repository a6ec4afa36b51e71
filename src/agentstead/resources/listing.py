"""Pages of plain nouns, newest first."""

from collections.abc import Mapping
from typing import Any

from agentstead.api.paging import BAD, Cursor, cursor, limit, page
from agentstead.api.query import instant
from agentstead.api.router import Call
from agentstead.errors import Invalid
from agentstead.store.table import Filter, Slice, Table

LIMIT, LIMIT_MAX = 20, 100


async def newest_first(
    call: Call, table: Table, kind: str, filters: list[Filter], answer: Any
) -> Mapping[str, Any]:
    """A page of a plain noun, newest first."""
    after = cursor(call.query, kind, "desc", (str, str))
    part = Slice(limit(call.query, LIMIT, LIMIT_MAX), after=place(after) if after else None)
    rows, more = await table.list(call.services.database, call.workspace_id, part, filters)
    last = Cursor(kind, "desc", (rows[-1]["created_at"], rows[-1]["id"])) if more else None
    return page([answer(row) for row in rows], last)


def place(after: Cursor) -> tuple[float, str]:
    """The row a cursor points at."""
    try:
        return instant(after.key[0]), after.key[1]
    except ValueError:
        raise Invalid(BAD) from None
