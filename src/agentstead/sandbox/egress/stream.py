"""One connection of a program inside: its two ends, its bytes, and when it has been silent too long."""

import asyncio
from typing import Protocol

from agentstead.sandbox.egress.meter import Meter

READ_BYTES = 128 << 10
LINGER_SECONDS = 2.0
LINGER_BYTES_MAX = 4 << 20


class Source(Protocol):
    """Where bytes come from."""

    async def read(self, count: int, /) -> bytes:
        """The next bytes; none at the end."""
        ...


class Sink(Protocol):
    """Where bytes go."""

    @property
    def transport(self) -> asyncio.WriteTransport:
        """What is below."""
        ...

    def write(self, data: bytes, /) -> None:
        """Take bytes."""
        ...

    async def drain(self) -> None:
        """Wait until there is room for more."""
        ...

    def can_write_eof(self) -> bool:
        """Whether an end can be told."""
        ...

    def write_eof(self) -> None:
        """Nothing follows."""
        ...


class Stream:
    """A client's connection, and the one made for it."""

    def __init__(
        self,
        reader: Source,
        writer: Sink,
        meter: Meter,
        idle_seconds: float,
    ) -> None:
        self.reader = reader
        self.writer = writer
        self.meter = meter
        self.idle_seconds = idle_seconds
        self.deadline = 0.0
        self.far: Sink | None = None

    def patience(self, seconds: float) -> None:
        """So long this may take from here on, however many bytes trickle in."""
        self.deadline = asyncio.get_running_loop().time() + seconds

    def toward(self, far: Sink | None) -> None:
        """Where it is going on to."""
        self.far = far

    def touched(self) -> None:
        """Something went through."""
        self.patience(self.idle_seconds)

    def abort(self) -> None:
        """Hang up on both ends."""
        for writer in (self.writer, self.far):
            if writer is not None:
                writer.transport.abort()

    async def from_client(self) -> bytes:
        """The next bytes of the client."""
        data = await self.reader.read(READ_BYTES)
        self.meter.count(sent=len(data))
        return data

    async def last_words(self, data: bytes) -> None:
        """Bytes that end the connection; they cost nothing, so that an end can be explained.

        What the client still sends is read for a moment: hanging up on it would take back the words.
        """
        self.patience(LINGER_SECONDS)
        self.writer.write(data)
        await self.writer.drain()
        if self.writer.can_write_eof():
            self.writer.write_eof()
        surplus = 0
        while surplus < LINGER_BYTES_MAX and (more := await self.reader.read(READ_BYTES)):
            surplus += len(more)

    async def to_client(self, data: bytes) -> None:
        """Bytes for the client."""
        self.meter.count(received=len(data))
        self.writer.write(data)
        await self.writer.drain()
