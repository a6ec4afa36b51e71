"""A platform of this program's own: a child process that ends with it."""

import asyncio
import atexit
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO

from agentstead.client.place import Place, running_place
from agentstead.clock import SystemClock
from agentstead.errors import Misconfigured
from agentstead.settings import Settings

CLOCK = SystemClock()
START_SECONDS = 60.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.05
SAID_CHARACTERS = 2000
SERVE = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # the program that needs it may be killed
if os.getppid() != int(sys.argv[1]):
    sys.exit(0)
os.environ.setdefault("AGENTSTEAD_CONNECTOR_PRIVATE_HOSTS", sys.argv[3])
sys.argv = ["agentstead", "serve", "--port", "0", "--data-dir", sys.argv[2]]
from agentstead.cli.main import main
main()
"""
LOOPBACK = "localhost,127.0.0.0/8,::1"
"""Where connectors of a platform with one user may go beyond the public internet."""


class Embedded:
    """The child, once it is needed."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None

    async def place(self, settings: Settings) -> Place:
        """The server to work on: one that runs, or else the child. Misconfigured when it does not start."""
        found = await running_place(settings)
        if found is not None:
            return found
        with tempfile.TemporaryFile() as words:
            self.process = start(settings.data_dir, words)
            atexit.register(self.stop)
            try:
                async with asyncio.timeout(START_SECONDS):
                    return await self._ready(settings)
            except (TimeoutError, Misconfigured):
                self.stop()
                words.seek(0)
                said = words.read().decode("utf-8", "replace")[-SAID_CHARACTERS:].strip()
                raise Misconfigured(
                    f"The platform did not start in {settings.data_dir}:\n{said or 'it said nothing.'}"
                ) from None

    async def _ready(self, settings: Settings) -> Place:
        assert self.process is not None
        while True:
            ended = self.process.poll() is not None
            # another program may have been quicker: its platform serves the folder then
            found = await running_place(settings)
            if found is not None:
                return found
            if ended:
                raise Misconfigured("It ended.")
            await CLOCK.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """End the child, and what it has started."""
        process, self.process = self.process, None
        atexit.unregister(self.stop)
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def start(data_dir: Path, words: IO[bytes]) -> "subprocess.Popen[bytes]":
    """Start a server on a folder; what it says goes into `words`."""
    return subprocess.Popen(
        [sys.executable, "-c", SERVE, str(os.getpid()), str(data_dir), LOOPBACK],
        stdin=subprocess.DEVNULL,
        stdout=words,
        stderr=subprocess.STDOUT,
    )
