"""A way to the database that can be broken: TCP on loopback in front of the server's socket.

Each process gets a way of its own. *Cut*: open connections break and new ones are refused. *Stalled*:
connections stay and nothing goes through.
"""

import asyncio
import contextlib
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

PIECE_BYTES = 1 << 16
HOST = "127.0.0.1"

Mode = Literal["open", "cut", "stalled"]


class Way:
    """One way."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.port = 0
        self.mode: Mode = "open"
        self._flows = asyncio.Event()
        self._flows.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Open it, on a free port."""
        self._server = await asyncio.start_server(self._accepted, HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self._server.close()
        self.set("cut")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def set(self, mode: Mode) -> None:
        """Break it or mend it."""
        self.mode = mode
        if mode == "stalled":
            self._flows.clear()
        else:
            self._flows.set()
        if mode == "cut":
            for writer in self._writers:
                writer.transport.abort()

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._through(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _through(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Both directions of a connection, until either side ends."""
        mine = {writer}
        self._writers.add(writer)
        try:
            if self.mode == "cut":
                return
            with contextlib.suppress(OSError):
                back, onward = await asyncio.open_unix_connection(self.socket)
                mine.add(onward)
                self._writers.add(onward)
                pumps = [
                    asyncio.create_task(self._pump(reader, onward)),
                    asyncio.create_task(self._pump(back, writer)),
                ]
                try:
                    await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for pump in pumps:
                        pump.cancel()
                    await asyncio.gather(*pumps, return_exceptions=True)
        finally:
            self._writers -= mine
            for one in mine:
                one.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(PIECE_BYTES):
                await self._flows.wait()
                writer.write(piece)
                await writer.drain()
