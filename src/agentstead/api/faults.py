"""Exception → wire error: the one table.

Promises: every answer that is not a success has the wire's error body with the request's id; a
client's mistake is never a 5xx; an unexpected fault says nothing of its inside and is logged.
"""

import logging
import math
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response

from agentstead.errors import AgentsteadError, Fault, Limited, Refusal, StoreFault
from agentstead.wire.shape import canonical

log = logging.getLogger(__name__)

RETRY_SECONDS = 1
UNREACHABLE = "The database cannot be reached right now; nothing was changed. Try again shortly."
FULL = "The server's disk is full; nothing was changed. Its operator must free some space."


@dataclass(frozen=True, slots=True)
class Problem:
    """What is answered instead of a result."""

    status: int
    wire_type: str
    message: str
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    """Beside the code."""

    def body(self, request_id: str) -> bytes:
        """The wire's error body."""
        error: dict[str, Any] = {"type": self.wire_type, "message": self.message}
        if self.code is not None:
            error["details"] = {"error_code": self.code, **self.details}
        whole = {"type": "error", "error": error, "request_id": request_id}
        return canonical(whole).encode("utf-8", "replace")


def problem(error: Exception) -> Problem:
    """What to answer for `error`."""
    if isinstance(error, Refusal):
        return refused(error)
    if isinstance(error, HTTPException):
        return of_framework(error)
    if isinstance(error, StoreFault) and error.retryable:
        return Problem(
            503,
            "api_error",
            FULL if error.kind == "full" else UNREACHABLE,
            headers={"x-should-retry": "true", "retry-after": str(RETRY_SECONDS)},
        )
    log.error("request failed", exc_info=error)
    message = "Something went wrong on the server; its log has the details under this request id."
    if isinstance(error, Fault | AgentsteadError):
        return Problem(500, "api_error", message, headers={"x-should-retry": "false"})
    return Problem(500, "api_error", message)


def refused(error: Refusal) -> Problem:
    """The caller's fault."""
    headers = {}
    if error.should_retry is not None:
        headers["x-should-retry"] = str(error.should_retry).lower()
    if isinstance(error, Limited):
        seconds = error.retry_after_seconds or RETRY_SECONDS
        headers |= {
            "retry-after": str(math.ceil(seconds)),
            "retry-after-ms": str(round(seconds * 1000)),
        }
    return Problem(error.status, error.wire_type, error.message, error.code, headers, error.details)


def of_framework(error: HTTPException) -> Problem:
    """What the web framework says of a path or a method."""
    if error.status_code == 404:
        return Problem(404, "not_found_error", "There is no such route.")
    if error.status_code == 405:
        return Problem(
            405,
            "invalid_request_error",
            "This method is not allowed on this path.",
            headers=dict(error.headers or {}),
        )
    kind = "invalid_request_error" if error.status_code < 500 else "api_error"
    return Problem(error.status_code, kind, str(error.detail))


def render(error: Exception, request_id: str) -> Response:
    """An error as a response."""
    found = problem(error)
    return Response(
        found.body(request_id), found.status, dict(found.headers), media_type="application/json"
    )


async def answered(work: Awaitable[Response], request_id: str) -> Response:
    """What `work` gives, or the answer to what it raises."""
    try:
        return await work
    except Exception as error:  # noqa: BLE001  the door answers every fault
        return render(error, request_id)
