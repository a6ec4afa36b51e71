"""What goes wrong at a port call, and the process it happens to.

A killed process is not cancelled: it may go on running, but every port call of it raises `Killed`
for ever after, so it cannot act. That is what SIGKILL looks like from outside. A stalled process
stands still at each port call until it thaws, by when its lease may be somebody else's.
"""

import asyncio
from dataclasses import dataclass, field
from random import Random

KILL_BEFORE = "kill before"
KILL_AFTER = "kill after"
STALL = "stall"
LATE = "late reply"
ERROR = "error"
LOST_REPLY = "lost reply"
SLOW = "slow"

MESSAGE_FIRST = "message first"
INTERRUPT_FIRST = "interrupt first"
ANSWER_FIRST = "answer first"
CHANGE_FIRST = "change first"
RACES = (MESSAGE_FIRST, INTERRUPT_FIRST, ANSWER_FIRST, CHANGE_FIRST)
"""Not faults, but just as unkind: a client gets in right before an append."""

KINDS = (KILL_BEFORE, KILL_AFTER, STALL, LATE, ERROR, LOST_REPLY, SLOW, *RACES)
SWEPT = (KILL_BEFORE, KILL_AFTER, STALL, LOST_REPLY)
"""The kinds that the sweep tries at each call."""

RATES = (0.0, 0.0, 0.01, 0.03, 0.1)
STALLS = (1.0, 6.0, 30.0)
"""Seconds: within the lease, just past it, far past it."""

STANDING = (
    "log.due",
    "log.look",
    "log.news",
    "log.pending",
    "log.heartbeat",
    "sandbox.keep",
    "clock.sleep",
)
"""Calls that come all the time; the sweep passes over them."""


class Killed(BaseException):
    """The process is dead."""


@dataclass(slots=True)
class Fault:
    """One fault: its kind and, for a stall, how long."""

    kind: str
    seconds: float = 0.0


class Calm:
    """Nothing goes wrong."""

    end_with_calm = True

    def draw(self, name: str, point: int) -> Fault | None:
        return None


@dataclass(slots=True)
class Once:
    """One fault, at one port call, also when the clients have said everything."""

    point: int
    kind: str
    seconds: float = 30.0
    end_with_calm: bool = False

    def draw(self, name: str, point: int) -> Fault | None:
        return Fault(self.kind, self.seconds) if point == self.point else None


@dataclass(slots=True)
class Swarm:
    """Faults at rates that the seed has drawn, zero included."""

    rng: Random
    rates: dict[str, float] = field(default_factory=dict)
    end_with_calm: bool = True
    """Faults stop, and then everything must settle."""

    def __post_init__(self) -> None:
        if not self.rates:
            self.rates = {kind: self.rng.choice(RATES) for kind in KINDS}

    def draw(self, name: str, point: int) -> Fault | None:
        at = self.rng.random()
        scale = 0.2 if name in STANDING else 1.0
        for kind, rate in self.rates.items():
            at -= rate * scale
            if at < 0:
                return Fault(kind, self.rng.choice(STALLS))
        return None


class Process:
    """One worker process in the simulation."""

    def __init__(self, world, name: str) -> None:
        self.world = world
        self.name = name
        self.dead = False
        self.frozen_until = 0.0
        self.died = asyncio.get_running_loop().create_future()

    def die(self, name: str, how: str) -> None:
        """Be killed at this port call."""
        self.dead = True
        self.world.kills += 1
        self.world.tell(self, name, "KILLED", how)
        if not self.died.done():
            self.died.set_result(None)
        raise Killed(self.name)

    def must_live(self) -> None:
        """For calls that do not wait."""
        if self.dead:
            raise Killed(self.name)

    async def present(self) -> None:
        """Go on only when alive and not frozen."""
        loop = self.world.loop
        while not self.dead and self.frozen_until > loop.time():
            thawed = loop.create_future()
            loop.call_at(self.frozen_until, thawed.cancel)
            await asyncio.wait({thawed})
        self.must_live()

    def freeze(self, seconds: float) -> None:
        """Stand still at every port call for so long."""
        self.frozen_until = max(self.frozen_until, self.world.loop.time() + seconds)

    async def call(self, name: str, effect, fault, detail="", *, lost=None, session_id=None):
        """One port call: `effect` is what it does, `fault` makes its transient error.

        `lost` makes the error of a call that was done and whose reply did not come.
        """
        world = self.world
        self.must_live()
        drawn = world.draw(name)
        kind = drawn.kind if drawn else None
        await asyncio.sleep(world.latency() + (1.0 if kind == SLOW else 0.0))
        await self.present()
        if kind == KILL_BEFORE:
            self.die(name, "before")
        if kind == STALL:
            world.tell(self, name, f"STALL {drawn.seconds:g}s", detail)
            self.freeze(drawn.seconds)
            await self.present()
        if kind == ERROR:
            world.tell(self, name, "ERROR", detail)
            raise fault()
        if kind in RACES and session_id is not None:
            await world.race(kind, session_id)
        try:
            answer = await effect()
        except Exception as error:
            world.tell(self, name, type(error).__name__, detail)
            raise
        if kind == LATE:
            world.tell(self, name, f"LATE {drawn.seconds:g}s", detail)
            self.freeze(drawn.seconds)
        await self.present()
        if kind == KILL_AFTER:
            self.die(name, "after")
        if kind == LOST_REPLY:
            world.tell(self, name, "REPLY LOST", detail)
            broken = lost or fault
            raise broken()
        world.tell(self, name, "", detail)
        return answer
