"""The dispatcher over NATS JetStream: of all processes that have room, one is told of a wake.

A stream with a place per session holds the wakes; workers draw from it when they have room, so a wake
goes to one of them and a full one draws none. It only says "look": the claim in the database decides
who works, by its fence. A wake that is lost costs the time until a worker looks by itself.
"""

import asyncio
from contextlib import suppress

from nats.errors import Error
from nats.errors import TimeoutError as NoMessage
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)

from agentstead.clock import Clock
from agentstead.errors import Misconfigured
from agentstead.log.dispatch import waited
from agentstead.log.nats_link import NatsLink
from agentstead.telemetry import logs

DRAW_SECONDS = 1.0
"""How long one draw waits."""
RETRY_SECONDS = 0.5
KEPT_SECONDS = 60.0
"""Workers look by themselves long before."""
CONSUMER = "workers"

log = logs.get("log")


class NatsWakes:
    """The wakes of one platform: the subjects `<prefix>.wake.<session>`."""

    def __init__(self, link: NatsLink, clock: Clock) -> None:
        self.link = link
        self.clock = clock
        self.rung = asyncio.Event()
        self.wanted = asyncio.Event()
        """Set while somebody here has room."""
        self.drawing: asyncio.Task[None] | None = None
        self.source: JetStreamContext.PullSubscription | None = None
        self.stale = False
        """Stream and consumer may be missing."""

    async def start(self) -> None:
        """Make the stream; Misconfigured when the server has no JetStream."""
        await self.link.open()
        try:
            self.source = await self.prepared()
        except (Error, TimeoutError) as error:
            await self.link.close()
            raise Misconfigured(
                f"The NATS server has no JetStream: {str(error) or type(error).__name__}.\n"
                "Start it with the option -js."
            ) from error
        self.link.back.append(self.look_again)
        self.drawing = asyncio.create_task(self.draw(), name="nats wakes")

    async def close(self) -> None:
        """Draw no more."""
        if self.drawing is not None:
            self.drawing.cancel()
            await asyncio.gather(self.drawing, return_exceptions=True)
            self.drawing = None
            await self.link.close()

    def wake(self, session_id: str) -> None:
        """Tell one process that has room."""
        self.link.send(f"{self.link.prefix}.wake.{session_id}", b"")

    def ring(self) -> None:
        """A session may be due: look here."""
        self.rung.set()

    def heard(self) -> None:
        """What another process tells everybody comes as a wake to one."""

    async def due(self, timeout_seconds: float) -> None:
        """Return after a ring or a wake, or after the time-out."""
        self.wanted.set()
        try:
            await waited(self.rung, timeout_seconds)
            self.rung.clear()
        finally:
            self.wanted.clear()

    def look_again(self) -> None:
        """The server may have come back without what it knew."""
        self.stale = True

    async def draw(self) -> None:
        """Draw a wake whenever there is room, over lost connections and servers without memory."""
        while True:
            await self.wanted.wait()
            try:
                await self.draw_one()
            except (TimeoutError, NoMessage):
                continue
            except (Error, OSError) as error:
                log.debug("no wakes from NATS", error=str(error))
                self.stale = True
                await self.clock.sleep(RETRY_SECONDS)

    async def draw_one(self) -> None:
        """Draw until a wake comes or DRAW_SECONDS have passed."""
        if self.source is None or self.stale:
            self.stale = False
            if self.source is not None:
                with suppress(Error):
                    await self.source.unsubscribe()
            self.source = await self.prepared()
        for message in await self.source.fetch(1, timeout=DRAW_SECONDS):
            self.rung.set()
            await message.ack()

    async def prepared(self) -> JetStreamContext.PullSubscription:
        """The stream and its consumer, made where they are missing."""
        stream = self.link.client.jetstream()
        name = self.link.prefix.replace(".", "-")
        subjects = f"{self.link.prefix}.wake.*"
        await stream.add_stream(
            StreamConfig(
                name=name,
                subjects=[subjects],
                retention=RetentionPolicy.WORK_QUEUE,
                storage=StorageType.MEMORY,
                discard=DiscardPolicy.OLD,
                max_msgs_per_subject=1,
                max_age=KEPT_SECONDS,
            )
        )
        return await stream.pull_subscribe(
            subjects, durable=CONSUMER, stream=name,
            config=ConsumerConfig(ack_policy=AckPolicy.EXPLICIT, ack_wait=DRAW_SECONDS),
        )  # fmt: skip
