"""Sandboxes that wait, started and unused, for the sessions that come next.

Promises: a spare is made of the very specification that the session's sandbox would be made of, so
it is isolated and limited the same; nothing has run in it before, and it goes to one session only.
Those that nobody took end with `close`, or with this process.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import replace

from agentstead.clock import Clock
from agentstead.errors import SandboxFault
from agentstead.sandbox import link
from agentstead.sandbox.sandbox import SandboxSpec
from agentstead.sandbox.supervisor import spare
from agentstead.sandbox.supervisor.place import Place

PAUSE_SECONDS = 0.3
"""After a session got its sandbox, so that its first call comes first."""

Start = Callable[[str, SandboxSpec], Awaitable[None]]
End = Callable[[str], Awaitable[None]]


class Spares:
    """At most `number` of them, of what was last asked for."""

    def __init__(self, number: int, clock: Clock, start: Start, end: End) -> None:
        self._number = number
        self._clock = clock
        self._start = start
        self._end = end
        self._names = itertools.count(1)
        self._waiting: list[tuple[str, SandboxSpec]] = []
        self._filling: asyncio.Task[None] | None = None

    async def take(self, place: Place, spec: SandboxSpec) -> bool:
        """Make a spare the sandbox of this place, where one fits and the place does not exist."""
        fitting = generic(spec)
        for waiting in [one for one in self._waiting if one[1] == fitting]:
            if place.path.exists():
                return False
            self._waiting.remove(waiting)
            given = {"op": "adopt", "id": place.sandbox_id}
            reply = await link.ask(Place(place.root, waiting[0]).path, given)
            if reply and reply.get("adopted"):
                return True
            await self._end(waiting[0])
        return False

    def fits(self, spec: SandboxSpec) -> bool:
        """Whether there is one for such a sandbox."""
        return generic(spec) in [waiting for _, waiting in self._waiting]

    def fill(self, spec: SandboxSpec) -> None:
        """Have as many of these as should be, soon."""
        fitting = generic(spec)
        idle = self._filling is None or self._filling.done()
        if fitting is not None and self._number and idle:
            self._filling = asyncio.create_task(self._fill(fitting))

    async def close(self) -> None:
        """End those that nobody took."""
        if self._filling is not None:
            self._filling.cancel()
            await asyncio.gather(self._filling, return_exceptions=True)
        while self._waiting:
            await self._end(self._waiting.pop()[0])

    async def _fill(self, spec: SandboxSpec) -> None:
        await self._clock.sleep(PAUSE_SECONDS)
        for other in [one for one in self._waiting if one[1] != spec]:
            self._waiting.remove(other)
            await self._end(other[0])
        while len(self._waiting) < self._number:
            name = spare.name(next(self._names))
            try:
                await self._start(name, spec)
            except SandboxFault:
                await self._end(name)
                return  # the next session is told why, when its own start fails
            except asyncio.CancelledError:
                await self._end(name)
                raise
            self._waiting.append((name, spec))


def generic(spec: SandboxSpec) -> SandboxSpec | None:
    """What a spare for such a sandbox is made of; None: it is one session's alone."""
    if spec.mounts or spec.network.credentials:
        return None
    return replace(spec, uploads=())
