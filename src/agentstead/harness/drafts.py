"""The events that the planner has written, and their order (wire §7.10)."""

from collections.abc import Mapping
from typing import Any

from agentstead.harness import budget, retry, usage
from agentstead.harness.state import State
from agentstead.harness.steps import Call
from agentstead.harness.thread import OpenCall, RequestFault, Thread
from agentstead.wire.events.stored import Draft

OUT_OF_TIME = "The call was ended: the session, or its turn, has run as long as it may."
INTERRUPTED = "Tool execution was interrupted before completion. Please retry."
END_TURN: Mapping[str, Any] = {"type": "end_turn"}
BUDGET_REACHED: Mapping[str, Any] = {"type": "budget_reached"}
RETRIES_EXHAUSTED: Mapping[str, Any] = {"type": "retries_exhausted"}
NO_USAGE = {
    "input_tokens": 0,
    "output_tokens": 0,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
}


def thread_event(thread: Thread, suffix: str, **fields: Any) -> Draft:
    """`session.thread_status_*` of a thread; a child's shows on the primary view as well."""
    named = {"session_thread_id": thread.id, "agent_name": thread.name, **fields}
    return Draft(f"session.thread_status_{suffix}", thread.id, named)


def running(state: State, thread: Thread) -> tuple[Draft, ...]:
    """The thread (and with it the session) begins to work; nothing when it does already."""
    drafts: tuple[Draft, ...] = ()
    if state.status != "running":
        drafts += (Draft("session.status_running", state.primary_id),)
    if thread.status != "running":
        drafts += (thread_event(thread, "running"),)
    return drafts


def request_start(thread: Thread, state: State) -> Draft:
    """A model request begins."""
    return Draft("span.model_request_start", thread.id, primary=thread.id == state.primary_id)


def request_aborted(thread: Thread, state: State) -> Draft:
    """A model request ends because the client interrupted it."""
    fields = {
        "model_request_start_id": thread.request_id,
        "is_error": None,
        "model_usage": dict(NO_USAGE),
    }
    return Draft("span.model_request_end", thread.id, fields, primary=thread.id == state.primary_id)


def blocking_ids(calls: tuple[OpenCall, ...]) -> list[str]:
    """Ids in the order of the log."""
    return [entry.call.id for entry in sorted(calls, key=lambda entry: entry.ordinal)]


def requires_action(calls: tuple[OpenCall, ...]) -> dict[str, Any]:
    """The stop reason that names what the client must answer."""
    return {"type": "requires_action", "event_ids": blocking_ids(calls)}


def idle(
    state: State,
    thread: Thread,
    now: float,
    stop_reason: Mapping[str, Any],
    stop_details: Mapping[str, Any] | None = None,
) -> tuple[Draft, ...]:
    """The thread stops; when no other one works, so does the session."""
    drafts = (thread_event(thread, "idle", stop_reason=stop_reason, stop_details=stop_details),)
    others = [other for other in state.threads.values() if other.id != thread.id]
    paused = stop_reason["type"] == "budget_reached"
    if any(other.busy for other in others):
        return (*drafts, usage_snapshot(state, now)) if paused else drafts
    waiting = thread.blocking if stop_reason["type"] == "requires_action" else ()
    for other in others:
        waiting += other.blocking
    if waiting:
        session_reason: Mapping[str, Any] = requires_action(waiting)
        stop_details = None
    elif paused or any(other.paused for other in others):
        session_reason = BUDGET_REACHED
        stop_details = None
    elif thread.id == state.primary_id:
        session_reason = stop_reason
    else:
        session_reason = state.primary.stop_reason or END_TURN
        stop_details = None
    return (
        *drafts,
        usage_snapshot(state, now),
        Draft(
            "session.status_idle",
            state.primary_id,
            {"stop_reason": session_reason, "stop_details": stop_details},
        ),
    )


def usage_snapshot(state: State, now: float) -> Draft:
    """`session.usage`: what the session has used up to now, and its cap."""
    cost = budget.list_cost(state.cost, state.budget)
    shown = usage.on_wire(state.usage, state.active_at(now), cost)
    return Draft("session.usage", state.primary_id, {"usage": shown, "budget": state.budget})


def result(state: State, call: Call, text: str) -> Draft:
    """An error result that the platform gives instead of the tool."""
    key = "mcp_tool_use_id" if call.kind == "mcp" else "tool_use_id"
    kind = "agent.mcp_tool_result" if call.kind == "mcp" else "agent.tool_result"
    fields = {key: call.id, "content": [{"type": "text", "text": text}], "is_error": True}
    return Draft(kind, call.thread_id, fields, primary=call.thread_id == state.primary_id)


def denial(state: State, entry: OpenCall) -> Draft:
    """The result of a call that will not be run."""
    call = entry.call
    if entry.confirmed == "deny":
        text = entry.deny_message or "The user denied this tool call."
    elif call.kind == "mcp" or call.name in state.offered:
        text = f"Permission to use {call.name} has been denied."
    else:
        text = f"There is no tool named {call.name} here, or it is not enabled."
    return result(state, call, text)


def error(
    thread: Thread,
    kind: str,
    message: str,
    retry_status: str,
    private: Mapping[str, Any] | None = None,
) -> Draft:
    """`session.error`."""
    fields = {"error": {"type": kind, "message": message, "retry_status": {"type": retry_status}}}
    return Draft("session.error", thread.id, fields, private)


def rescheduled(
    state: State, thread: Thread, fault: RequestFault, retry_at: float
) -> tuple[Draft, ...]:
    """A model request failed and will be tried again."""
    told = error(
        thread,
        retry.error_type(fault.kind),
        fault.message,
        "retrying",
        {"retry_at": retry_at, "failures": thread.failures},
    )
    return (told, *awaiting_retry(state, thread))


def awaiting_retry(state: State, thread: Thread) -> tuple[Draft, ...]:
    """The thread waits for another attempt."""
    drafts: tuple[Draft, ...] = ()
    others = (other for other in state.threads.values() if other.id != thread.id)
    if not any(other.status == "running" for other in others):
        drafts += (Draft("session.status_rescheduled", state.primary_id),)
    return (*drafts, thread_event(thread, "rescheduled"))
