"""Asks the platform for the secrets of one sandbox, host by host and request by request, and keeps none.

The way to the platform is a socket that the supervisor gets from it and hands on unread. A platform
that was restarted is reached by another one.
"""

import asyncio
import json
import socket
from typing import Any

from agentstead.sandbox.egress.credential import Credential
from agentstead.sandbox.egress.dial import Unreachable
from agentstead.sandbox.egress.report import Report

ATTEMPTS = 2
HANDED_SECONDS = 3.0
ANSWER_SECONDS = 5.0
ANSWER_BYTES_MAX = 64 << 20


class Keeper:
    """Who is asked."""

    def __init__(self, report: Report, channel: socket.socket) -> None:
        self._report = report
        self._channel = channel
        self._one_at_a_time = asyncio.Lock()
        self._way: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def credentials(self, host: str) -> list[Credential]:
        """Those that are for this host now; Unreachable when nobody can tell."""
        async with self._one_at_a_time:
            for _ in range(ATTEMPTS):
                try:
                    async with asyncio.timeout(ANSWER_SECONDS):
                        return [Credential.of(one) for one in await self._ask(host)]
                except (
                    OSError,
                    EOFError,
                    asyncio.LimitOverrunError,
                    ValueError,
                    KeyError,
                    TypeError,
                ):
                    self._hang_up()
        raise Unreachable(
            "credentials",
            "The credentials of this session cannot be looked up at the moment, so nothing was sent."
            " Try again.",
            503,
        )

    async def _ask(self, host: str) -> list[dict[str, Any]]:
        if self._way is None:
            self._way = await self._handed()
        reader, writer = self._way
        writer.write(json.dumps({"host": host}).encode() + b"\n")
        await writer.drain()
        line = await reader.readuntil(b"\n")
        found: list[dict[str, Any]] = json.loads(line)["credentials"]
        return found

    async def _handed(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Have the supervisor hand us a way to the platform."""
        loop = asyncio.get_running_loop()
        handed: asyncio.Future[int | None] = loop.create_future()
        loop.add_reader(self._channel, self._take, handed)
        try:
            self._report.say({"way": True})
            async with asyncio.timeout(HANDED_SECONDS):
                descriptor = await handed
        finally:
            loop.remove_reader(self._channel)
        if descriptor is None:
            raise ConnectionRefusedError
        connection = socket.socket(fileno=descriptor)
        return await asyncio.open_unix_connection(sock=connection, limit=ANSWER_BYTES_MAX)

    def _take(self, handed: "asyncio.Future[int | None]") -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._channel, 1, 1, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        except OSError as error:
            if not handed.done():
                handed.set_exception(error)
            return
        if not handed.done():
            handed.set_result(descriptors[0] if data and descriptors else None)

    def _hang_up(self) -> None:
        if self._way is not None:
            self._way[1].transport.abort()
            self._way = None
