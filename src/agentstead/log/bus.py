"""Who hears of an event: the port of the bus, and the words that travel on it.

A notice is one line, `<kind> <words>`. It is told only when what it tells of has been committed.
Previews travel outside of transactions and are shed when they do not fit. A process never hears
itself. Notices may be lost: `resync` is called where that is known, and everybody looks for himself;
where it is not, the hearing's look-round finds what was missed.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from agentstead.store.pool import Connection

LOG, INPUT, GONE, PREVIEW, WORK = "L", "I", "G", "P", "W"
"""Kinds: events were appended; input arrived; a session was deleted; a preview; work was queued."""

Hear = Callable[[str, str], None]


class Bus(Protocol):
    """How processes tell each other what happened."""

    async def start(self, hear: Hear, resync: Callable[[], None]) -> None:
        """Connect; call `hear(kind, words)` for notices of others, `resync` after a gap."""
        ...

    async def send(self, connection: Connection, lines: Iterable[str]) -> None:
        """Tell, when and if the connection's transaction commits."""
        ...

    def preview(self, session_id: str, thread_id: str, frame: Mapping[str, Any]) -> None:
        """Tell of a message in the making."""
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...


def preview_id(frame: Mapping[str, Any]) -> str:
    """The event a preview belongs to."""
    if frame["type"] == "event_start":
        return str(frame["event"]["id"])
    return str(frame["event_id"])
