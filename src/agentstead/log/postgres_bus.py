"""The bus over PostgreSQL's LISTEN/NOTIFY: nothing to install, nothing to run.

Many notices travel in one NOTIFY, in the transaction of what they tell of, so that nothing is told
that did not happen.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from psycopg import AsyncConnection, Error
from psycopg.rows import DictRow, dict_row

from agentstead.clock import Clock
from agentstead.errors import StoreFault
from agentstead.log.bus import Hear
from agentstead.log.previews import Previews, Unsent
from agentstead.store.pool import Connection, Database, faults

CHANNEL = "agentstead"
NOTICE_BYTES_MAX = 7_900
"""PostgreSQL refuses payloads of 8,000 bytes."""
PREVIEW_SECONDS = 0.025
"""How long small deltas wait for company."""
RECONNECT_SECONDS = 0.25


class PostgresBus:
    """The bus over LISTEN/NOTIFY."""

    def __init__(self, database: Database, clock: Clock, origin: str) -> None:
        self.database = database
        self.clock = clock
        self.origin = origin
        self.previews = Previews(clock, PREVIEW_SECONDS, NOTICE_BYTES_MAX - 100, self.send_now)
        self.task: asyncio.Task[None] | None = None

    async def start(self, hear: Hear, resync: Callable[[], None]) -> None:
        """Listen; StoreFault when the database cannot be reached."""
        connection = await self.listen()
        self.task = asyncio.create_task(self.hearing(connection, hear, resync), name="bus")
        self.previews.start()

    async def close(self) -> None:
        """Stop listening."""
        await self.previews.close()
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
            self.task = None

    async def listen(self) -> Connection:
        """A connection that hears."""
        with faults():
            connection: Connection = await AsyncConnection[DictRow].connect(
                self.database.url, autocommit=True, row_factory=dict_row
            )
            try:
                await connection.execute(f"listen {CHANNEL}".encode())
            except BaseException:
                await connection.close()
                raise
        return connection

    async def hearing(
        self, connection: Connection | None, hear: Hear, resync: Callable[[], None]
    ) -> None:
        """Hear until cancelled, over lost connections."""
        while True:
            try:
                if connection is None:
                    await self.clock.sleep(RECONNECT_SECONDS)
                    connection = await self.listen()
                    resync()
                async for notify in connection.notifies():
                    self.heard(notify.payload, hear)
            except (Error, StoreFault):
                pass  # the server went away; the loop connects again
            finally:
                if connection is not None:
                    await connection.close()
            connection = None

    def heard(self, payload: str, hear: Hear) -> None:
        """Hand on the lines of one NOTIFY; what is not ours is no reason to go deaf."""
        origin, _, text = payload.partition("\n")
        if origin != self.origin:
            for line in text.split("\n"):
                with suppress(ValueError, LookupError):
                    hear(line[:1], line[2:])

    async def send(self, connection: Connection, lines: Iterable[str]) -> None:
        """Queue NOTIFYs in the connection's transaction."""
        for payload in packed(self.origin, lines):
            await connection.execute(b"select pg_notify('agentstead', %s)", (payload,))

    def preview(self, session_id: str, thread_id: str, frame: Mapping[str, Any]) -> None:
        """Take a preview along with the next flush."""
        self.previews.add(session_id, thread_id, frame)

    async def send_now(self, lines: list[str]) -> None:
        """Tell outside of any transaction."""
        try:
            async with self.database.connection() as connection:
                await self.send(connection, lines)
        except (StoreFault, Error) as error:
            raise Unsent from error


def packed(origin: str, lines: Iterable[str]) -> Iterator[str]:
    """Lines joined to as few payloads as fit."""
    payload, size = origin, len(origin)
    for line in lines:
        length = len(line.encode()) + 1
        if size + length > NOTICE_BYTES_MAX and payload != origin:
            yield payload
            payload, size = origin, len(origin)
        payload += "\n" + line
        size += length
    if payload != origin:
        yield payload
