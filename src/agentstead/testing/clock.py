"""Clocks for tests: one moved by hand, one that follows the event loop's own time.

`ManualClock` stands still until a test advances it. `LoopClock` reads the running loop, so on a
loop with virtual time the whole product lives in virtual time.
"""

import asyncio
import heapq
import itertools

START = 1_900_000_000.0
"""Where test time begins: a round number in 2030, so that it is never mistaken for the present."""

PASSES = 50
"""Passes of the loop that a woken sleeper gets before time moves on."""


class ManualClock:
    """Time that moves only when told."""

    def __init__(self, start: float = START) -> None:
        self.start = start
        self.at = start
        self.sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self.order = itertools.count()

    def now(self) -> float:
        """Seconds since the epoch."""
        return self.at

    def monotonic(self) -> float:
        """Seconds that never run backwards."""
        return self.at - self.start

    async def sleep(self, seconds: float) -> None:
        """Wait until somebody has advanced the clock so far."""
        if seconds <= 0:
            await asyncio.sleep(0)  # noqa: TID251 - a clock may
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self.sleepers, (self.at + seconds, next(self.order), woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Move on, waking each sleeper at its moment and letting it run first."""
        end = self.at + seconds
        await self.settle()
        while self.sleepers and self.sleepers[0][0] <= end:
            due, _, woken = heapq.heappop(self.sleepers)
            self.at = max(self.at, due)
            if not woken.done():
                woken.set_result(None)
            await self.settle()
        self.at = end

    async def settle(self) -> None:
        """Let everything run that can run without time passing."""
        for _ in range(PASSES):
            await asyncio.sleep(0)  # noqa: TID251 - a clock may


class LoopClock:
    """The time of an event loop, counted from `start`."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None, start: float = START) -> None:
        self.loop = loop
        self.start = start

    def now(self) -> float:
        """Seconds since the epoch."""
        return self.start + self.monotonic()

    def monotonic(self) -> float:
        """Seconds that never run backwards."""
        return (self.loop or asyncio.get_running_loop()).time()

    async def sleep(self, seconds: float) -> None:
        """Wait by the loop's time."""
        await asyncio.sleep(seconds)  # noqa: TID251 - a clock may
