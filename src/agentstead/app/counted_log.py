"""The log as workers see it, with counters beside it: what is in the log is in the metrics."""

from collections.abc import Sequence

from agentstead.errors import LeaseLost
from agentstead.log.log import Appended, Derived, Lease, Log, Park, SessionRecord
from agentstead.telemetry.metrics import Metrics
from agentstead.wire.events.stored import Event, Pending


class CountedLog:
    """Passes everything on, and counts claims and what was appended."""

    def __init__(self, log: Log, metrics: Metrics) -> None:
        self.log = log
        self.metrics = metrics

    async def claim(self, owner: str, limit: int) -> list[Lease]:
        """Claim due sessions."""
        leases = await self.log.claim(owner, limit)
        self.metrics.claimed(len(leases))
        return leases

    async def heartbeat(self, leases: Sequence[Lease]) -> dict[str, bool]:
        """Renew leases."""
        return await self.log.heartbeat(leases)

    async def release(self, leases: Sequence[Lease]) -> None:
        """Hand sessions back."""
        await self.log.release(leases)

    async def load(self, lease: Lease) -> SessionRecord:
        """Read a claimed session."""
        return await self.log.load(lease)

    async def append(
        self,
        lease: Lease,
        entries: Sequence[Event],
        *,
        seen: int,
        take: Sequence[str] = (),
        derived: Derived,
        park: Park | None = None,
        stopped: bool = False,
    ) -> Appended:
        """Write events, and count them once they are written."""
        try:
            appended = await self.log.append(
                lease, entries, seen=seen, take=take, derived=derived, park=park, stopped=stopped
            )
        except LeaseLost:
            self.metrics.lease_lost()
            raise
        if not appended.refused:
            self.metrics.appended(entries)
        return appended

    async def start_call(self, lease: Lease, call_id: str) -> bool:
        """Note that a call is about to go out."""
        return await self.log.start_call(lease, call_id)

    async def pending(self, session_id: str) -> tuple[Pending, ...]:
        """Input not taken in yet."""
        return await self.log.pending(session_id)

    async def due(self, timeout_seconds: float) -> None:
        """Wait until a session may be due."""
        await self.log.due(timeout_seconds)

    async def news(self, session_id: str, after: int) -> int:
        """Wait until a session may have input."""
        return await self.log.news(session_id, after)
