"""The first signal asks a process to stop, the second ends it at once."""

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from agentstead.app.stop import asked_to_stop, first_of

STUBBORN = """
import asyncio
from agentstead.app.stop import asked_to_stop
async def main():
    with asked_to_stop() as stop:
        print("up", flush=True)
        await stop.wait()
        print("stopping", flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


async def test_a_signal_sets_the_event() -> None:
    with asked_to_stop() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(stop.wait(), 5)


def test_the_second_signal_ends_it_at_once() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "stopping\n"
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=10)
        assert process.returncode == 128 + signal.SIGTERM
        assert "stopped at once" in said
    finally:
        process.kill()
        process.wait()


async def test_a_task_that_fails_ends_the_wait_with_its_error() -> None:
    async def broken() -> None:
        raise ValueError("broken")

    task = asyncio.create_task(broken())
    with pytest.raises(ValueError, match="broken"):
        await asyncio.wait_for(first_of(asyncio.Event(), [task]), 5)


async def test_being_asked_ends_the_wait_while_tasks_go_on() -> None:
    stop = asyncio.Event()
    task = asyncio.create_task(asyncio.Event().wait())
    stop.set()
    await asyncio.wait_for(first_of(stop, [task]), 5)  # type: ignore[list-item]
    assert not task.done()
    task.cancel()
