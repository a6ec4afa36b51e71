"""Events of a session as they are listed and streamed.

Only what this server writes is described; a type that comes later brings its shape with it.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from agentstead.wire.answers.agent import SessionAgent
from agentstead.wire.answers.answer import Answer, Bag, Page, Time
from agentstead.wire.content import (
    DocumentBlock,
    ImageBlock,
    SearchResultBlock,
    TextBlock,
)

Status = Literal["idle", "running", "rescheduling", "terminated"]
Block = Annotated[
    TextBlock | ImageBlock | DocumentBlock | SearchResultBlock, Field(discriminator="type")
]


class Cents(Answer):
    """Money, in whole cents."""

    amount: str
    currency: Literal["USD"]


class BudgetOf(Answer):
    """A cap on the list cost."""

    type: Literal["limit"]
    max_list_cost: Cents


class CacheCreation(Answer):
    """Tokens written to the prompt cache."""

    ephemeral_5m_input_tokens: int
    ephemeral_1h_input_tokens: int


class ServerToolUse(Answer):
    """Requests of the platform's web tools."""

    web_search_requests: int
    web_fetch_requests: int


class Usage(Answer):
    """What a session or a thread has used."""

    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int
    cache_creation: CacheCreation
    server_tool_use: ServerToolUse
    active_seconds: float
    list_cost: Cents | None = None
    """Absent where no model has a list price."""


class EndTurn(Answer):
    """The turn ended, or was interrupted."""

    type: Literal["end_turn"]


class RequiresAction(Answer):
    """The client must answer each of these events."""

    type: Literal["requires_action"]
    event_ids: list[str]


class RetriesExhausted(Answer):
    """An error ended the turn."""

    type: Literal["retries_exhausted"]


class BudgetReached(Answer):
    """The cap was hit."""

    type: Literal["budget_reached"]


class Refused(Answer):
    """The model refused."""

    type: Literal["refusal"]


StopReason = Annotated[
    EndTurn | RequiresAction | RetriesExhausted | BudgetReached | Refused,
    Field(discriminator="type"),
]


class RefusalDetails(Answer):
    """Why the model refused."""

    type: Literal["refusal"]
    category: str | None
    explanation: str | None


class Kept(Answer):
    """What every event of the log has."""

    id: str
    processed_at: Time


class Sent(Answer):
    """What every event of a client has; no `processed_at` while it is queued."""

    id: str
    processed_at: Time | None


class UserMessageEvent(Sent):
    """Something said to the agent."""

    type: Literal["user.message"]
    content: list[Block]


class SystemMessageEvent(Sent):
    """Privileged context."""

    type: Literal["system.message"]
    content: list[TextBlock]


class UserInterruptEvent(Sent):
    """Stop what is being done."""

    type: Literal["user.interrupt"]
    session_thread_id: str | None


class UserToolConfirmationEvent(Sent):
    """The answer to an `ask`."""

    type: Literal["user.tool_confirmation"]
    tool_use_id: str
    result: Literal["allow", "deny"]
    deny_message: str | None
    session_thread_id: str | None


class UserCustomToolResultEvent(Sent):
    """The result of a tool that the client ran."""

    type: Literal["user.custom_tool_result"]
    custom_tool_use_id: str
    content: list[Block]
    is_error: bool | None
    session_thread_id: str | None


class UserToolResultEvent(Sent):
    """The result of a tool that a self-hosted worker ran."""

    type: Literal["user.tool_result"]
    tool_use_id: str
    content: list[Block]
    is_error: bool | None
    session_thread_id: str | None


class AgentMessageEvent(Kept):
    """Text of the model."""

    type: Literal["agent.message"]
    content: list[TextBlock]


class AgentThinkingEvent(Kept):
    """The model thought; what it thought is not shown."""

    type: Literal["agent.thinking"]


class Evaluation(Answer):
    """How a call was judged."""

    type: Literal["always_allow", "always_ask", "auto"]
    evaluated_permission: dict[str, str] | None = None
    """Of `auto` only."""


class AgentToolUseEvent(Kept):
    """A call of one of the platform's tools."""

    type: Literal["agent.tool_use"]
    name: str
    input: dict[str, Any]
    evaluated_permission: Literal["allow", "ask", "deny"]
    evaluation: Evaluation | None = None
    """Absent when there is no such tool, or it is not enabled."""
    session_thread_id: str | None


class AgentToolResultEvent(Kept):
    """What came of it."""

    type: Literal["agent.tool_result"]
    tool_use_id: str
    content: list[Block]
    is_error: bool


class AgentMcpToolUseEvent(Kept):
    """A call of a tool of an MCP server."""

    type: Literal["agent.mcp_tool_use"]
    name: str
    mcp_server_name: str
    input: dict[str, Any]
    evaluated_permission: Literal["allow", "ask", "deny"]
    evaluation: Evaluation | None = None
    session_thread_id: str | None


class AgentMcpToolResultEvent(Kept):
    """What came of it."""

    type: Literal["agent.mcp_tool_result"]
    mcp_tool_use_id: str
    content: list[Block]
    is_error: bool


class AgentCustomToolUseEvent(Kept):
    """A call of a tool that the client runs."""

    type: Literal["agent.custom_tool_use"]
    name: str
    input: dict[str, Any]
    session_thread_id: str | None


class StatusEvent(Kept):
    """The session's status changed."""

    type: Literal[
        "session.status_running", "session.status_rescheduled", "session.status_terminated"
    ]


class StatusIdleEvent(Kept):
    """The session rests."""

    type: Literal["session.status_idle"]
    stop_reason: StopReason
    stop_details: RefusalDetails | None


class ThreadStatusEvent(Kept):
    """A thread's status changed."""

    type: Literal[
        "session.thread_status_running",
        "session.thread_status_rescheduled",
        "session.thread_status_terminated",
    ]
    session_thread_id: str
    agent_name: str


class ThreadStatusIdleEvent(Kept):
    """A thread rests."""

    type: Literal["session.thread_status_idle"]
    session_thread_id: str
    agent_name: str
    stop_reason: StopReason
    stop_details: RefusalDetails | None


class SessionUsageEvent(Kept):
    """What the session has used so far."""

    type: Literal["session.usage"]
    usage: Usage
    budget: BudgetOf | None


class SessionUpdatedEvent(Kept):
    """The session was changed; only what changed is in it."""

    type: Literal["session.updated"]
    title: str | None = None
    metadata: Bag | None = None
    agent: SessionAgent | None = None
    budget: BudgetOf | None = None


class RetryStatus(Answer):
    """What happens next."""

    type: Literal["retrying", "exhausted", "terminal"]


class Problem(Answer):
    """An error of a session; which one is its type."""

    type: str
    message: str
    retry_status: RetryStatus
    mcp_server_name: str | None = None
    """Of `mcp_*` errors."""


class SessionErrorEvent(Kept):
    """Something failed."""

    type: Literal["session.error"]
    error: Problem


class ModelRequestStartEvent(Kept):
    """A model request begins."""

    type: Literal["span.model_request_start"]


class RequestUsage(Answer):
    """Tokens of one model request."""

    input_tokens: int
    output_tokens: int
    cache_creation_input_tokens: int
    cache_read_input_tokens: int
    speed: Literal["standard", "fast"] | None = None


class ModelRequestEndEvent(Kept):
    """It ended."""

    type: Literal["span.model_request_end"]
    model_request_start_id: str
    is_error: bool | None
    model_usage: RequestUsage


Event = Annotated[
    UserMessageEvent
    | SystemMessageEvent
    | UserInterruptEvent
    | UserToolConfirmationEvent
    | UserCustomToolResultEvent
    | UserToolResultEvent
    | AgentMessageEvent
    | AgentThinkingEvent
    | AgentToolUseEvent
    | AgentToolResultEvent
    | AgentMcpToolUseEvent
    | AgentMcpToolResultEvent
    | AgentCustomToolUseEvent
    | StatusEvent
    | StatusIdleEvent
    | ThreadStatusEvent
    | ThreadStatusIdleEvent
    | SessionUsageEvent
    | SessionUpdatedEvent
    | SessionErrorEvent
    | ModelRequestStartEvent
    | ModelRequestEndEvent,
    Field(discriminator="type"),
]


class SentEvents(Answer):
    """What became of the events of a send, in its order."""

    data: list[Event]


class EventPage(Page[Event]):
    """A page of events."""
