"""Ends the sandboxes of sessions that are deleted, archived or terminated."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agentstead.app.rooms import Rooms
from agentstead.errors import Fault
from agentstead.log.census import without_session
from agentstead.telemetry import logs

TIDY_SECONDS = 2.0

log = logs.get("app")


@asynccontextmanager
async def tidying(rooms: Rooms) -> AsyncIterator["asyncio.Task[None]"]:
    """Tidy up every other second for as long as the block runs, and once at the end."""
    task = asyncio.create_task(tidy_for_ever(rooms), name="tidy")
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await tidy(rooms)


async def tidy_for_ever(rooms: Rooms) -> None:
    """Tidy up every other second."""
    while True:
        await rooms.clock.sleep(TIDY_SECONDS)
        await tidy(rooms)


async def tidy(rooms: Rooms) -> None:
    """End every sandbox here whose session is over.

    Sandboxes are listed before sessions: one that starts meanwhile has a session by then.
    """
    try:
        here = await rooms.sandbox.reconcile(set())
        for sandbox_id in await without_session(rooms.database, here) if here else ():
            await rooms.sandbox.destroy(sandbox_id)
            log.info("sandbox ended", session_id=sandbox_id)
    except Fault as fault:
        log.warning("sandboxes could not be tidied up", error=fault.message)
