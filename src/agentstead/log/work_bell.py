"""Where polls of the work queue wait: woken by notices, one look at the database for all of them.

A poll that finds nothing leaves word until when nothing can come without a notice; polls until then
do not ask the database at all. Level-triggered: a ring that comes while somebody looks makes what
he found out old.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from agentstead.store.pool import Transaction

LOOK_SECONDS = 5.0
"""A safety net: however quiet it is, the database is asked so often."""
ENVIRONMENTS_MAX = 10_000


@dataclass(slots=True)
class Queue:
    """One environment's queue, as this process knows it."""

    looking: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by the one poll that asks the database."""
    rings: int = 0
    quiet_rings: int = -1
    """How often it had rung when it was found empty."""
    quiet_until: float = 0.0
    """Until when (monotonic) an empty queue stays empty by itself."""
    handed_out_at: float | None = None
    """When the oldest item was handed out that nobody has acknowledged yet (monotonic)."""
    waiting: set[asyncio.Event] = field(default_factory=set)
    seen: dict[str, float] = field(default_factory=dict)
    """When it was last written down that a worker polls (monotonic)."""

    def ring(self) -> None:
        """Something was queued."""
        self.rings += 1
        for waiter in self.waiting:
            waiter.set()

    def is_quiet(self, now: float, reclaim_seconds: float) -> bool:
        """Whether there is nothing for a poll that takes back what was handed out so long ago."""
        return self.quiet_rings == self.rings and now < self.due(reclaim_seconds)

    def due(self, reclaim_seconds: float) -> float:
        """When to look again although nothing rings (monotonic)."""
        if self.handed_out_at is None:
            return self.quiet_until
        return min(self.quiet_until, self.handed_out_at + reclaim_seconds)

    def found_empty(self, rings: int, until: float, handed_out_at: float | None) -> None:
        """A look that began after so many rings found nothing."""
        self.quiet_rings, self.quiet_until = rings, until
        self.handed_out_at = handed_out_at

    async def rung(self, after: int, seconds: float) -> bool:
        """Wait for a ring after so many; False when none came in time."""
        if self.rings > after:
            return True
        waiter = asyncio.Event()
        self.waiting.add(waiter)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await waiter.wait()
            return self.rings > after
        finally:
            self.waiting.discard(waiter)


class Queued(Protocol):
    """Hears of items that were queued, in the transaction that did it.

    Hosts that only look when they are told need it (clients rule 39): whoever delivers webhooks
    sends `session.status_run_started` for each.
    """

    async def __call__(self, tx: Transaction, environment_id: str, session_id: str) -> None:
        """An item of this session is in the queue, perhaps again."""
        ...


async def tell_nobody(tx: Transaction, environment_id: str, session_id: str) -> None:
    """Nobody has to be told."""


class WorkBell:
    """The queues that somebody polls here."""

    def __init__(self) -> None:
        self.queues: dict[str, Queue] = {}

    def queue(self, environment_id: str) -> Queue:
        """An environment's queue."""
        known = self.queues.get(environment_id)
        if known is None:
            if len(self.queues) >= ENVIRONMENTS_MAX:
                self.queues = {name: one for name, one in self.queues.items() if one.waiting}
            known = self.queues[environment_id] = Queue()
        return known

    def ring(self, environment_id: str) -> None:
        """Something was queued in this environment."""
        known = self.queues.get(environment_id)
        if known is not None:
            known.ring()

    def alarm(self) -> None:
        """Notices may have been missed: everybody looks once."""
        for known in self.queues.values():
            known.ring()
