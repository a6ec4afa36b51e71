"""Messages on a stream: four bytes of length, then JSON. Spoken between worker, supervisor and runner."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator

TYPE_CHECKING = False  # importing typing would cost a tenth of a sandbox's start
if TYPE_CHECKING:
    from typing import Any

LENGTH = struct.Struct(">I")
FRAME_BYTES_MAX = 64 << 20


class FrameTooLarge(Exception):
    """A message longer than we are willing to hold."""


def pack(message: Any) -> bytes:
    """One message, ready to send."""
    body = json.dumps(message, separators=(",", ":")).encode()
    return LENGTH.pack(len(body)) + body


class Frames:
    """Bytes in, messages out."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Any]:
        """The messages that are complete with `data`."""
        self._buffer += data
        while len(self._buffer) >= LENGTH.size:
            (length,) = LENGTH.unpack_from(self._buffer)
            if length > FRAME_BYTES_MAX:
                raise FrameTooLarge
            end = LENGTH.size + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[LENGTH.size : end])
            del self._buffer[:end]
            yield json.loads(body)
