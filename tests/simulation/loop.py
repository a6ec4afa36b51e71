"""An event loop that lives in virtual time: waiting costs nothing, and the seed decides who goes first.

Product code runs on it unchanged. Its selector advances the clock in the place of waiting; when
nothing is runnable and nothing is scheduled, nothing can ever happen again: `Stuck`.
"""

import asyncio
import collections
from random import Random


class Stuck(AssertionError):
    """Nothing is runnable and nothing is scheduled."""


class VirtualSelector:
    """Moves time on in the place of waiting."""

    def __init__(self, loop: "SimLoop") -> None:
        self.loop = loop

    def select(self, timeout):
        if timeout is None:
            raise Stuck("nothing is runnable and nothing is scheduled")
        self.loop.now += max(timeout, 0)
        return ()

    def close(self) -> None:
        """Nothing is held."""


class SimLoop(asyncio.base_events.BaseEventLoop):
    """Virtual time, and ready callbacks shuffled by the seed."""

    def __init__(self, rng: Random) -> None:
        super().__init__()
        self.now = 0.0
        self.rng = rng
        self._clock_resolution = 1e-9
        self._selector = VirtualSelector(self)

    def time(self) -> float:
        return self.now

    def _process_events(self, event_list) -> None:
        """No events come from outside."""

    def _write_to_self(self) -> None:
        """Nobody calls from another thread."""

    def _run_once(self) -> None:
        if len(self._ready) > 1:
            ready = list(self._ready)
            self.rng.shuffle(ready)
            self._ready = collections.deque(ready)
        super()._run_once()
