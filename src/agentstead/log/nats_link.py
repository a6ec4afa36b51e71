"""The connection to a NATS server: one for a process, which comes back by itself.

Promises: what is handed over is sent in its order, or dropped while the server is away; whoever asked
is told when the connection is back. Nothing waits for the server but the start.
"""

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import suppress

from nats.aio.client import Client
from nats.errors import Error

from agentstead.errors import Misconfigured
from agentstead.store.pool import Database
from agentstead.telemetry import logs

CONNECT_SECONDS = 5.0
RECONNECT_SECONDS = 0.25
PENDING_BYTES_MAX = 8 << 20
"""What waits for a server that is away, or slow; more is dropped."""

log = logs.get("log")

Message = tuple[str, bytes]
"""Subject and payload."""


class NatsLink:
    """A connection, and what goes out over it."""

    def __init__(self, url: str, database: Database, name: str) -> None:
        self.url = url
        self.database = database
        self.name = name
        self.prefix = ""
        """Of all subjects: platforms that share a server have different ones."""
        self.back: list[Callable[[], None]] = []
        """Called when the connection is there again."""
        self.client = Client()
        self.trouble: Exception | None = None
        """The last one."""
        self.users = 0
        self.waiting: list[Message] = []
        self.ready = asyncio.Event()
        self.sender: asyncio.Task[None] | None = None

    async def open(self) -> Client:
        """Connect, unless another user of the link has; Misconfigured when the server is not there."""
        self.users += 1
        if self.users > 1:
            return self.client
        self.prefix = await prefix_of(self.database)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self.connect()
        except (OSError, Error, TimeoutError) as error:
            self.users -= 1
            with suppress(Error, OSError):
                await self.client.close()
            reason = str(self.trouble or error) or type(error).__name__
            raise Misconfigured(
                f"The NATS server cannot be reached: {reason}.\n"
                "Start it, or correct --nats (AGENTSTEAD_NATS_URL)."
            ) from error
        self.sender = asyncio.create_task(self.sending(), name="nats sender")
        return self.client

    async def connect(self) -> None:
        """Try until it works; a connection that breaks later is made again by the client itself."""
        await self.client.connect(
            self.url,
            name=self.name,
            no_echo=True,
            max_reconnect_attempts=-1,
            reconnect_time_wait=RECONNECT_SECONDS,  # type: ignore[arg-type]
            pending_size=PENDING_BYTES_MAX,
            disconnected_cb=self.lost,
            reconnected_cb=self.found,
            error_cb=self.troubled,
        )

    async def close(self) -> None:
        """Disconnect with the last user; what waits is sent first where that is possible."""
        self.users -= 1
        if self.users or self.sender is None:
            return
        self.sender.cancel()
        await asyncio.gather(self.sender, return_exceptions=True)
        self.sender = None
        with suppress(Error, TimeoutError, OSError):
            await self.flush()
        with suppress(Error, TimeoutError, OSError):
            await self.client.close()

    def send(self, subject: str, payload: bytes) -> None:
        """Send soon."""
        self.waiting.append((subject, payload))
        self.ready.set()

    async def sending(self) -> None:
        """Send what was handed over, again and again."""
        while True:
            await self.ready.wait()
            self.ready.clear()
            try:
                await self.flush()
            except (Error, OSError) as error:
                log.debug("notices were dropped", error=str(error))

    async def flush(self) -> None:
        """Send what waits."""
        messages, self.waiting = self.waiting, []
        for subject, payload in messages:
            await self.client.publish(subject, payload)

    async def lost(self) -> None:
        """The connection has gone."""
        if self.users:
            log.warning(
                "the NATS server is away; other processes hear of events some seconds later"
            )

    async def found(self) -> None:
        """The connection is back."""
        log.info("the NATS server is back")
        for call in self.back:
            call()

    async def troubled(self, error: Exception) -> None:
        """What the client met by the way: a slow reader has missed something."""
        self.trouble = error
        log.debug("trouble with the NATS server", error=str(error))
        for call in self.back:
            call()


async def prefix_of(database: Database) -> str:
    """Of the subjects of this database's platform."""
    row = await database.fetch_one(
        "select system_identifier::text || '/' || current_database() as name from pg_control_system()"
    )
    assert row is not None
    return f"agentstead.{hashlib.sha256(row['name'].encode()).hexdigest()[:12]}"
