"""Workers as tasks of this process; at the end they hand their sessions back at once.

Beside them the model providers get warm: importing a vendor's SDK takes seconds, which the first
model request would have to wait for.
"""

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
    # Nobody waits for it; what goes wrong in it goes wrong again, and is said, at the first request.
    warming = asyncio.create_task(warm(rooms, owners), name="warming")
    try:
        yield tasks
    finally:
        warming.cancel()
        await asyncio.gather(warming, return_exceptions=True)
        for worker in workers:
            await worker.stop()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        for failure in ended:
            if isinstance(failure, BaseException):
                raise failure


async def warm(rooms: Rooms, owners: tuple[str, ...]) -> None:
    """Import what the configured providers need, where there are workers to use it."""
    if owners:
        await rooms.catalogue.warm()
