"""A worker's line to one sandbox: requests to the relay in its container, many at once, over one stream."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, Protocol

from agentstead.sandbox.supervisor.frames import Frames, FrameTooLarge, pack

END_SECONDS = 1.0


class Stream(Protocol):
    """The standard input and output of a program that an engine runs for us."""

    async def read(self) -> bytes:
        """What it said; empty at the end."""
        ...

    async def write(self, data: bytes) -> None:
        """Say something; OSError when nobody hears it."""
        ...

    async def close(self) -> None:
        """Hang up."""
        ...


class LineBroken(Exception):
    """Nobody answers any more: the relay is gone, and perhaps the sandbox."""


class Line:
    """Opened once, closed once; a line that is broken stays so."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._number = 0
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._writing = asyncio.Lock()
        self._reader: asyncio.Task[None] | None = None
        self.broken = False
        self.network: Callable[[dict[str, Any]], None] | None = None
        """Hears of connections from inside."""

    @property
    def quiet(self) -> bool:
        """Whether nobody waits for a reply."""
        return not self._waiting

    def open(self) -> "Line":
        """Begin to read."""
        self._reader = asyncio.create_task(self._read(), name="line")
        return self

    async def ask(self, do: str, **more: Any) -> Any:
        """The reply to one request; LineBroken when there will be none."""
        if self.broken:
            raise LineBroken
        self._number += 1
        number = self._number
        waiting = asyncio.get_running_loop().create_future()
        self._waiting[number] = waiting
        try:
            # a frame goes out whole, even when the caller is cancelled meanwhile
            await asyncio.shield(self._send(pack({"n": number, "do": do, **more})))
            return await waiting
        except OSError:
            raise LineBroken from None
        finally:
            self._waiting.pop(number, None)

    async def tell(self, message: dict[str, Any]) -> None:
        """Say something that has no reply."""
        if self.broken:
            raise LineBroken
        try:
            await asyncio.shield(self._send(pack(message)))
        except OSError:
            raise LineBroken from None

    async def close(self) -> None:
        """Hang up; who still waits hears that the line is broken."""
        self.broken = True
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(END_SECONDS):
                await self._stream.close()

    async def _send(self, data: bytes) -> None:
        async with self._writing:
            await self._stream.write(data)

    async def _read(self) -> None:
        try:
            async for message in self._messages():
                if "net" in message:
                    if self.network is not None:
                        self.network(message)
                    continue
                waiting = self._waiting.get(message["n"])
                if waiting is not None and not waiting.done():
                    waiting.set_result(message["reply"])
        except (OSError, FrameTooLarge, ValueError, KeyError, TypeError):
            pass  # whoever speaks there is no relay of ours any more
        finally:
            self.broken = True
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(LineBroken())

    async def _messages(self) -> AsyncIterator[Any]:
        frames = Frames()
        while data := await self._stream.read():
            for message in frames.feed(data):
                yield message
