"""The name of every event: who writes it, which are kept, which a list can be filtered by.

Promises: `PERSISTED` is exactly the set of types a session's list can hold, and the values that its
`types` filter takes; previews are never kept; `session.deleted` is the last frame of a stream.
"""

CLIENT = (
    "user.message",
    "user.interrupt",
    "user.tool_confirmation",
    "user.custom_tool_result",
    "user.tool_result",
    "user.define_outcome",
    "system.message",
)
"""What clients may send."""

AGENT = (
    "agent.message",
    "agent.thinking",
    "agent.tool_use",
    "agent.tool_result",
    "agent.mcp_tool_use",
    "agent.mcp_tool_result",
    "agent.custom_tool_use",
    "agent.thread_context_compacted",
    "agent.thread_message_sent",
    "agent.thread_message_received",
)

SESSION = (
    "session.status_running",
    "session.status_idle",
    "session.status_rescheduled",
    "session.status_terminated",
    "session.updated",
    "session.error",
    "session.usage",
    "session.thread_created",
    "session.thread_status_running",
    "session.thread_status_idle",
    "session.thread_status_rescheduled",
    "session.thread_status_terminated",
)

SPAN = (
    "span.model_request_start",
    "span.model_request_end",
    "span.outcome_evaluation_start",
    "span.outcome_evaluation_ongoing",
    "span.outcome_evaluation_end",
)

WORKFLOW = (
    "workflow_run.created",
    "workflow_run.status_running",
    "workflow_run.status_idle",
    "workflow_run.status_ended",
    "workflow_run.error",
    "workflow_run.phase_started",
    "workflow_run.phase_ended",
)

PERSISTED = frozenset((*CLIENT, *AGENT, *SESSION, *SPAN, *WORKFLOW))
"""What a list can hold and its `types` filter takes."""

DELETED = "session.deleted"
"""The last frame of a deleted session's streams; in no list."""

PREVIEWS = ("event_start", "event_delta")
"""Frames of an event in the making; never kept."""

PREVIEWED = frozenset(("agent.message", "agent.thinking"))
"""The events that can be previewed: the values of `event_deltas`."""

SETTLED_ON_RECEIPT = frozenset(
    ("user.custom_tool_result", "user.tool_result", "user.define_outcome")
)
"""Client events that carry a `processed_at` from the start."""
