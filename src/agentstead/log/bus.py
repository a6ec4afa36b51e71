"""Who hears of an event: the port, and its PostgreSQL form over LISTEN/NOTIFY.

A notice is one line, `<kind> <words>`; many travel in one NOTIFY, in the transaction of what they
tell of, so that nothing is told that did not happen. Previews travel outside of transactions, small
ones joined for some milliseconds, and are shed when they do not fit. A process never hears itself.
Notices may be lost with the connection: then `resync` is called, and everybody looks for himself.
"""

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Protocol

from psycopg import AsyncConnection, Error
from psycopg.rows import DictRow, dict_row

from agentstead.clock import Clock
from agentstead.errors import StoreFault
from agentstead.store.pool import Connection, Database, faults

CHANNEL = "agentstead"
NOTICE_BYTES_MAX = 7_900
"""PostgreSQL refuses payloads of 8,000 bytes."""
PREVIEW_SECONDS = 0.025
"""How long small deltas wait for company."""
PREVIEWS_MAX = 2_000
"""Waiting previews beyond this are shed."""
RECONNECT_SECONDS = 0.25

LOG, INPUT, GONE, PREVIEW, WORK = "L", "I", "G", "P", "W"
"""Kinds: events were appended; input arrived; a session was deleted; a preview; work was queued."""

Hear = Callable[[str, str], None]


class Bus(Protocol):
    """How processes tell each other what happened."""

    async def start(self, hear: Hear, resync: Callable[[], None]) -> None:
        """Connect; call `hear(kind, words)` for notices of others, `resync` after a gap."""
        ...

    async def send(self, connection: Connection, lines: Iterable[str]) -> None:
        """Tell, when and if the connection's transaction commits."""
        ...

    def preview(self, session_id: str, thread_id: str, frame: Mapping[str, Any]) -> None:
        """Tell of a message in the making."""
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...


class PostgresBus:
    """The bus over LISTEN/NOTIFY."""

    def __init__(self, database: Database, clock: Clock, origin: str) -> None:
        self.database = database
        self.clock = clock
        self.origin = origin
        self.previews: list[dict[str, Any]] = []
        self.shed: dict[str, None] = {}
        """Ids whose later deltas may not be sent, since an earlier one was dropped."""
        self.preview_waiting = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self, hear: Hear, resync: Callable[[], None]) -> None:
        """Listen; StoreFault when the database cannot be reached."""
        connection = await self.listen()
        self.tasks = [
            asyncio.create_task(self.hearing(connection, hear, resync), name="bus"),
            asyncio.create_task(self.previewing(), name="bus previews"),
        ]

    async def close(self) -> None:
        """Stop listening."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.tasks = []

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
        """Take a preview along with the next flush, joined to the one before when it continues it."""
        event_id = preview_id(frame)
        if event_id in self.shed:
            return
        last = self.previews[-1] if self.previews else None
        if last and joins(last["f"], frame):
            content = frame["delta"]["content"]
            last["f"]["delta"]["content"]["text"] += content["text"]
        elif len(self.previews) < PREVIEWS_MAX:
            copy = json.loads(json.dumps(frame))
            self.previews.append({"s": session_id, "t": thread_id, "f": copy})
        else:
            self.drop(event_id)
        self.preview_waiting.set()

    def drop(self, event_id: str) -> None:
        """From now on no delta of this event."""
        self.shed[event_id] = None
        if len(self.shed) > PREVIEWS_MAX:
            del self.shed[next(iter(self.shed))]

    async def previewing(self) -> None:
        """Send what has gathered, again and again."""
        while True:
            await self.preview_waiting.wait()
            await self.clock.sleep(PREVIEW_SECONDS)
            self.preview_waiting.clear()
            previews, self.previews = self.previews, []
            lines = list(self.preview_lines(previews))
            if not lines:
                continue
            try:
                async with self.database.connection() as connection:
                    await self.send(connection, lines)
            except (StoreFault, Error):
                for preview in previews:
                    self.drop(preview_id(preview["f"]))

    def preview_lines(self, previews: list[dict[str, Any]]) -> Iterator[str]:
        """As notices; what is too long is shed with all that follows it."""
        for preview in previews:
            event_id = preview_id(preview["f"])
            line = f"{PREVIEW} {json.dumps(preview, separators=(',', ':'))}"
            if event_id in self.shed:
                continue
            if len(line) > NOTICE_BYTES_MAX - 100:
                self.drop(event_id)
                continue
            yield line


def preview_id(frame: Mapping[str, Any]) -> str:
    """The event a preview belongs to."""
    if frame["type"] == "event_start":
        return str(frame["event"]["id"])
    return str(frame["event_id"])


def joins(before: Mapping[str, Any], frame: Mapping[str, Any]) -> bool:
    """Whether this delta continues the text of the one before."""
    if before["type"] != "event_delta" or frame["type"] != "event_delta":
        return False
    one, two = before["delta"], frame["delta"]
    return bool(
        before["event_id"] == frame["event_id"]
        and one["index"] == two["index"]
        and one["content"]["type"] == two["content"]["type"] == "text"
        and len(one["content"]["text"]) < 2_000
    )


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
