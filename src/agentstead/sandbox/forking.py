"""The worker's side of the process that forks supervisors (`supervisor/forks.py`).

Promises: started by the first request, and again when it has died; it ends with this object. What a
request starts goes on without either.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SUPERVISOR = Path(__file__).parent / "supervisor" / "__main__.py"
END_SECONDS = 1.0


class Forking:
    """Starts supervisors."""

    def __init__(self) -> None:
        self.pid: int | None = None
        """The process, once there is one."""
        self._channel: socket.socket | None = None
        self._end: weakref.finalize[..., Any] | None = None

    async def start(self, config: Mapping[str, Any]) -> str:
        """Start a supervisor; all that it says until it has said whether its sandbox runs."""
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                self._ask(json.dumps(config).encode(), theirs)
            ours.setblocking(False)
            said = b""
            while data := await asyncio.get_running_loop().sock_recv(ours, 1 << 16):
                said += data
        return said.decode("utf-8", "replace")

    def close(self) -> None:
        """End the process; the next request starts another."""
        if self._end is not None:
            self._end()
        self.pid = self._channel = self._end = None

    def _ask(self, config: bytes, report: socket.socket) -> None:
        memory = os.memfd_create("config", os.MFD_CLOEXEC)
        try:
            with open(memory, "wb", closefd=False) as file:
                file.write(config)
            os.lseek(memory, 0, os.SEEK_SET)
            descriptors = [memory, report.fileno()]
            try:
                socket.send_fds(self._opened(), [b"."], descriptors)
            except (BrokenPipeError, ConnectionResetError):
                self.close()  # it was killed
                socket.send_fds(self._opened(), [b"."], descriptors)
        finally:
            os.close(memory)

    def _opened(self) -> socket.socket:
        if self._channel is None:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                number = theirs.fileno()
                process = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(SUPERVISOR), str(number), str(os.getpid())],
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env={}, cwd="/",
                    pass_fds=[number], start_new_session=True,
                )  # fmt: skip
            self.pid, self._channel = process.pid, ours
            self._end = weakref.finalize(self, _ended, ours, process)
        return self._channel


def _ended(channel: socket.socket, process: "subprocess.Popen[bytes]") -> None:
    channel.close()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
