"""What went wrong with an MCP server: from the library's errors to `McpFault`.

Promises: the kind says what may have happened. `unreachable`, `auth`, `expired`: nothing was called;
`refused`: the server answered with an error; `cut`, `timeout`: it may have acted.
"""

from collections.abc import Mapping
from typing import Any

import httpx2
from mcp import MCPError

from agentstead.errors import McpFault
from agentstead.tools.mcp.transport import MARK

CONNECTION_CLOSED = -32000
LEGACY = frozenset({400, 404, 405, 406, 410, 415, 501})
"""Statuses by which a server that only knows SSE answers a POST to its address."""
AUTH = frozenset({401, 403, 407})
MESSAGE_CHARACTERS_MAX = 500


def mark_of(error: BaseException) -> Mapping[str, Any] | None:
    """What our transport noted of a request that failed."""
    data = error.data if isinstance(error, MCPError) else None
    mark = data.get(MARK) if isinstance(data, dict) else None
    return mark if isinstance(mark, dict) else None


def leaf(error: BaseException) -> BaseException:
    """The first error in a group."""
    return leaf(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def is_legacy(error: BaseException) -> bool:
    """Whether the server may know SSE only."""
    return (mark_of(error) or {}).get("status") in LEGACY


def is_status(error: BaseException) -> bool:
    """Whether this is nothing but a status, and not one of access."""
    return isinstance(error, httpx2.HTTPStatusError) and error.response.status_code not in AUTH


def of_connecting(name: str, error: BaseException | None) -> McpFault:
    """Why there is no connection."""
    mark = mark_of(error) if error is not None else None
    status = (mark or {}).get("status")
    if isinstance(error, httpx2.HTTPStatusError):
        status = error.response.status_code
    if status in AUTH:
        return unauthorized(name, status)
    if isinstance(error, httpx2.HTTPStatusError):
        said = f"HTTP status {status}"
    elif mark is not None and "message" in mark:
        said = str(mark["message"])
    elif error is None:
        said = "it closed the connection"
    else:
        said = str(error) or type(error).__name__
    return McpFault(
        f'The MCP server "{name}" cannot be reached: {shortened(said)}', kind="unreachable"
    )


def of_call(name: str, error: MCPError) -> McpFault:
    """Why a call has no result."""
    mark = mark_of(error)
    if mark is not None:
        return of_mark(name, mark, error.message)
    if error.code == CONNECTION_CLOSED:
        return cut(name, error.message)
    return McpFault(shortened(error.message), kind="refused")


def of_mark(name: str, mark: Mapping[str, Any], message: str) -> McpFault:
    """Why a request that our transport answered has no result."""
    status = mark.get("status")
    if not mark["sent"]:
        return McpFault(
            f'The MCP server "{name}" cannot be reached: {shortened(str(mark["message"]))}',
            kind="unreachable",
        )
    if status is None:
        return cut(name, str(mark.get("message")))
    if status in AUTH:
        return unauthorized(name, status)
    if status == 404:
        return McpFault(f'The MCP server "{name}" has ended its session.', kind="expired")
    if status >= 500:
        return cut(name, f"HTTP status {status}")
    return McpFault(shortened(f"HTTP status {status}: {message}"), kind="refused")


def unauthorized(name: str, status: int) -> McpFault:
    """The server wants other credentials."""
    return McpFault(
        f'The MCP server "{name}" refused access (HTTP status {status}): it wants a credential that '
        "this session does not have, or the one it has is not valid any more.",
        kind="auth",
    )


def cut(name: str, reason: str) -> McpFault:
    """A request that went out, and no answer came."""
    said = shortened(reason)
    return McpFault(f'The connection to the MCP server "{name}" broke: {said}', kind="cut")


def late(name: str, what: str, seconds: float, kind: str = "timeout") -> McpFault:
    """Nothing came in time."""
    return McpFault(f'The MCP server "{name}" did not {what} within {seconds:g} s.', kind=kind)


def shortened(text: str) -> str:
    """One line of a length that people read, with an end."""
    line = " ".join(text.split())
    if len(line) > MESSAGE_CHARACTERS_MAX:
        line = f"{line[:MESSAGE_CHARACTERS_MAX]}…"
    return line if line.endswith((".", "…", "!", "?")) else f"{line}."
