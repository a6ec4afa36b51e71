"""`GET /v1/sessions/{id}/why`: why a session is in its state, since when, and waiting for whom.

An extension of the wire. Promises: one answer, from the session's row, the end of its log and who
is there to work; what it names as next action is something that the reader can do.

The answer comes from two tables. `reasons.REASONS` is ordered, the first that applies is the reason;
`notices.NOTICES` all apply at once: what else the reader should know. `facts.gather` reads what they
look at. A new reason or notice is a function and its line in a table.
"""

from collections.abc import Mapping
from typing import Any

from agentstead.api.router import Call, Router
from agentstead.resources.why.facts import Facts, gather, stamp
from agentstead.resources.why.notices import noticed, offer
from agentstead.resources.why.reasons import explain

router = Router("Sessions")


@router.get("/v1/sessions/{session_id}/why")
async def why(call: Call, session_id: str) -> Mapping[str, Any]:
    """Say why a session is in its state and what it waits for."""
    facts = await gather(call, session_id)
    row = facts.row
    return {
        "type": "session_why",
        "session_id": row.id,
        "state": row.status,
        "stop_reason": row.stop_reason,
        **explain(facts).answer(),
        "last_error": facts.last_error,
        "notices": noticed(facts),
        "lease": lease(facts),
        "queue": {
            "inbox": row.inbox_count,
            "due_seconds": round(facts.due_seconds, 3),
            "events": [{"id": one.id, "type": one.type} for one in facts.queued],
        },
        "attempts": row.attempts,
        "workers_live": len(facts.workers),
        "not_offered": offer(facts),
    }


def lease(facts: Facts) -> dict[str, Any] | None:
    """Who works on it now."""
    if not facts.held:
        return None
    owner = facts.row.lease_owner
    alive = owner in facts.workers
    return {"owner": owner, "until": stamp(facts.row.lease_until), "alive": alive}
