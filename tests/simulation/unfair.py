"""Logs and workers that give places away wrongly, or wait for notices that never come: planted bugs."""

from agentstead.log.claims import Shares
from agentstead.testing import memory_log
from agentstead.testing.memory_log import MemoryLog
from agentstead.worker.loop import Worker


class LongestFirst(MemoryLog):
    """Whoever has waited longest, whatever else runs of his workspace."""

    async def claim(self, owner, limit):
        now = self.clock.now()
        due = [each for each in self.sessions.values() if self._is_due(each, now)]
        due.sort(key=memory_log.rank)
        return [self._lease(session, owner, now) for session in due[:limit]]


class Unbounded(MemoryLog):
    """Counts the places of nobody."""

    async def claim(self, owner, limit):
        kept, self.shares = self.shares, Shares()
        try:
            return await super().claim(owner, limit)
        finally:
            self.shares = kept


def forgets_priorities(patch) -> None:
    """Only who came first counts."""
    patch.setattr(memory_log, "rank", lambda session: session.row.wake_at or 0.0)


def trusts_notices(patch) -> None:
    """A worker that never looks by itself."""

    async def due(worker):
        await worker.world.log.due(1e9)
        return True

    patch.setattr(Worker, "due", due)
