"""What `/why` looks at: the session's row, the end of its log, its queue, and who can work.

A reason that needs more adds a field here, with a default, and its line in `gather`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentstead.api.router import Call
from agentstead.clock import from_rfc3339, rfc3339
from agentstead.log import stopping
from agentstead.log.census import live_workers
from agentstead.log.log import SessionRow, Stop
from agentstead.log.waiting import Place, place_of
from agentstead.resources.why.budgets import BudgetFacts, gather_budget
from agentstead.resources.why.packages import PackageFacts, gather_packages
from agentstead.resources.why.work import WorkFacts, gather_work
from agentstead.store import checkpoints
from agentstead.wire.events.stored import Pending

TAIL = 200
QUEUED_MAX = 20
TELLING = (
    "agent.custom_tool_use",
    "agent.mcp_tool_result",
    "agent.mcp_tool_use",
    "agent.tool_result",
    "agent.tool_use",
    "session.error",
    "session.status_idle",
    "span.model_request_end",
    "span.model_request_start",
)
"""Types of events that tell what a session does."""
Events = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the reasons and notices are found from."""

    row: SessionRow
    now: float
    tail: Events = ()
    """The latest telling events, newest first."""
    queued: Sequence[Pending] = ()
    """Input that no worker has taken in, oldest first; at most `QUEUED_MAX`."""
    workers: frozenset[str] = field(default_factory=frozenset)
    """Owners of the workers that are alive."""
    work: WorkFacts | None = None
    """Its place in the work queue, on a self-hosted environment."""
    packages: PackageFacts | None = None
    """Packages of its environment that are not there."""
    above: BudgetFacts | None = None
    """A budget above the session that has no room for its next request."""

    place: Place | None = None
    """Among those that wait for a worker; None: it does not."""
    running_max: int = 0
    """Sessions of its workspace that may run at once; 0: no bound."""
    stop: Stop | None = None
    """What holds for it."""

    sandbox: Mapping[str, Any] | None = None
    """What became of saving and restoring its files; None: it has used no sandbox."""

    @property
    def held(self) -> bool:
        """Whether a worker has the session."""
        until = self.row.lease_until
        return self.row.lease_owner is not None and until is not None and until > self.now

    @property
    def due_seconds(self) -> float:
        """For how long it has wanted a worker and has none."""
        wake_at = self.row.wake_at
        if wake_at is None or self.held:
            return 0.0
        return max(0.0, self.now - max(wake_at, self.row.lease_until or wake_at))

    @property
    def crashes(self) -> int:
        """Workers in a row that took the session and were lost before they could write."""
        return max(0, self.row.attempts - (1 if self.held else 0))

    @property
    def last_error(self) -> Mapping[str, Any] | None:
        """The latest `session.error` of the tail."""
        errors = (one["error"] for one in self.tail if one["type"] == "session.error")
        return next(errors, None)

    @property
    def open_calls(self) -> list[Mapping[str, Any]]:
        """Calls that the platform runs and that have no result yet, oldest first."""
        done = {one.get("tool_use_id") or one.get("mcp_tool_use_id") for one in self.tail}
        asked = {ask.id for ask in self.row.asks}
        calls = [
            one
            for one in self.tail
            if one["type"] in ("agent.tool_use", "agent.mcp_tool_use")
            and one["id"] not in done
            and one["id"] not in asked
        ]
        return calls[::-1]

    def since(self, event: Mapping[str, Any]) -> float | None:
        """When an event happened."""
        at = event.get("processed_at")
        return self.row.last_event_at if at is None else from_rfc3339(at)


async def gather(call: Call, session_id: str) -> Facts:
    """Read them all. Raises NotFound."""
    log = call.services.log
    row = await log.retrieve(call.workspace_id, session_id)
    page = await log.page(call.workspace_id, session_id, types=TELLING, descending=True, limit=TAIL)
    queued = await log.pending(session_id) if row.inbox_count else ()
    workers = await live_workers(call.services.database)
    waits = row.wake_at is not None and row.lease_owner is None
    share = call.services.settings.share_of(call.workspace_id)
    return Facts(
        row=row,
        now=call.now,
        tail=[json.loads(text) for text in page.rows],
        queued=queued[:QUEUED_MAX],
        workers=workers,
        place=await place_of(call.services.database, session_id, workers) if waits else None,
        running_max=int(share["running_max"]),
        work=await gather_work(call, row),
        packages=await gather_packages(call, row),
        stop=await in_force(call, row),
        above=await gather_budget(call, session_id),
        sandbox=await checkpoints.told(call.services.database, session_id),
    )


async def in_force(call: Call, row: SessionRow) -> Stop | None:
    """The stop that holds for the session."""
    if row.stopped_by is None:
        return None
    return await stopping.retrieve(call.services.database, call.workspace_id, row.stopped_by)


def stamp(at: float | None) -> str | None:
    """A time or null."""
    return None if at is None else rfc3339(at)
