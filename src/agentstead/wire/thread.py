"""Threads of a session as answered."""

from collections.abc import Mapping
from typing import Any

from agentstead.clock import rfc3339
from agentstead.wire.session import seconds, usage


def answer(row: Mapping[str, Any], session: Any, now: float) -> dict[str, Any]:
    """The wire's SessionThread of a row of `threads` and its `SessionRow`; times in seconds."""
    agent = row["agent"] or session.agent
    ended = session.terminated_at if session.status == "terminated" else row["archived_at"]
    status = "terminated" if session.status == "terminated" else row["status"]
    return {
        "id": row["id"],
        "type": "session_thread",
        "session_id": session.id,
        "agent": {name: value for name, value in agent.items() if name != "multiagent"},
        "parent_thread_id": row["parent_thread_id"],
        "status": status,
        "workflow_run_id": row["workflow_run_id"],
        "stats": stats(row, now if ended is None else ended),
        "usage": None if row["usage"] is None else used(row["usage"]),
        "created_at": rfc3339(row["created_at"]),
        "updated_at": rfc3339(row["updated_at"]),
        "archived_at": stamp(row["archived_at"] or session.archived_at),
    }


def stats(row: Mapping[str, Any], until: float) -> dict[str, Any] | None:
    """Timing, null until the thread first ran."""
    stored = row["stats"]
    if stored is None:
        return None
    return {
        "active_seconds": seconds(float(stored.get("active_seconds") or 0.0)),
        "duration_seconds": seconds(until - row["created_at"]),
        "startup_seconds": seconds(float(stored.get("startup_seconds") or 0.0)),
    }


def used(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Usage, with the thread's own running time."""
    return usage(stored, seconds(float(stored.get("active_seconds") or 0.0)))


def stamp(at: float | None) -> str | None:
    """A time or null."""
    return None if at is None else rfc3339(at)
