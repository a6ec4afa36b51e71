"""What a stop is: who may not work, since when, because of whom and why. Pure.

A stop holds for the sessions that match it: those that are there and those that are created while
it is open. A session that is stopped keeps its input and begins no model request and no tool call.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from agentstead.clock import rfc3339
from agentstead.ids import EVENT, Ids
from agentstead.log.log import Decision, Desk, Incoming, NewSession, SessionRow, Stop


def matches(stop: Stop, session: NewSession | SessionRow) -> bool:
    """Whether an open stop holds for this session."""
    if stop.workspace_id != session.workspace_id or stop.lifted_at is not None:
        return False
    if stop.agent_id is not None:
        return stop.agent_id == session.agent_id
    if stop.session_id is not None:
        return stop.session_id == session.id
    if stop.metadata is not None:
        return all(session.metadata.get(key) == value for key, value in stop.metadata.items())
    return True


def held(desk: Desk, decision: Decision) -> Decision:
    """What the door decided on; in a stopped session it starts nothing, input waits."""
    return replace(decision, starts_work=False) if desk.stopped else decision


def words(ids: Ids, stop: Stop) -> tuple[Incoming, Incoming]:
    """What a session that works is sent: the interrupt, and why, for its client."""
    message = (
        f"Stopped by the operator ({stop.id}): {stop.reason} Nothing goes on until the stop is "
        "lifted; what is sent meanwhile waits."
    )
    error = {
        "type": "unknown_error",
        "message": message,
        "retry_status": {"type": "exhausted"},
    }
    return (
        said(ids, "user.interrupt", stop.created_at, session_thread_id=None),
        said(ids, "session.error", stop.created_at, error=error),
    )


def said(ids: Ids, kind: str, at: float, **fields: Any) -> Incoming:
    """Input of the platform's own, settled when it comes."""
    event_id = ids.new(EVENT)
    payload: Mapping[str, Any] = {
        "id": event_id, "type": kind, **fields, "processed_at": rfc3339(at)
    }  # fmt: skip
    return Incoming(event_id, kind, None, payload)


def works(row: SessionRow) -> bool:
    """Whether a session has to be interrupted: it runs, or a self-hosted worker runs a call of it."""
    return row.status != "idle" or any(ask.kind == "tool" for ask in row.asks)
