"""The columns that repeat the log, from the folded state."""

from typing import Any

from agentstead.harness import budget, usage
from agentstead.harness.state import State
from agentstead.harness.thread import OpenCall, Thread
from agentstead.log.log import Ask, Derived, ThreadRow


def derive(state: State) -> Derived:
    """What the session's and its threads' rows say after `state`'s last event."""
    asks = [
        (entry.ordinal, ask_of(entry, thread.id))
        for thread in state.threads.values()
        for entry in thread.blocking
    ]
    return Derived(
        status=state.status,
        stop_reason=state.stop_reason,
        asks=tuple(ask for _, ask in sorted(asks, key=lambda pair: pair[0])),
        usage=usage.on_wire(
            state.usage,
            state.active_at(state.last_at),
            budget.list_cost(state.cost, state.budget),
        ),
        stats={"active_seconds": state.active_seconds},
        active_since=state.active_since,
        threads=tuple(thread_row(thread) for thread in state.threads.values()),
        list_cost=state.cost.measured,
    )


def ask_of(entry: OpenCall, thread_id: str) -> Ask:
    """How the client answers."""
    if entry.awaits_confirmation:
        return Ask(entry.call.id, "confirmation", thread_id, entry.call.by_client)
    return Ask(entry.call.id, "custom" if entry.call.kind == "custom" else "tool", thread_id)


def thread_row(thread: Thread) -> ThreadRow:
    """What `threads` shows; usage and stats are null until there are any."""
    stats: dict[str, Any] | None = None
    if thread.first_running_at is not None:
        stats = {
            "active_seconds": round(thread.active_seconds, 3),
            "active_since": thread.active_since,
            "startup_seconds": 0.0
            if thread.parent_id
            else round(max(thread.first_running_at - thread.created_at, 0.0), 3),
        }
    shown = None
    if thread.stop_reason is not None or thread.status == "terminated":
        cost = budget.list_cost(thread.cost, None)
        shown = usage.on_wire(thread.usage, thread.active_seconds, cost)
    return ThreadRow(thread.id, thread.status, shown, stats)
