"""What the proxy tells its supervisor: one JSON object a line, never waiting for anybody."""

import json
import socket
from typing import Any

BACKLOG_BYTES_MAX = 256 << 10


class Report:
    """The way to the supervisor. What it does not take in time is counted, not kept."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._channel.setblocking(False)
        self._waiting = bytearray()
        self._lost = 0

    def say(self, record: dict[str, Any]) -> None:
        """Say something now, or soon."""
        if len(self._waiting) > BACKLOG_BYTES_MAX:
            self._lost += 1
            return
        if self._lost:
            self._waiting += _line({"lost": self._lost})
            self._lost = 0
        self._waiting += _line(record)
        self.flush()

    def flush(self) -> None:
        """Send what is waiting, as far as it is taken."""
        try:
            while self._waiting:
                del self._waiting[: self._channel.send(self._waiting)]
        except BlockingIOError:
            return
        except OSError:
            self._waiting.clear()


def _line(record: dict[str, Any]) -> bytes:
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"
