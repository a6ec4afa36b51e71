"""The line from a supervisor to the runner in its sandbox, and what that sandbox complains about.

What comes from inside is not trusted: nonsense ends the sandbox.
"""

import os
import selectors
import socket
import time
from collections.abc import Callable
from typing import Any

from agentstead.sandbox.supervisor.frames import Frames, FrameTooLarge, pack
from agentstead.sandbox.supervisor.launch import Launched

LOG_BYTES = 8192
SEND_SECONDS = 10.0
LAST_WORDS_SECONDS = 0.5


class Inside:
    """One started sandbox; part of the supervisor's loop."""

    def __init__(
        self,
        launched: Launched,
        selector: selectors.BaseSelector,
        heard: Callable[[dict[str, Any]], None],
        lost: Callable[[str], None],
    ) -> None:
        self.pid = launched.pid
        self._launched = launched
        self._channel = launched.channel
        self._log = launched.log
        self._selector = selector
        self._heard = heard
        self._lost = lost
        self._frames = Frames()
        self._complaints = b""
        selector.register(self._channel, selectors.EVENT_READ, self._receive)
        selector.register(self._log, selectors.EVENT_READ, self._read_log)

    @property
    def complaints(self) -> str:
        """The last of what bubblewrap and the runner said outside of the protocol."""
        return self._complaints.decode("utf-8", "replace")

    def wait_ready(self, seconds: float, handed: Callable[[socket.socket], None]) -> bool:
        """Whether the runner reports in time; `handed` gets the socket that may come with it."""
        until = time.monotonic() + seconds
        self._channel.settimeout(0)
        while time.monotonic() < until:
            for key, _ in self._selector.select(max(0.0, until - time.monotonic())):
                if key.fileobj is not self._channel:
                    self._read_log()
                    continue
                data = self._first(handed)
                if not data:
                    self.last_words()
                    return False
                for message in self._frames.feed(data):
                    return bool(message.get("ready"))
        return False

    def _first(self, handed: Callable[[socket.socket], None]) -> bytes:
        try:
            data, descriptors, _, _ = socket.recv_fds(
                self._channel, 1 << 16, 1, socket.MSG_CMSG_CLOEXEC
            )
        except OSError:
            return b""
        for descriptor in descriptors:
            handed(socket.socket(fileno=descriptor))
        return data

    def tell(self, message: dict[str, Any]) -> None:
        """One message to the runner."""
        self._channel.settimeout(SEND_SECONDS)
        try:
            self._channel.sendall(pack(message))
        except OSError:
            self._lost("the sandbox stopped answering")

    def end(self) -> None:
        """Kill the sandbox and wait for its end."""
        self._launched.end()

    def last_words(self) -> None:
        """Wait a moment for what is still to be said by a sandbox that ends."""
        until = time.monotonic() + LAST_WORDS_SECONDS
        while self._log in self._selector.get_map() and time.monotonic() < until:
            self._read_log()
            time.sleep(0.005)

    def _receive(self) -> None:
        try:
            data = self._channel.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lost("every process in the sandbox ended")
            return
        try:
            messages = list(self._frames.feed(data))
        except (FrameTooLarge, ValueError):
            self._lost("the sandbox answered nonsense")
            return
        for message in messages:
            if isinstance(message, dict):
                self._heard(message)

    def _read_log(self) -> None:
        try:
            data = os.read(self._log, 4096)
        except OSError:
            return
        if not data and self._log in self._selector.get_map():
            self._selector.unregister(self._log)
        self._complaints = (self._complaints + data)[-LOG_BYTES:]
