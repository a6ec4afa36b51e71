"""How often a connector may be called, by all workers together.

One row per limit says from when on it is free (generic cell rate algorithm): who takes n calls moves
it n gaps ahead. Half a period's calls may come at once; over any longer time the rate is exact, however
many workers there are. Calls that wait at the same time in one process are asked for together, so a
busy limit costs one statement per twentieth of a second, not one per call.
"""

import asyncio
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Protocol

from agentstead.clock import Clock
from agentstead.errors import ConnectorFault
from agentstead.store.pool import Database
from agentstead.tools.connectors.connector import Rate

TOGETHER_SECONDS = 0.05
"""How much of a rate is taken at once, at most."""
WAIT_SECONDS_MAX = 10.0
"""A call that would have to wait longer for its turn is refused."""
SWEEP_EVERY = 1000

TAKE = """
    insert into connector_rates as r (workspace_id, key, free_at)
    values (%(workspace)s, %(key)s, clock_timestamp() + %(take)s::interval)
    on conflict (workspace_id, key) do update
        set free_at = greatest(r.free_at, clock_timestamp()) + %(take)s::interval
        where greatest(r.free_at, clock_timestamp()) + %(take)s::interval
            <= clock_timestamp() + %(burst)s::interval + %(most)s::interval
    returning extract(epoch from free_at - %(burst)s::interval - clock_timestamp())::float8 as wait
"""
LEFT = """
    select extract(epoch from free_at - %s::interval - clock_timestamp())::float8 as wait
    from connector_rates where workspace_id = %s and key = %s
"""
SWEEP = "delete from connector_rates where free_at < clock_timestamp() - interval '1 hour'"


class Rates(Protocol):
    """Limits that hold over all workers."""

    async def take(self, workspace_id: str, key: str, rate: Rate) -> None:
        """Wait for a turn. ConnectorFault `rate_limited` with `retry_after` when it is too far off."""
        ...


@dataclass(slots=True)
class Line:
    """Those of this process that wait for one limit."""

    waiting: int = 0
    turns: deque[float] = field(default_factory=deque)
    """When those that were taken already may go, by the clock."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class SharedRates:
    """Limits kept in the database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock
        self.lines: defaultdict[tuple[str, str], Line] = defaultdict(Line)
        self.asked = 0

    async def take(self, workspace_id: str, key: str, rate: Rate) -> None:
        """Wait for a turn."""
        line = self.lines[workspace_id, key]
        line.waiting += 1
        try:
            async with line.lock:
                if not line.turns:
                    line.turns.extend(await self._more(workspace_id, key, rate, line.waiting))
                turn = line.turns.popleft()
        finally:
            line.waiting -= 1
            if not line.waiting and not line.turns:
                self.lines.pop((workspace_id, key), None)
        delay = turn - self.clock.monotonic()
        if delay > 0:
            await self.clock.sleep(delay)

    async def _more(self, workspace_id: str, key: str, rate: Rate, waiting: int) -> list[float]:
        """Take as many as wait, and the times at which they may go."""
        gap = rate.per_seconds / rate.requests
        burst = max(1, rate.requests // 2)
        many = max(1, min(waiting, burst, int(TOGETHER_SECONDS / gap)))
        await self._sweep()
        given = {
            "workspace": workspace_id,
            "key": key,
            "take": _span(many * gap),
            "burst": _span(burst * gap),
            "most": _span(WAIT_SECONDS_MAX),
        }
        row = await self.database.fetch_one(TAKE, given)
        if row is None:
            raise await self._refused(workspace_id, key, gap * (burst - 1))
        last = self.clock.monotonic() + float(row["wait"])
        return [last - (many - 1 - place) * gap for place in range(many)]

    async def _refused(self, workspace_id: str, key: str, slack: float) -> ConnectorFault:
        row = await self.database.fetch_one(LEFT, (_span(slack), workspace_id, key))
        seconds = max(1.0, float(row["wait"]) if row else 1.0)
        return ConnectorFault(
            f"The limit of its calls is used up; try again in {seconds:.0f} s.",
            kind="rate_limited",
            retry_after=seconds,
        )

    async def _sweep(self) -> None:
        """Limits that are long free again need no row."""
        self.asked += 1
        if self.asked % SWEEP_EVERY == 0:
            await self.database.execute(SWEEP)


def _span(seconds: float) -> str:
    """An interval as the database reads it."""
    return f"{seconds:.9f} seconds"
