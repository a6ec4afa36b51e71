"""Agents, their tools, and the models they run on."""

from typing import Annotated, Any, Literal

from pydantic import Field

from agentstead.wire.agent import Identity, McpServer
from agentstead.wire.answers.answer import Answer, Bag, Time


class Level(Answer):
    """An effort."""

    type: Literal["low", "medium", "high", "xhigh", "max"]


class ModelSettings(Answer):
    """A model and how it is used."""

    id: str
    effort: Level
    speed: Literal["standard", "fast"]
    inference_geo: str | None


class PolicyOf(Answer):
    """When a tool may run."""

    type: Literal["always_allow", "always_ask", "auto"]


class ToolDefaults(Answer):
    """What holds for the tools of a set without an entry of their own."""

    enabled: bool
    permission_policy: PolicyOf


class ToolEntry(ToolDefaults):
    """The entry of one of the platform's tools."""

    type: Literal["bash", "read", "write", "edit", "glob", "grep"]
    name: Literal["bash", "read", "write", "edit", "glob", "grep"]


class WebFetchEntry(ToolDefaults):
    """The entry of `web_fetch`."""

    type: Literal["web_fetch"]
    name: Literal["web_fetch"]
    allowed_domains: list[str] | None
    blocked_domains: list[str] | None
    max_content_tokens: int | None
    url_sources: dict[str, Any] | None


class WebSearchEntry(ToolDefaults):
    """The entry of `web_search`."""

    type: Literal["web_search"]
    name: Literal["web_search"]
    allowed_domains: list[str] | None
    blocked_domains: list[str] | None
    user_location: dict[str, Any] | None


class Toolset(Answer):
    """The platform's own tools."""

    type: Literal["agent_toolset_20260401"]
    default_config: ToolDefaults
    configs: list[ToolEntry | WebFetchEntry | WebSearchEntry]


class McpEntry(ToolDefaults):
    """The entry of one tool of a server."""

    name: str


class McpTools(Answer):
    """The tools of one MCP server."""

    type: Literal["mcp_toolset"]
    mcp_server_name: str
    default_config: ToolDefaults
    configs: list[McpEntry]


class ClientTool(Answer):
    """A tool that the client runs."""

    type: Literal["custom"]
    name: str
    description: str
    input_schema: dict[str, Any]


Tool = Annotated[Toolset | McpTools | ClientTool, Field(discriminator="type")]


class SkillOf(Answer):
    """A skill at a version."""

    type: Literal["anthropic", "custom"]
    skill_id: str
    version: str


class PinnedAgent(Answer):
    """An agent of a roster."""

    type: Literal["agent"]
    id: str
    version: int


class AdvisorOf(Answer):
    """The advisor of a roster."""

    type: Literal["advisor"]
    model: str


class CoordinatorOf(Answer):
    """One agent that hands work to others."""

    type: Literal["coordinator"]
    agents: list[Annotated[PinnedAgent | AdvisorOf, Field(discriminator="type")]]


class Switch(Answer):
    """On or off."""

    type: Literal["enabled", "disabled"]


class Off(Answer):
    """Off."""

    type: Literal["disabled"]


class DelegatesOf(Answer):
    """Saved agents, and agents made up on the way."""

    type: Literal["enabled"]
    inline_agents: Switch
    predefined_agents: list[PinnedAgent]


class AdvisorOn(Answer):
    """A model that may be asked for advice."""

    type: Literal["enabled"]
    model: str


class MembersOf(Answer):
    """Three members, each on or off by itself."""

    type: Literal["multiagent_20261001"]
    subagents: Annotated[DelegatesOf | Off, Field(discriminator="type")]
    workflows: Annotated[DelegatesOf | Off, Field(discriminator="type")]
    advisor: Annotated[AdvisorOn | Off, Field(discriminator="type")]


class ThreadAgent(Answer):
    """An agent as a thread runs it."""

    id: str
    type: Literal["agent"]
    version: int
    name: str
    description: str | None
    model: ModelSettings
    system: str | None
    tools: list[Tool]
    mcp_servers: list[McpServer]
    skills: list[SkillOf]
    execution_identity: Identity


class SessionAgent(ThreadAgent):
    """An agent as a session runs it."""

    multiagent: Annotated[CoordinatorOf | MembersOf, Field(discriminator="type")] | None


class Agent(SessionAgent):
    """An agent at a version."""

    metadata: Bag
    created_at: Time
    updated_at: Time
    archived_at: Time | None


class Model(Answer):
    """A model of the catalogue."""

    type: Literal["model"]
    id: str
    display_name: str
    created_at: Time
    lifecycle: Literal["active", "deprecated", "retired"]
    deprecated_at: Time | None
    retires_at: Time | None
    line: str | None
    max_input_tokens: int
    max_tokens: int
    capabilities: dict[str, Any]
    allowed_fallback_models: list[str] | None


class ModelPage(Answer):
    """A page of models."""

    data: list[Model]
    has_more: bool
    first_id: str | None
    last_id: str | None
