"""`GET /v1/sessions/{id}/wait`: one request that answers when a session has come to rest.

An extension of the wire, for scripts that need no stream. Promises: it answers with the session as
it is by then, at the latest after the time-out; a turn that was only waited for still counts as
unseen, so a stream opened afterwards begins with it.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from agentstead.api.router import Call, Router
from agentstead.log.log import SessionRow
from agentstead.wire import session as wire
from agentstead.wire.answers.session import SessionWait

router = Router("Sessions")

TIMEOUT_SECONDS = 30
TIMEOUT_SECONDS_MAX = 300


def resting(row: SessionRow) -> bool:
    """Whether nothing happens any more until somebody acts. Some of several answers leave the status
    as it is; until a worker has taken them in, the stop reason still names their calls."""
    taken_in = not row.inbox_count or row.wake_at is None
    return row.status == "terminated" or (row.status == "idle" and taken_in)


UNTIL: dict[str, Callable[[SessionRow], bool]] = {
    "idle": resting,
    "terminated": lambda row: row.status == "terminated",
}
"""What can be waited for. A terminated session never becomes idle, so it ends both."""


@router.get(
    "/v1/sessions/{session_id}/wait", query=("until", "timeout_seconds"), answer=SessionWait
)
async def wait(call: Call, session_id: str) -> Mapping[str, Any]:
    """Wait until a session is idle or terminated, at most so long; answer with the session."""
    until = call.query.choice("until", tuple(UNTIL), "idle")
    seconds = call.query.number("timeout_seconds", 0, TIMEOUT_SECONDS_MAX)
    timeout = TIMEOUT_SECONDS if seconds is None else seconds
    done = UNTIL[until]
    row = await while_connected(
        call, call.services.log.settled(call.workspace_id, session_id, done, timeout)
    )
    if row is None:
        return {}  # nobody reads it
    return {
        "type": "session_wait",
        "until": until,
        "timed_out": not done(row),
        "reason": reason(row),
        "stop_reason": row.stop_reason,
        "session": wire.answer(row, call.services.clock.now()),
    }


def reason(row: SessionRow) -> str:
    """Why it rests, in a word; while it does not, its status."""
    if row.archived_at is not None:
        return "archived"
    if row.status != "idle":
        return row.status
    return "not_started" if row.stop_reason is None else str(row.stop_reason["type"])


async def while_connected(
    call: Call, waiting: Coroutine[Any, Any, SessionRow]
) -> SessionRow | None:
    """The row; None when the client goes away before, then nothing waits any longer."""
    row = asyncio.create_task(waiting)
    gone = asyncio.create_task(call.gone())
    try:
        await asyncio.wait({row, gone}, return_when=asyncio.FIRST_COMPLETED)
        return row.result() if row.done() else None
    finally:
        for task in (row, gone):
            task.cancel()
        await asyncio.gather(row, gone, return_exceptions=True)
