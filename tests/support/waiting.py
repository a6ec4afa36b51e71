"""Wait for something, within bounds."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

Found = TypeVar("Found")
PAUSE_SECONDS = 0.05


async def until(
    look: Callable[..., Awaitable[Found | None]], *args: Any, seconds: float = 10.0, **more: Any
) -> Found:
    """What `look` finds, as soon as it finds something."""
    async with asyncio.timeout(seconds):
        while not (found := await look(*args, **more)):  # noqa: ASYNC110  there is no event for it
            await asyncio.sleep(PAUSE_SECONDS)
    return found
