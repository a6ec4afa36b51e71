"""Who gets the next wake: the port, and its PostgreSQL form.

In PostgreSQL the wakes are the session rows themselves (`wake_at`, claimed by `lease.py`); what is
left to do is to wait without asking all the time. Waiting is level-triggered: what came while
nobody waited is found by the next who does.
"""

import asyncio
from typing import Protocol


class Dispatcher(Protocol):
    """Tells workers of a process that a session may be due."""

    def ring(self) -> None:
        """A session may be due."""
        ...

    def heard(self) -> None:
        """Another process told everybody that a session may be due."""
        ...

    async def start(self) -> None:
        """Be ready to tell."""
        ...

    async def close(self) -> None:
        """Tell no more."""
        ...

    async def due(self, timeout_seconds: float) -> None:
        """Return after a ring, or after the time-out."""
        ...


class Doorbell:
    """The dispatcher over the bus's notices: all who hear one look, and one of them gets the session."""

    def __init__(self) -> None:
        self.rung = asyncio.Event()

    def ring(self) -> None:
        """A session may be due."""
        self.rung.set()

    def heard(self) -> None:
        """Another process told everybody that a session may be due."""
        self.rung.set()

    async def start(self) -> None:
        """The bus brings the notices."""

    async def close(self) -> None:
        """Nothing is held."""

    async def due(self, timeout_seconds: float) -> None:
        """Return after a ring, or after the time-out."""
        await waited(self.rung, timeout_seconds)
        self.rung.clear()


class News:
    """What this process knows of input that arrived for the sessions it drives."""

    def __init__(self) -> None:
        self.latest: dict[str, int] = {}
        self.fences: dict[str, int] = {}
        """The claim for which news of a session is remembered."""
        self.waiters: dict[str, set[asyncio.Event]] = {}

    def watch(self, session_id: str, fence: int = 0) -> None:
        """Remember news of this session from now on."""
        self.latest.setdefault(session_id, 0)
        self.fences[session_id] = max(fence, self.fences.get(session_id, 0))

    def forget(self, session_id: str, fence: int) -> None:
        """The claim is over; a newer one of this process keeps its news."""
        if session_id not in self.waiters and self.fences.get(session_id, 0) <= fence:
            self.latest.pop(session_id, None)
            self.fences.pop(session_id, None)

    def tell(self, session_id: str, arrived: int) -> None:
        """Input has arrived."""
        if session_id in self.latest:
            self.latest[session_id] = max(self.latest[session_id], arrived)
            for waiter in self.waiters.get(session_id, ()):
                waiter.set()

    def alarm(self) -> None:
        """Notices may have been missed: everybody looks once."""
        for waiters in self.waiters.values():
            for waiter in waiters:
                waiter.set()

    async def wait(self, session_id: str, after: int) -> int:
        """The latest arrival heard of, once it is later than `after` or notices may be missing."""
        self.watch(session_id)
        if self.latest[session_id] > after:
            return self.latest[session_id]
        waiter = asyncio.Event()
        self.waiters.setdefault(session_id, set()).add(waiter)
        try:
            await waiter.wait()
            return max(after, self.latest.get(session_id, 0))
        finally:
            self.waiters[session_id].discard(waiter)
            if not self.waiters[session_id]:
                del self.waiters[session_id]


async def waited(event: asyncio.Event, timeout_seconds: float) -> bool:
    """Whether the event was set within that time."""
    try:
        async with asyncio.timeout(timeout_seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
