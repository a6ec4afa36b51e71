"""Sessions: what a client sends and what is answered.

Promises: an answer holds every field of the wire's Session; time that is still running (active
seconds, age) is counted up to the moment of the answer.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from agentstead.clock import rfc3339
from agentstead.wire.agent import McpServers, Model, Skills, System
from agentstead.wire.events.params import INITIAL_EVENTS_MAX, AnyParam
from agentstead.wire.extension import SessionExtension
from agentstead.wire.reference import AgentReference, Version
from agentstead.wire.resource import RESOURCES_MAX, AnyResource
from agentstead.wire.shape import Id, Metadata, MetadataPatch, OneOf, Shape, Shorthand, Title
from agentstead.wire.tool import Tools

STATUSES = ("idle", "running", "rescheduling", "terminated")


class AgentWithOverrides(Shape):
    """An agent with parts replaced for this session only."""

    type: Literal["agent_with_overrides"]
    id: Id
    version: Version | None = None
    model: Model | None = None
    system: System | None = None
    tools: Tools | None = None
    mcp_servers: McpServers | None = None
    skills: Skills | None = None


class Money(Shape):
    """Whole cents."""

    amount: Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,17}$")]
    currency: Literal["USD"]


class Budget(Shape):
    """A cap on the list cost."""

    type: Literal["limit"]
    max_list_cost: Money


class SessionCreate(Shape):
    """The body of a create."""

    agent: Annotated[Id | Annotated[AgentReference | AgentWithOverrides, OneOf()], Shorthand()]
    environment_id: Id
    title: Title | None = None
    metadata: Metadata | None = None
    resources: Annotated[list[AnyResource], Field(max_length=RESOURCES_MAX)] | None = None
    vault_ids: Annotated[list[Id], Field(max_length=100)] | None = None
    budget: Budget | None = None
    initial_events: Annotated[list[AnyParam], Field(max_length=INITIAL_EVENTS_MAX)] | None = None
    agentstead: SessionExtension | None = None


class AgentUpdate(Shape):
    """What of a session's agent can change: each a full replacement."""

    tools: Tools = []
    mcp_servers: McpServers = []


class SessionUpdate(Shape):
    """The body of an update: omitted keeps, null clears."""

    title: Title | None = None
    metadata: MetadataPatch | None = None
    agent: AgentUpdate | None = None
    budget: Budget | None = None
    vault_ids: list[Id] | None = None
    agentstead: SessionExtension | None = None


def extension(row: Any) -> dict[str, Any]:
    """What this platform adds, where it was set."""
    own = {"priority": row.priority or None, "stop_id": row.stopped_by}
    shown = {name: value for name, value in own.items() if value is not None}
    return {"agentstead": shown} if shown else {}


def usage(stored: Mapping[str, Any], active_seconds: float) -> dict[str, Any]:
    """Session usage as answered: zeros where nothing was used."""
    cache = stored.get("cache_creation") or {}
    tools = stored.get("server_tool_use") or {}
    answer = {
        "input_tokens": stored.get("input_tokens") or 0,
        "output_tokens": stored.get("output_tokens") or 0,
        "cache_read_input_tokens": stored.get("cache_read_input_tokens") or 0,
        "cache_creation": {
            "ephemeral_5m_input_tokens": cache.get("ephemeral_5m_input_tokens") or 0,
            "ephemeral_1h_input_tokens": cache.get("ephemeral_1h_input_tokens") or 0,
        },
        "server_tool_use": {
            "web_search_requests": tools.get("web_search_requests") or 0,
            "web_fetch_requests": tools.get("web_fetch_requests") or 0,
        },
        "active_seconds": active_seconds,
    }
    if stored.get("list_cost"):
        answer["list_cost"] = stored["list_cost"]
    return answer


def with_cost(row: Any) -> Mapping[str, Any]:
    """The stored usage; under a budget the cost is shown from the start."""
    if row.budget is None or row.list_cost != 0 or "list_cost" in row.usage:
        stored: Mapping[str, Any] = row.usage
        return stored
    return {**row.usage, "list_cost": {"amount": "0", "currency": "USD"}}


def seconds(value: float) -> float:
    """Seconds as answered: never negative, to the microsecond."""
    return round(max(0.0, value), 6)


def answer(row: Any, now: float) -> dict[str, Any]:
    """The wire's Session of a `SessionRow`."""
    ended = row.terminated_at if row.status == "terminated" else None
    active = float(row.stats.get("active_seconds") or 0.0)
    if row.active_since is not None and ended is None:
        active += now - row.active_since
    duration = (now if ended is None else ended) - row.created_at
    return {
        "id": row.id,
        "type": "session",
        "agent": row.agent,
        "environment_id": row.environment_id,
        "status": row.status,
        "title": row.title,
        "metadata": row.metadata,
        "resources": list(row.resources),
        "vault_ids": list(row.vault_ids),
        "budget": row.budget,
        "outcome_evaluations": [],
        "stats": {"active_seconds": seconds(active), "duration_seconds": seconds(duration)},
        "usage": usage(with_cost(row), seconds(active)),
        "deployment_id": None,
        "created_at": rfc3339(row.created_at),
        "updated_at": rfc3339(row.updated_at),
        "archived_at": None if row.archived_at is None else rfc3339(row.archived_at),
        **extension(row),
    }


def changed(before: Any, after: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `session.updated`: those of `after` that differ from the row `before`."""
    fields = {
        name: value
        for name, value in after.items()
        if value != getattr(before, name) and name != "priority"
    }
    if fields.get("metadata") == {}:
        del fields["metadata"]
    return fields
