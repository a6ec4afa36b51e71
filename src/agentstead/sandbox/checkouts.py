"""Repositories are checked out in sandboxes of their own, each for one checkout, then moved over.

Promises: such a sandbox reaches the repository's host through a door that only reads, and holds no
credential; what it leaves belongs to nobody's sandbox until it is whole. Nothing is kept between two
checkouts, so nothing of one workspace's repositories is ever found by another.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agentstead.errors import RepositoryFault, SandboxFault
from agentstead.sandbox.bubblewrap import Bubblewrap
from agentstead.sandbox.egress.door import Door
from agentstead.sandbox.egress.target import TLS_PORT
from agentstead.sandbox.git_script import FOLDER, failure, script
from agentstead.sandbox.sandbox import Limits, Network, SandboxSpec
from agentstead.sandbox.supervisor.disk import used
from agentstead.sandbox.supervisor.place import Place

CALL = "checkout"
FULL = ("the disk limit of", "signal 25", "File too large", "No space left")
"""What is said when a sandbox may not hold more."""
OUTPUT_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one checkout may take."""

    bytes_max: int = 2 << 30
    """On disk, history and files together."""
    seconds: float = 300.0
    memory_bytes: int = 1 << 30
    depth: int = 50
    """Commits of history; 0: all of it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One checkout."""

    url: str
    """`https://<host>/<path>`."""
    checkout: Mapping[str, Any] | None
    """As on the wire; None: the default branch."""
    authorization: str = field(default="", repr=False)
    """The value of an `Authorization` header."""
    disk_bytes: int = 2 << 30
    """What the sandbox that it is for may hold."""


class Checkouts:
    """The checkouts of this host, below a folder of their own."""

    def __init__(self, hands: Bubblewrap, bounds: Bounds, authorities: str = "") -> None:
        self.hands = hands
        self.bounds = bounds
        self.authorities = authorities
        """Certificates (PEM) that repository hosts may have beside those of this system."""

    @asynccontextmanager
    async def made(self, checkout_id: str, wanted: Wanted) -> AsyncIterator[Path]:
        """A fresh checkout for as long as the block runs, unless it is moved away; RepositoryFault.

        What an earlier attempt of the same id has left is deleted first.
        """
        await self.hands.destroy(checkout_id)
        try:
            yield await self._made(checkout_id, wanted)
        finally:
            # also when this is cancelled: what still runs there is of no use to anybody
            with suppress(SandboxFault):
                await asyncio.shield(self.hands.destroy(checkout_id))

    async def old(self, seconds: float) -> list[str]:
        """Checkouts that nobody has begun or wanted for so long: whoever did is gone."""
        before = self.hands.clock.now() - seconds
        ids = await self.hands.reconcile(set())
        return [one for one in ids if Place(self.hands.root, one).renewed_at() < before]

    async def _made(self, checkout_id: str, wanted: Wanted) -> Path:
        bounds, door = self.bounds, self._door(wanted)
        limits = Limits(
            memory_bytes=bounds.memory_bytes,
            disk_bytes=min(bounds.bytes_max, wanted.disk_bytes),
            call_seconds=bounds.seconds,
            call_seconds_max=bounds.seconds,
            output_bytes=OUTPUT_BYTES,
        )
        spec = SandboxSpec(limits=limits, network=Network("limited", (door.host,), door=door))
        command = script(wanted.url, wanted.checkout, door, bounds.depth)
        try:
            outcome = await self.hands.call(checkout_id, spec, CALL, "bash", {"command": command})
        except SandboxFault as fault:
            raise RepositoryFault(
                f"{wanted.url} could not be fetched: {fault.message}", kind="clone", retryable=True
            ) from fault
        text = "\n".join(str(block.get("text", "")) for block in outcome.content)
        if found := failure(text, wanted.url, door, ended=not outcome.is_error):
            if any(words in text for words in FULL):
                raise too_large(wanted.url, limits.disk_bytes)
            raise RepositoryFault(found.message, kind=found.kind, retryable=found.kind == "clone")
        # nothing of it may run on when its files become another's
        await self.hands.stop(checkout_id)
        tree = Place(self.hands.root, checkout_id).folder("workspace") / FOLDER
        if await asyncio.to_thread(used, tree, limits.disk_bytes) > limits.disk_bytes:
            raise too_large(wanted.url, limits.disk_bytes)
        return tree

    def _door(self, wanted: Wanted) -> Door:
        parts = urlsplit(wanted.url)
        return Door(
            parts.hostname or "", parts.port or TLS_PORT, wanted.authorization, self.authorities
        )


def too_large(url: str, bytes_max: int) -> RepositoryFault:
    """It will not be smaller the next time."""
    size = f"{bytes_max >> 20} MiB"
    text = f"{url} is larger than the {size} that a checkout may have here."
    return RepositoryFault(text, kind="clone")
