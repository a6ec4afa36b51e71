"""A small HTTP server on loopback that can also misbehave: answer in pieces, break off, never answer.

For what stands outside of the platform in a chaos run: the model upstream and the server of notes.
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

HOST = "127.0.0.1"
REASONS = {200: "OK", 202: "Accepted", 400: "Bad Request", 404: "Not Found", 405: "Not Allowed"}


@dataclass
class Exchange:
    """A request, and the means to answer it."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    writer: asyncio.StreamWriter

    async def answer(self, status: int, body: Any = None) -> None:
        """The whole answer, as JSON."""
        content = b"" if body is None else json.dumps(body).encode()
        self._head(status, f"content-type: application/json\r\ncontent-length: {len(content)}")
        self.writer.write(content)
        await self.writer.drain()

    async def begin(self) -> None:
        """The head of a stream of events."""
        self._head(200, "content-type: text/event-stream\r\ntransfer-encoding: chunked")
        await self.writer.drain()

    async def send(self, text: str) -> None:
        """A piece of the stream."""
        piece = text.encode()
        self.writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        await self.writer.drain()

    async def end(self) -> None:
        """The stream's end."""
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()

    def cut(self) -> None:
        """Break the connection, whatever was said."""
        self.writer.transport.abort()

    def _head(self, status: int, fields: str) -> None:
        reason = REASONS.get(status, "Status")
        self.writer.write(f"HTTP/1.1 {status} {reason}\r\n{fields}\r\n\r\n".encode())


Answer = Callable[[Exchange], Awaitable[None]]


class Listener:
    """The server."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = ""

    async def __aenter__(self) -> Self:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._accepted, HOST, 0)
        self.url = f"http://{HOST}:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Listen no more; whoever waits is cut off."""
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._converse(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Requests of one connection, until somebody hangs up."""
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                while not writer.transport.is_closing():
                    await self._answer(await received(reader, writer))
        finally:
            writer.transport.abort()


async def received(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Exchange:
    """The next request. Raises IncompleteReadError when there is none."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = lines[0].split(" ", 2)
    pairs = (line.partition(":") for line in lines[1:] if line)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Exchange(method, path, headers, body, writer)
