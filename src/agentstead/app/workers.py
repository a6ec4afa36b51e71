"""Workers as tasks of this process; at the end they hand their sessions back at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agentstead.app.rooms import Rooms
from agentstead.worker.loop import Worker


@asynccontextmanager
async def workers_at_work(
    rooms: Rooms, owners: tuple[str, ...]
) -> AsyncIterator["tuple[asyncio.Task[None], ...]"]:
    """One worker per name for as long as the block runs."""
    workers = [Worker(rooms.world(), owner) for owner in owners]
    tasks = tuple(
        asyncio.create_task(worker.run(), name=f"worker {worker.owner}") for worker in workers
    )
    try:
        yield tasks
    finally:
        for worker in workers:
            await worker.stop()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        for failure in ended:
            if isinstance(failure, BaseException):
                raise failure
