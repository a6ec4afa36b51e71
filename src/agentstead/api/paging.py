"""Cursors and page sizes.

Promises: a cursor is opaque, belongs to one kind of list and one order, and is refused (`Invalid`)
anywhere else; a page that is the last has no cursor.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agentstead.api.query import Query
from agentstead.errors import Invalid

PREFIX = "page_"


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a list."""

    kind: str
    """Which list, with its parent where it has one."""
    order: str
    """asc | desc"""
    key: tuple[Any, ...]
    """What the row before the page is sorted by."""
    backwards: bool = False
    """The page lies before the key, not after."""

    def text(self) -> str:
        """As the client gets it."""
        body = json.dumps([self.kind, self.order, int(self.backwards), *self.key])
        return PREFIX + base64.urlsafe_b64encode(body.encode()).decode().rstrip("=")


BAD = "page: This is not a cursor of this list."


def cursor(
    query: Query, kind: str, order: str, key: Sequence[type | tuple[type, ...]]
) -> Cursor | None:
    """The cursor of a request, None for the first page. `key`: the types of its parts."""
    text = query.text("page")
    if text is None:
        return None
    found = _read(text)
    if found.kind != kind or len(found.key) != len(key):
        raise Invalid(BAD)
    for part, expected in zip(found.key, key, strict=True):
        if not isinstance(part, expected) or isinstance(part, bool):
            raise Invalid(BAD)
    if found.order != order:
        raise Invalid(
            f"page: This cursor was made with order={found.order}; it cannot be used with another."
        )
    return found


def _read(text: str) -> Cursor:
    try:
        padded = text.removeprefix(PREFIX) + "=" * (-len(text.removeprefix(PREFIX)) % 4)
        kind, order, backwards, *key = json.loads(base64.b64decode(padded, b"-_", validate=True))
    except (ValueError, TypeError, RecursionError):
        raise Invalid(BAD) from None
    if (
        not text.startswith(PREFIX)
        or not isinstance(kind, str)
        or order not in ("asc", "desc")
        or backwards not in (0, 1)
        or any(isinstance(part, str) and "\x00" in part for part in key)
        or any(isinstance(part, int | float) and abs(part) >= 2**62 for part in key)
    ):
        raise Invalid(BAD)
    return Cursor(kind, order, tuple(key), bool(backwards))


def limit(query: Query, default: int, highest: int) -> int:
    """The page size asked for."""
    return query.number("limit", 1, highest) or default


def page(rows: Sequence[Any], next_page: Cursor | None) -> dict[str, Any]:
    """The envelope of a page."""
    return {"data": list(rows), "next_page": next_page and next_page.text()}
