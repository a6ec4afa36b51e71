"""Waiting for a session to come to rest, without following its events.

Promises: the answer is the row as the database has it; waiting reads it only when something of the
session may have changed; it does not count as having seen a turn (clients rule 1).
"""

from collections.abc import Callable

from agentstead.clock import Clock
from agentstead.log import read
from agentstead.log.dispatch import waited
from agentstead.log.log import SessionRow
from agentstead.log.tail import Hub
from agentstead.store.pool import Database

LOOK_SECONDS = 5.0
"""Only a safety net: waiters are woken by notices."""
PAUSE_SECONDS = 0.02
"""Between two looks, however much is told of a session."""


async def settled(
    database: Database,
    hub: Hub,
    clock: Clock,
    workspace_id: str,
    session_id: str,
    done: Callable[[SessionRow], bool],
    timeout_seconds: float,
) -> SessionRow:
    """The session once `done` says so of it, or as it is after the time-out. Raises NotFound."""
    deadline = clock.now() + timeout_seconds
    with hub.watching(session_id) as woken:
        while True:
            woken.clear()
            looked_at = clock.now()
            row = await read.retrieve(database, workspace_id, session_id)
            left = deadline - clock.now()
            if done(row) or left <= 0 or hub.closed:
                return row
            if await waited(woken, min(left, LOOK_SECONDS)):
                await clock.sleep(max(0.0, looked_at + PAUSE_SECONDS - clock.now()))
