"""Identifiers: prefix + `01` + 22 base-62 characters, of which the first 8 are the time in ms.

Sortable by time, unique ignoring case in practice, 29 characters for a session: safe as the name
of a file, a DNS label or a volume.
"""

import secrets
from collections.abc import Callable
from typing import Protocol

from agentstead.clock import Clock, SystemClock

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

AGENT = "agent"
ENVIRONMENT = "env"
SESSION = "sesn"
RESOURCE = "sesrsc"
EVENT = "sevt"
THREAD = "sthr"
FILE = "file"
WORKSPACE = "wrkspc"
KEY = "apikey"
REQUEST = "req"
WORKER = "worker"
WORK = "work"
ENVIRONMENT_KEY = "envkey"
AUDIT = "audit"
BLOB = "blob"
SKILL = "skill"
SKILL_VERSION = "skver"
STOP = "stop"
CONNECTOR = "conn"
BUDGET = "budget"


PAIRS = tuple(first + second for first in ALPHABET for second in ALPHABET)


def base62(number: int, width: int) -> str:
    """`number` in base 62, left-padded to `width` characters."""
    pairs = []
    for _ in range((width + 1) // 2):  # two digits at a time: this runs five times in a step
        number, rest = divmod(number, 62 * 62)
        pairs.append(PAIRS[rest])
    return "".join(reversed(pairs))[-width:]


class Ids(Protocol):
    """Where new identifiers come from; seeded in simulations."""

    def new(self, prefix: str) -> str:
        """A new identifier with this prefix (no underscore)."""
        ...


class RandomIds:
    """Identifiers from the clock and a source of random numbers below n."""

    def __init__(
        self, clock: Clock | None = None, below: Callable[[int], int] = secrets.randbelow
    ) -> None:
        self.clock = clock or SystemClock()
        self.below = below

    def new(self, prefix: str) -> str:
        """A new identifier with this prefix."""
        stamp = base62(round(self.clock.now() * 1000), 8)
        return f"{prefix}_01{stamp}{base62(self.below(62**14), 14)}"
