"""`GET /v1/sessions/{id}/why`: why a session is in its state, since when, and waiting for whom.

An extension of the wire. Promises: one answer, from the session's row and the end of its log; what
it names as next action is something that the reader can do.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from agentstead.api.router import Call, Router
from agentstead.clock import rfc3339
from agentstead.log.log import SessionRow
from agentstead.tools import NOT_YET

router = Router("Sessions")

TAIL = 200
TELLING = (
    "agent.mcp_tool_result",
    "agent.mcp_tool_use",
    "agent.tool_result",
    "agent.tool_use",
    "session.error",
    "span.model_request_end",
    "span.model_request_start",
)
Events = Sequence[Mapping[str, Any]]


@router.get("/v1/sessions/{session_id}/why")
async def why(call: Call, session_id: str) -> Mapping[str, Any]:
    """Say why a session is in its state and what it waits for."""
    row = await call.services.log.retrieve(call.workspace_id, session_id)
    page = await call.services.log.page(
        call.workspace_id, session_id, types=TELLING, descending=True, limit=TAIL
    )
    found = explain(row, [json.loads(text) for text in page.rows], call.now)
    lease = {"owner": row.lease_owner, "until": stamp(row.lease_until)}
    return {
        "type": "session_why",
        "session_id": row.id,
        "state": row.status,
        "stop_reason": row.stop_reason,
        **found,
        "last_error": next((one["error"] for one in error_of(page.rows)), None),
        "lease": lease if held(row, call.now) else None,
        "queue": {"inbox": row.inbox_count, "due_seconds": round(due_for(row, call.now), 3)},
        "attempts": row.attempts,
        "not_offered": [
            *not_offered(row.agent["tools"]),
            *not_installed(row.environment.get("config", {})),
        ],
    }


def explain(row: SessionRow, tail: Events, now: float) -> dict[str, Any]:
    """Reason, since, whom it waits for, and what to do. `tail`: telling events, newest first."""
    if row.archived_at is not None:
        return said("It was archived.", row.archived_at, nothing(), "Create a new session.")
    if row.status == "terminated":
        reason = "It ended with an error that cannot be retried."
        return said(
            reason, row.terminated_at, nothing(), "Look at last_error; create a new session."
        )
    if due_for(row, now) > 0:
        return said(
            "It has work to do and no worker has taken it yet.",
            row.wake_at,
            {"type": "worker"},
            "If this lasts, start a worker (`agentstead worker`) or look at the workers' logs.",
        )
    if row.status == "rescheduling":
        return said(
            "A model request failed and is tried again.",
            row.last_event_at,
            {"type": "retry", "until": stamp(row.wake_at)},
            "Wait; last_error says what failed.",
        )
    if row.status == "running":
        return running(row, tail)
    return idle(row)


def running(row: SessionRow, tail: Events) -> dict[str, Any]:
    """What a running session is doing."""
    calls = open_calls(tail)
    if calls:
        return said(
            f"The agent's {' and '.join(sorted({call['name'] for call in calls}))} call is running.",
            row.last_event_at,
            {"type": "tool", "event_ids": [call["id"] for call in calls]},
            "Wait, or send user.interrupt.",
        )
    spans = [one for one in tail if one["type"].startswith("span.model_request")]
    if spans and spans[0]["type"] == "span.model_request_start":
        return said(
            f"The model {row.agent['model']['id']} is answering.",
            row.last_event_at,
            {"type": "model", "event_id": spans[0]["id"]},
            "Wait, or send user.interrupt.",
        )
    reason = "A worker has it and is about to take its next step."
    return said(reason, row.last_event_at, {"type": "worker"}, "Wait.")


def open_calls(tail: Events) -> list[Mapping[str, Any]]:
    """Calls that the platform runs and that have no result yet, oldest first."""
    done = {one.get("tool_use_id") or one.get("mcp_tool_use_id") for one in tail}
    calls = [
        one
        for one in tail
        if one["type"] in ("agent.tool_use", "agent.mcp_tool_use") and one["id"] not in done
    ]
    return calls[::-1]


def idle(row: SessionRow) -> dict[str, Any]:
    """Why nothing happens."""
    kind = None if row.stop_reason is None else row.stop_reason["type"]
    since = row.last_event_at or row.created_at
    if kind == "requires_action":
        waits = {
            "type": "client",
            "event_ids": [ask.id for ask in row.asks],
            "kinds": {ask.id: ask.kind for ask in row.asks},
        }
        action = (
            "Answer each event id: user.tool_confirmation for a confirmation, "
            "user.custom_tool_result for a custom tool."
        )
        return said("The agent waits for the client's answers.", since, waits, action)
    reasons = {
        None: "It has not been given anything to do yet.",
        "end_turn": "The agent has finished its turn.",
        "retries_exhausted": "Its turn was ended by an error; see last_error.",
        "budget_reached": "Its budget is used up.",
        "refusal": "The model refused to go on.",
    }
    reason = reasons.get(kind, f"Its turn ended ({kind}).")
    return said(reason, since, {"type": "client", "event_ids": []}, "Send a user.message.")


def said(
    reason: str, since: float | None, waiting_for: Mapping[str, Any], next_action: str
) -> dict[str, Any]:
    """The middle part of the answer."""
    return {
        "reason": reason,
        "since": stamp(since),
        "waiting_for": dict(waiting_for),
        "next_action": next_action,
    }


def nothing() -> dict[str, Any]:
    """Nobody can do anything."""
    return {"type": "nothing"}


def held(row: SessionRow, now: float) -> bool:
    """Whether a worker has the session."""
    return row.lease_owner is not None and row.lease_until is not None and row.lease_until > now


def due_for(row: SessionRow, now: float) -> float:
    """For how many seconds it has wanted a worker and has none."""
    if row.wake_at is None or held(row, now):
        return 0.0
    return max(0.0, now - max(row.wake_at, row.lease_until or row.wake_at))


def error_of(texts: Sequence[str]) -> list[Mapping[str, Any]]:
    """The latest error of the tail, if it has one."""
    errors = [one for one in map(json.loads, texts) if one["type"] == "session.error"]
    return errors[:1]


def not_offered(tools: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Tools that the agent names and its model does not get, with the reason."""
    found = []
    for tool in tools:
        if tool["type"] == "agent_toolset_20260401":
            own = {config["name"]: config["enabled"] for config in tool["configs"]}
            found += [
                {"name": name, "reason": reason}
                for name, reason in NOT_YET.items()
                if own.get(name, tool["default_config"]["enabled"])
            ]
        elif tool["type"] == "mcp_toolset":
            reason = "MCP servers are not connected yet in this version."
            found.append({"name": tool["mcp_server_name"], "reason": reason})
    return found


def stamp(at: float | None) -> str | None:
    """A time or null."""
    return None if at is None else rfc3339(at)


def not_installed(config: Mapping[str, Any]) -> list[dict[str, str]]:
    """Packages that the environment lists and the sandbox does not have."""
    reason = "Installing packages is not available yet in this version; the model is told so."
    return [
        {"name": f"{kind}:{name}", "reason": reason}
        for kind, names in config.get("packages", {}).items()
        if kind != "type"
        for name in names
    ]
