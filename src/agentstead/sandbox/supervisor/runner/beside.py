"""File and search tools for the runner in C: a Python that it starts at the first of them.

It gets the messages that such a call consists of and answers as the runner would; that no process can
be started any more is for the runner to mend. It ends with the runner.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import sys
import time

from agentstead.sandbox.supervisor.frames import Frames, pack
from agentstead.sandbox.supervisor.runner import processes
from agentstead.sandbox.supervisor.runner.jobs import Jobs

TYPE_CHECKING = False  # importing typing would cost a tenth of a sandbox's start
if TYPE_CHECKING:
    from typing import Any


class Beside:
    """The loop."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._frames = Frames()
        self._selector = selectors.DefaultSelector()
        self._why = ""
        self._jobs = Jobs(self._selector, channel, lambda: self._why)
        self._selector.register(channel, selectors.EVENT_READ, self._receive)

    def run(self) -> None:
        """Serve until the runner goes."""
        while True:
            deadlines = self._jobs.deadlines()
            patience = max(0.0, min(deadlines) - time.monotonic()) if deadlines else None
            for key, _ in self._selector.select(patience):
                # a callback before this one may have closed this one's descriptor
                if key.fd in self._selector.get_map():
                    key.data()
            self._jobs.expire(time.monotonic())

    def _receive(self) -> None:
        data = self._channel.recv(1 << 16)
        if not data:
            os._exit(0)
        for message in self._frames.feed(data):
            if message["op"] == "run":
                self._begin(message)
            elif message["op"] == "end":
                self._why = message["why"]
                self._jobs.end(message["id"])
                self._why = ""

    def _begin(self, message: dict[str, Any]) -> None:
        try:
            self._jobs.begin(message)
        except OSError:
            self._channel.sendall(pack({"id": message["id"], "full": True}))


def main() -> None:
    """Run with the number of the channel's descriptor as the only argument."""
    processes.hide()
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.set_inheritable(False)
    Beside(channel).run()
