"""The bus over NATS: notices and previews as messages that every other process hears.

A notice is sent after the commit of what it tells of. NATS keeps nothing: what was sent while a process
was not connected is lost to it, so it looks at everything once it is back, and the hearing's look-round
finds what was lost otherwise.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from nats.aio.msg import Msg

from agentstead.clock import Clock
from agentstead.log.bus import INPUT, Hear
from agentstead.log.nats_link import NatsLink
from agentstead.log.nats_wakes import NatsWakes
from agentstead.log.previews import Previews
from agentstead.store.pool import Connection, Database

MESSAGE_BYTES_MAX = 512 << 10
"""A server takes 1 MiB unless it is told otherwise."""
PREVIEW_SECONDS = 0.005
"""How long small deltas wait for company; a message costs little."""


class NatsBus:
    """The bus over the subject `<prefix>.notices`."""

    def __init__(self, link: NatsLink, database: Database, clock: Clock, wakes: NatsWakes) -> None:
        self.link = link
        self.database = database
        self.wakes = wakes
        self.previews = Previews(clock, PREVIEW_SECONDS, MESSAGE_BYTES_MAX, self.send_now)

    async def start(self, hear: Hear, resync: Callable[[], None]) -> None:
        """Connect and listen; Misconfigured when the server cannot be reached."""
        client = await self.link.open()
        self.link.back.append(resync)
        await client.subscribe(f"{self.link.prefix}.notices", cb=partial(heard, hear))
        await client.flush()
        self.previews.start()

    async def close(self) -> None:
        """Stop listening."""
        await self.previews.close()
        await self.link.close()

    async def send(self, connection: Connection, lines: Iterable[str]) -> None:
        """Tell once the connection's transaction has been committed."""
        told = list(lines)
        if told:
            self.database.after(connection, partial(self.tell, told))

    def tell(self, lines: list[str]) -> None:
        """Tell now, and wake a worker for each input."""
        for payload in packed(lines):
            self.link.send(f"{self.link.prefix}.notices", payload)
        for line in lines:
            if line.startswith(INPUT):
                self.wakes.wake(line.split(" ", 2)[1])

    async def send_now(self, lines: list[str]) -> None:
        """Previews go out as they are."""
        self.tell(lines)

    def preview(self, session_id: str, thread_id: str, frame: Mapping[str, Any]) -> None:
        """Take a preview along with the next flush."""
        self.previews.add(session_id, thread_id, frame)


async def heard(hear: Hear, message: Msg) -> None:
    """Hand on the lines of one message; what is not ours is no reason to go deaf."""
    for line in message.data.decode("utf-8", "replace").split("\n"):
        with suppress(ValueError, LookupError):
            hear(line[:1], line[2:])


def packed(lines: Iterable[str]) -> Iterable[bytes]:
    """Lines joined to as few messages as fit."""
    message = bytearray()
    for line in lines:
        data = line.encode()
        if message and len(message) + len(data) >= MESSAGE_BYTES_MAX:
            yield bytes(message)
            message.clear()
        if message:
            message += b"\n"
        message += data
    if message:
        yield bytes(message)
