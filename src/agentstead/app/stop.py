"""How a process is told to stop: the first signal asks, the second one ends it at once."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def asked_to_stop() -> Iterator[asyncio.Event]:
    """An event that is set by the first SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def received(number: signal.Signals) -> None:
        if stop.is_set():
            # Nothing is lost: the log is durable, and the next start adopts what is left running.
            sys.stderr.write("agentstead: stopped at once\n")
            sys.stderr.flush()
            os._exit(128 + number)
        stop.set()

    for number in SIGNALS:
        loop.add_signal_handler(number, received, number)
    try:
        yield stop
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)


async def first_of(stop: asyncio.Event, tasks: "list[asyncio.Task[None]]") -> None:
    """Return when asked to stop; raise what ended a task that was to run for ever."""
    asked = asyncio.ensure_future(stop.wait())
    try:
        done, _ = await asyncio.wait([asked, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in done - {asked}:
            task.result()
    finally:
        asked.cancel()
