"""A thread that decompresses an archive while the caller makes files of what came before."""

import os
import threading
from queue import Queue
from typing import Any

from agentstead.sandbox.archive.headers import Damaged

READ_BYTES = 256 << 10
PIECE_BYTES = 1 << 20
PIECES = 4
"""Decompressed and not asked for yet, at most."""


class Ahead:
    """What a compressed archive holds. Damaged where it is not whole, and whatever else fails on the way."""

    def __init__(self, file: int, zstd: Any) -> None:
        self._file = file
        self._zstd = zstd
        self._queue: Queue[bytes | Exception] = Queue(PIECES)
        self._piece = memoryview(b"")
        # nobody waits for it where the caller gives up: the process ends then
        threading.Thread(target=self._run, daemon=True).start()

    def read(self, size: int) -> memoryview:
        """Some bytes, at most `size`; none at the end."""
        if not self._piece:
            came = self._queue.get()
            if isinstance(came, Exception):
                self._queue.put(came)
                raise came
            if not came:
                self._queue.put(came)
            self._piece = memoryview(came)
        piece, self._piece = self._piece[:size], self._piece[size:]
        return piece

    def _run(self) -> None:
        try:
            self._all()
        except self._zstd.ZstdError as error:
            self._queue.put(Damaged(str(error)))
        except (OSError, MemoryError, Damaged) as error:
            self._queue.put(error)

    def _all(self) -> None:
        engine = self._zstd.ZstdDecompressor()
        while not engine.eof:
            data = os.read(self._file, READ_BYTES) if engine.needs_input else b""
            if engine.needs_input and not data:
                raise Damaged("it ends too early")
            if piece := engine.decompress(data, PIECE_BYTES):
                self._queue.put(piece)
        if engine.unused_data or os.read(self._file, 1):
            raise Damaged("something follows its end")
        self._queue.put(b"")
