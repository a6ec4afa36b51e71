"""An event as the log keeps it, and its two forerunners: a draft and pending input.

The public payload is exactly what clients see (`id`, `type`, `processed_at` and the type's own
fields). What only the harness needs (provider tool ids, thinking signatures) lies apart in
`private` and is never shown.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """One immutable row of a session's log. `seq` is 0 until the log has assigned it."""

    id: str
    type: str
    thread_id: str
    payload: Mapping[str, Any]
    at: float
    """`processed_at` in seconds since the epoch."""
    seq: int = 0
    private: Mapping[str, Any] | None = None
    primary: bool = True
    """Shown in the session's own list and stream (the primary thread's view)."""


@dataclass(frozen=True, slots=True)
class Draft:
    """An event that somebody wants written; whoever appends gives it an id and a time."""

    type: str
    thread_id: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    """The public payload without `id`, `type`, `processed_at`."""
    private: Mapping[str, Any] | None = None
    id: str | None = None
    """Set when the id was announced before (previews)."""
    primary: bool = True


@dataclass(frozen=True, slots=True)
class Pending:
    """Client input that has arrived and that no worker has taken in yet."""

    id: str
    type: str
    thread_id: str | None
    """The thread it is for; None: the primary, and for `user.interrupt` every thread."""
    payload: Mapping[str, Any]
    """With `processed_at` null, or the time of receipt for types that are processed on receipt."""
    arrived: int
    """Order of arrival, growing over the whole database."""
    at: float
    """When it arrived, seconds since the epoch."""
