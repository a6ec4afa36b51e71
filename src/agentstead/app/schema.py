"""Watches for a newer build that migrates the database while this one runs.

Promises: after migrations that are marked compatible this process goes on; after any other it takes
no more work, lets the steps of its sessions end, and stops with the reason.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from agentstead.clock import Clock
from agentstead.errors import Misconfigured, StoreFault
from agentstead.store.migrate import MIGRATIONS, outdated
from agentstead.store.pool import Database

LOOK_SECONDS = 2.0


@asynccontextmanager
async def schema_watched(
    database: Database, clock: Clock, folder: Path = MIGRATIONS, look_seconds: float = LOOK_SECONDS
) -> "AsyncIterator[asyncio.Task[None]]":
    """A task that ends with Misconfigured once this build is too old for its database."""
    task = asyncio.create_task(watch(database, clock, folder, look_seconds), name="schema")
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def watch(database: Database, clock: Clock, folder: Path, look_seconds: float) -> None:
    """Look now and then; a database that is away says nothing."""
    while True:
        await clock.sleep(look_seconds)
        try:
            name = await outdated(database, folder)
        except StoreFault:
            continue
        if name is not None:
            raise Misconfigured(
                f"A newer Agentstead has migrated the database ({name}), and this build cannot go on "
                "with it. Its sessions were handed over as their steps ended; start the new version."
            )
