"""How much may wait: refuses what would make a backlog too long, before anything is written.

Promises: work that is begun beyond a bound is refused with a time to come again, and nothing of it
is done; answers to what the platform asked, and interrupts, are never refused. The rows are counted
now and then, and what this process lets in is added: it lets in nothing beyond a bound, whereas
another process may have let in as much since it was counted last.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from agentstead.clock import Clock
from agentstead.errors import Limited
from agentstead.log.waiting import counted
from agentstead.store.pool import Database

LOOK_SECONDS = 0.25
SPREAD = 8
"""Refusals in a row that name different times, so that their clients do not come back together."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may wait; 0: no bound."""

    waiting_max: int = 0
    """Sessions that wait for a worker, of all workspaces."""
    workspace_waiting_max: int = 0
    """The same, of one workspace."""
    own: Mapping[str, int] = field(default_factory=dict)
    """Of workspaces that have another one."""
    inbox_max: int = 0
    """Events of one session that no worker has taken in."""
    retry_seconds: float = 2.0

    def of(self, workspace_id: str) -> int:
        """How many sessions of this workspace may wait."""
        return self.own.get(workspace_id, self.workspace_waiting_max)


@dataclass(slots=True)
class Look:
    """What was counted, and let in since."""

    at: float
    own: int
    overall: int


class Entry:
    """One request that may begin work; until it is over nobody knows whether its rows are counted."""

    def __init__(self, pressure: "Pressure", workspace_id: str) -> None:
        self.pressure = pressure
        self.workspace_id = workspace_id
        self.begun = False

    def begin(self) -> None:
        """One more session of the workspace will wait. Raises Limited."""
        self.pressure.let_in(self.workspace_id)
        self.begun = True


class Pressure:
    """The bounds of this process's door."""

    def __init__(self, database: Database, clock: Clock, bounds: Bounds) -> None:
        self.database = database
        self.clock = clock
        self.bounds = bounds
        self.looks: dict[str, Look] = {}
        """The latest of each workspace."""
        self.looking: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.open: Counter[str] = Counter()
        """Entries that have begun and are not over, by workspace."""
        self.begun: Counter[str] = Counter()
        """All that ever began."""
        self.refused = 0

    @asynccontextmanager
    async def entry(self, workspace_id: str) -> AsyncIterator[Entry]:
        """For a request that may begin work: its count is current, and it counts until it is over."""
        async with self.looking[workspace_id]:
            await self.look(workspace_id)
        entry = Entry(self, workspace_id)
        try:
            yield entry
        finally:
            if entry.begun:
                self.open[workspace_id] -= 1

    async def look(self, workspace_id: str) -> None:
        """Count again where the last look is old."""
        own, overall = self.bounds.of(workspace_id), self.bounds.waiting_max
        known = self.looks.get(workspace_id)
        now = self.clock.now()
        if not (own or overall) or (known and 0 <= now - known.at < LOOK_SECONDS):
            return
        # What is on its way, or begins meanwhile, may be counted or not: it counts as if not.
        unsure = self.open[workspace_id] - self.begun[workspace_id]
        unsure_overall = self.open.total() - self.begun.total()
        found, found_overall = await counted(self.database, workspace_id, own, overall)
        self.looks[workspace_id] = Look(
            now,
            found + unsure + self.begun[workspace_id],
            found_overall + unsure_overall + self.begun.total(),
        )

    def let_in(self, workspace_id: str) -> None:
        """One more session of this workspace will wait. Raises Limited."""
        look = self.looks.get(workspace_id)
        if look is not None:
            self.check(look, self.bounds.of(workspace_id))
            look.own += 1
            for each in self.looks.values():
                each.overall += 1
        self.open[workspace_id] += 1
        self.begun[workspace_id] += 1

    def check(self, look: Look, most: int) -> None:
        """Whether there is room for one more. Raises Limited."""
        if most and look.own >= most:
            raise self.limited(
                f"{most} sessions of this workspace wait for a worker, as many as may."
            )
        if self.bounds.waiting_max and look.overall >= self.bounds.waiting_max:
            raise self.limited("The server has as many sessions waiting for a worker as it may.")

    def queue(self, queued: int) -> None:
        """One more event for a session with so many that no worker has taken in. Raises Limited."""
        if self.bounds.inbox_max and queued >= self.bounds.inbox_max:
            raise self.limited(
                f"{queued} events of this session wait to be taken in, as many as may."
            )

    def limited(self, what: str) -> Limited:
        """A refusal; each of a few in a row names another time."""
        self.refused += 1
        share = 1 + (self.refused % SPREAD) / SPREAD
        seconds = self.bounds.retry_seconds * share
        return Limited(f"{what} Nothing was done; try again later.", retry_after_seconds=seconds)
