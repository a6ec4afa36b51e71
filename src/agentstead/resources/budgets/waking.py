"""Sessions that stopped at a budget go on when there may be room: an event says so in their log.

The event is a `session.updated` without changes: with it the worker that parks a session at this very
moment is refused, so that none is left behind.
"""

from collections.abc import Callable

from agentstead.api.router import Call
from agentstead.clock import rfc3339
from agentstead.errors import NotFound
from agentstead.ids import EVENT
from agentstead.log.log import Change, SessionRow
from agentstead.resources.session_budget import paused
from agentstead.wire.budget import reached
from agentstead.wire.events.stored import Event

WAITING = """
    select thread_id, session_id, at from budget_waits
    where workspace_id = %s and budget_id = %s and final order by at, thread_id
"""
GONE = "delete from budget_waits where thread_id = %s and budget_id = %s and at = %s"


async def wake(call: Call, budget_id: str) -> None:
    """Let every session that waits for this budget try again, who waited longest first."""
    database = call.services.database
    for row in await database.fetch(WAITING, (call.workspace_id, budget_id)):
        try:
            await call.services.log.change(
                call.workspace_id, row["session_id"], told(call, budget_id)
            )
        except NotFound:
            continue  # deleted meanwhile, and with it that it waits
        await database.execute(GONE, (row["thread_id"], budget_id, row["at"]))


def told(call: Call, budget_id: str) -> Callable[[SessionRow], Change]:
    """What is written into a session's log."""

    def decide(row: SessionRow) -> Change:
        if row.archived_at is not None or row.status == "terminated":
            return Change({})
        event_id = call.services.ids.new(EVENT)
        payload = {"id": event_id, "type": "session.updated", "processed_at": rfc3339(call.now)}
        private = {"room": budget_id}
        event = Event(
            event_id, "session.updated", row.primary_thread_id, payload, call.now, private=private
        )
        goes_on = paused(row) and not reached(row.budget, row.list_cost)
        return Change({"status": "running"} if goes_on else {}, (event,), wakes=True)

    return decide
