"""Counts what goes through, and says when it is enough."""

import time
from collections.abc import Callable

HOUR = 3600.0


class Exhausted(Exception):
    """The bytes of this hour are used up."""


class Meter:
    """Bytes of one sandbox, in both directions; the hour begins with the first of them."""

    def __init__(
        self,
        bytes_max: int,
        used: int = 0,
        began: float = 0.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._now = now
        self.bytes_max = bytes_max
        self.used = used
        self.began = began
        self.unreported = [0, 0]

    def check(self) -> None:
        """Raises Exhausted when nothing may go through any more."""
        now = self._now()
        if now - self.began >= HOUR:
            self.used, self.began = 0, now
        if self.used >= self.bytes_max:
            raise Exhausted

    def count(self, sent: int = 0, received: int = 0) -> None:
        """Count, and raise Exhausted beyond the limit."""
        self.unreported[0] += sent
        self.unreported[1] += received
        self.used += sent + received
        if self.used > self.bytes_max:
            self.check()

    def minutes_left(self) -> int:
        """Until the hour is over."""
        return max(1, round((self.began + HOUR - self._now()) / 60))
