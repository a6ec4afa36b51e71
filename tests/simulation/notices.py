"""How workers hear of work: notices that are lost, late and doubled, as either dispatcher brings them.

PostgreSQL tells every process that listens; NATS gives a wake to one that has room, and keeps it while
none has. Either may lose one: then the work waits until somebody looks by himself. What is heard of
input for a running session (`news`) goes to all, and may be lost too.
"""

import asyncio
from dataclasses import dataclass, field
from random import Random


@dataclass
class Notices:
    """The way of the notices in one run."""

    rng: Random
    to_one: bool = False
    """A wake goes to one process (NATS), or to all (PostgreSQL)."""
    lost: float = 0.0
    doubled: float = 0.0
    late_seconds: float = 0.0
    bells: list["Bell"] = field(default_factory=list)
    kept: int = 0
    """Wakes that nobody had room for."""

    @staticmethod
    def drawn(seed: int) -> "Notices | None":
        """What the seed wants; None: every notice comes at once and once."""
        rng = Random(f"notices {seed}")
        if rng.random() < 0.5:
            return None
        return Notices(
            rng,
            to_one=rng.random() < 0.5,
            lost=rng.choice((0.0, 0.1, 0.5, 1.0)),
            doubled=rng.choice((0.0, 0.3)),
            late_seconds=rng.choice((0.0, 0.0, 2.0)),
        )

    def wake(self) -> None:
        """A session may be due."""
        if self.rng.random() < self.lost:
            return
        for _ in range(2 if self.rng.random() < self.doubled else 1):
            delay = self.rng.random() * self.late_seconds
            asyncio.get_running_loop().call_later(delay, self.arrive)

    def arrive(self) -> None:
        """A wake is there."""
        if not self.to_one:
            for bell in self.bells:
                bell.rung.set()
            return
        waiting = [bell for bell in self.bells if bell.waits and not bell.process.dead]
        if waiting:
            self.rng.choice(waiting).rung.set()
        else:
            self.kept = 1

    def bell(self, process) -> "Bell":
        """How one process hears."""
        bell = Bell(self, process)
        self.bells.append(bell)
        return bell


@dataclass
class Bell:
    """One process's ear."""

    notices: Notices
    process: object
    rung: asyncio.Event = field(default_factory=asyncio.Event)
    waits: bool = False

    async def due(self, timeout_seconds: float) -> None:
        """As the product's dispatchers wait: until a wake, or until the time-out."""
        if self.notices.to_one and self.notices.kept:
            self.notices.kept = 0
            return
        self.waits = True
        try:
            async with asyncio.timeout(timeout_seconds):
                await self.rung.wait()
        except TimeoutError:
            return
        finally:
            self.waits = False
            self.rung.clear()


def through(log, notices: Notices) -> None:
    """Send the notices of a log their own way; some never come."""
    plain = log._notice

    def noticed() -> None:
        notices.wake()
        if notices.rng.random() >= notices.lost:
            plain()

    log._notice = noticed
