"""A server in a thread of its own, for tests that are not asynchronous (what hypothesis drives)."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.server import Running, serving

START_SECONDS = 20.0
STOP_SECONDS = 20.0


@contextmanager
def serving_in_thread(database_url: str, **options: Any) -> Iterator[Running]:
    """`serving`, on a loop of its own; ends with the block."""
    loop = asyncio.new_event_loop()
    started, over = threading.Event(), asyncio.Event()
    found: list[Running] = []
    troubles: list[BaseException] = []

    async def serve() -> None:
        async with serving(database_url, **options) as running:
            found.append(running)
            started.set()
            await over.wait()

    def work() -> None:
        try:
            loop.run_until_complete(serve())
        except BaseException as error:
            troubles.append(error)
        finally:
            started.set()
            loop.close()

    thread = threading.Thread(target=work, name="server")
    thread.start()
    try:
        assert started.wait(START_SECONDS), "the server did not start"
        if troubles:
            raise troubles[0]
        yield found[0]
    finally:
        if not loop.is_closed():
            loop.call_soon_threadsafe(over.set)
        thread.join(STOP_SECONDS)
        assert not thread.is_alive(), "the server did not stop"
    if troubles:
        raise troubles[0]
