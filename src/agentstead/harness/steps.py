"""What may happen next. `plan` returns steps; the worker performs them.

A `Record` is writing only and never waits. The others are work, and a step that is still being done
is planned again with the same key, so that the worker keeps it running; work whose key disappears
from the plan is cancelled.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentstead.wire.events.stored import Draft, Event


@dataclass(frozen=True, slots=True)
class Record:
    """Write these events down (first the input taken in, then the drafts), then plan again."""

    take: tuple[str, ...] = ()
    """Ids of pending input."""
    drafts: tuple[Draft, ...] = ()


@dataclass(frozen=True, slots=True)
class CallModel:
    """Ask the model for a thread's next message. Its start is already in the log."""

    thread_id: str
    request_id: str
    """Id of the `span.model_request_start` event."""


@dataclass(frozen=True, slots=True)
class ServerCall:
    """What is kept of a call to an MCP server, whose list may be another one by now."""

    name: str
    """The server's, as the agent declares it."""
    url: str
    """Where it was when the model called."""
    shown: str
    """The name under which the model knows the tool."""
    repeatable: bool
    """The server says that calling it again does no harm."""

    @staticmethod
    def of(event: Event) -> "ServerCall":
        """From the log."""
        kept = event.private or {}
        name = event.payload["mcp_server_name"]
        return ServerCall(name, kept["url"], kept["shown"], kept["repeatable"])


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call of the model."""

    id: str
    """The tool-use event's id; the key of everything that happens once."""
    thread_id: str
    kind: str
    """builtin | mcp | custom"""
    name: str
    input: Mapping[str, Any]
    provider_id: str
    """The id under which the provider knows it (`toolu_…`)."""
    permission: str = "allow"
    """allow | ask | deny"""
    by_client: bool = False
    """A client runs it and sends its result."""
    server: "ServerCall | None" = None
    """Only of kind mcp."""

    @property
    def shown(self) -> str:
        """The name under which the model called it."""
        return self.name if self.server is None else self.server.shown


@dataclass(frozen=True, slots=True)
class RunTools:
    """Run these calls, all at once; each result is written as it comes."""

    thread_id: str
    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class CheckOut:
    """Check a repository out into the session's sandbox."""

    thread_id: str
    """Which waits for it; another one's waiting does not do it twice."""
    repository_id: str


@dataclass(frozen=True, slots=True)
class CancelTools:
    """Make sure that these calls have ended; then write `drafts` (their results)."""

    thread_id: str
    calls: tuple[Call, ...]
    drafts: tuple[Draft, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do now. `reason` goes to `/why`."""

    reason: str
    """idle | client | retry | budget | time | stopped | terminated"""
    wake_at: float | None = None
    """Seconds since the epoch; only for `retry`, `budget` and, beside work, `time`."""


Step = Record | CallModel | RunTools | CheckOut | CancelTools | Wait
