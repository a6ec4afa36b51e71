"""The proxy of one sandbox: accepts from inside, within limits, and ends when it has nothing to do."""

import asyncio
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import h11

from agentstead.sandbox.egress.conversation import Conversation, Opener, Say
from agentstead.sandbox.egress.dial import STREAM_BYTES, Dialer
from agentstead.sandbox.egress.door import Door
from agentstead.sandbox.egress.meter import Exhausted, Meter
from agentstead.sandbox.egress.policy import Denial, Policy
from agentstead.sandbox.egress.stream import Stream

SWEEP_SECONDS = 0.5
BACKLOG = 64


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one sandbox may use of the proxy."""

    connections_max: int = 64
    idle_seconds: float = 300.0
    """A connection through which nothing goes for so long is cut."""
    head_bytes_max: int = 64 << 10
    rest_seconds: float = 60.0
    """Without a connection for so long the proxy ends; the next connection starts it again."""

    @staticmethod
    def of(config: Mapping[str, Any]) -> "Bounds":
        """From a sandbox's configuration."""
        return Bounds(**{name: config[name] for name in Bounds.__slots__ if name in config})


class Proxy:
    """All of it."""

    def __init__(
        self,
        policy: Policy,
        dialer: Dialer,
        meter: Meter,
        say: Say,
        bounds: Bounds,
        opener: Opener | None = None,
        door: Door | None = None,
    ) -> None:
        self._door = door
        self._policy = policy
        self._dialer = dialer
        self._meter = meter
        self._say = say
        self._bounds = bounds
        self._opener = opener
        self._streams: set[Stream] = set()
        self._conversations: set[asyncio.Task[None]] = set()

    async def serve(self, listener: socket.socket, flush: Callable[[], None]) -> None:
        """Until nobody has connected for a while; `flush` is called now and then."""
        loop = asyncio.get_running_loop()
        server = await asyncio.start_server(
            self._accepted, sock=listener, limit=STREAM_BYTES, backlog=BACKLOG
        )
        rested = loop.time()
        try:
            while loop.time() - rested < self._bounds.rest_seconds:
                await asyncio.sleep(SWEEP_SECONDS)
                if self._sweep(loop.time()):
                    rested = loop.time()
                self._tell_bytes()
                flush()
        finally:
            server.close()
        # who came in the same moment is still served
        while self._conversations:
            await asyncio.wait(self._conversations, timeout=SWEEP_SECONDS)
            self._sweep(loop.time())
        self._tell_bytes()

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._talk(reader, writer))
        self._conversations.add(task)
        task.add_done_callback(self._conversations.discard)

    def _sweep(self, now: float) -> int:
        """Cut what took too long; how many there are."""
        for stream in list(self._streams):
            if stream.deadline < now:
                stream.abort()
        return len(self._streams)

    def _tell_bytes(self) -> None:
        sent, received = self._meter.unreported
        if sent or received:
            self._meter.unreported = [0, 0]
            self._say({"sent": sent, "received": received, "began": self._meter.began})

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        stream = Stream(reader, writer, self._meter, self._bounds.idle_seconds)
        conversation = Conversation(
            stream,
            self._dialer,
            self._say,
            limited=self._policy.limited,
            head_bytes=self._bounds.head_bytes_max,
            opener=self._opener,
            door=self._door,
        )
        full = len(self._streams) >= self._bounds.connections_max
        self._streams.add(stream)
        stream.touched()
        try:
            if full:
                await conversation.refuse(self._full())
            else:
                await conversation.run()
        except* (OSError, EOFError, Exhausted, h11.ProtocolError):
            stream.abort()  # one of the two ends is gone, or may not go on
        finally:
            self._streams.discard(stream)
            writer.close()

    def _full(self) -> Denial:
        most = self._bounds.connections_max
        self._say({"decision": "denied", "reason": "connections", "method": "", "host": "", "port": 0, "address": None})  # fmt: skip
        return Denial("connections", f"This sandbox has {most} connections open, the most it may.", 503)  # fmt: skip
