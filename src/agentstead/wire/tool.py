"""Tools of an agent: the agent toolset, MCP toolsets and custom tools, as sent and as resolved.

Promises: what is sent is validated to the letter; `resolve` fills every default, so that a response
carries `type`, `name`, `enabled` and `permission_policy` on each entry. Rules that reach over
several tools (names, servers) are in `check_tools`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints, field_validator

from agentstead.errors import Invalid
from agentstead.wire.shape import OneOf, Shape, Text, canonical
from agentstead.wire.web_tool import WebFetchConfig, WebSearchConfig

TOOLS_MAX = 256
BUILTIN = ("bash", "read", "write", "edit", "glob", "grep", "web_fetch", "web_search")
"""The tools of the agent toolset."""

ALWAYS_ALLOW = {"type": "always_allow"}
ALWAYS_ASK = {"type": "always_ask"}


class Policy(Shape):
    """When a tool may run."""

    type: Literal["always_allow", "always_ask", "auto"]


class DefaultConfig(Shape):
    """What holds for the tools of a set that have no entry of their own."""

    enabled: bool | None = None
    permission_policy: Policy | None = None


class BashConfig(DefaultConfig):
    """The entry of `bash`."""

    name: Literal["bash"]
    type: Literal["bash"] | None = None


class ReadConfig(DefaultConfig):
    """The entry of `read`."""

    name: Literal["read"]
    type: Literal["read"] | None = None


class WriteConfig(DefaultConfig):
    """The entry of `write`."""

    name: Literal["write"]
    type: Literal["write"] | None = None


class EditConfig(DefaultConfig):
    """The entry of `edit`."""

    name: Literal["edit"]
    type: Literal["edit"] | None = None


class GlobConfig(DefaultConfig):
    """The entry of `glob`."""

    name: Literal["glob"]
    type: Literal["glob"] | None = None


class GrepConfig(DefaultConfig):
    """The entry of `grep`."""

    name: Literal["grep"]
    type: Literal["grep"] | None = None


class FetchConfig(WebFetchConfig, DefaultConfig):
    """The entry of `web_fetch`."""

    name: Literal["web_fetch"]
    type: Literal["web_fetch"] | None = None


class SearchConfig(WebSearchConfig, DefaultConfig):
    """The entry of `web_search`."""

    name: Literal["web_search"]
    type: Literal["web_search"] | None = None


AnyConfig = Annotated[
    BashConfig
    | ReadConfig
    | WriteConfig
    | EditConfig
    | GlobConfig
    | GrepConfig
    | FetchConfig
    | SearchConfig,
    OneOf("name"),
]


class AgentToolset(Shape):
    """The platform's own tools."""

    type: Literal["agent_toolset_20260401"]
    default_config: DefaultConfig | None = None
    configs: Annotated[list[AnyConfig], Field(max_length=TOOLS_MAX)] = []


class McpToolConfig(DefaultConfig):
    """The entry of one tool of a server."""

    name: Annotated[Text, StringConstraints(min_length=1, max_length=128)]


class McpToolset(Shape):
    """The tools of one MCP server of the agent."""

    type: Literal["mcp_toolset"]
    mcp_server_name: Annotated[Text, StringConstraints(min_length=1, max_length=255)]
    default_config: DefaultConfig | None = None
    configs: Annotated[list[McpToolConfig], Field(max_length=TOOLS_MAX)] = []


REFERENCES = frozenset(("$ref", "$dynamicRef", "$recursiveRef"))
PROPERTY = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def _tool_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,128}", name):
        raise ValueError("A name has 1 to 128 letters, digits, underscores and hyphens")
    if name in BUILTIN:
        raise ValueError(f'"{name}" is the name of a built-in tool')
    for reserved in ("mcp__", "ant__"):
        if name.startswith(reserved):
            raise ValueError(f'Names that begin with "{reserved}" are reserved')
    return name


def _walk(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, dict):
        yield value
        for part in value.values():
            yield from _walk(part)
    elif isinstance(value, list):
        for part in value:
            yield from _walk(part)


def _schema(schema: dict[str, Any]) -> dict[str, Any]:
    if schema.get("type") != "object":
        raise ValueError('The type of an input schema must be "object"')
    for keyword in ("oneOf", "anyOf", "allOf"):
        if keyword in schema:
            raise ValueError(f"{keyword} is not allowed at the top of an input schema")
    for part in _walk(schema):
        if found := REFERENCES & part.keys():
            raise ValueError(f"{min(found)} is not allowed in an input schema")
    properties = schema.get("properties")
    if properties is not None and not isinstance(properties, dict):
        raise ValueError("properties must be an object")
    for name in properties or {}:
        if not PROPERTY.fullmatch(name):
            raise ValueError(
                f'Property "{name}" must have 1 to 64 letters, digits, underscores, dots and hyphens'
            )
    required = schema.get("required")
    if required is not None and not (
        isinstance(required, list) and all(isinstance(name, str) for name in required)
    ):
        raise ValueError("required must be a list of strings")
    _storable(schema)
    return schema


def _storable(schema: Any) -> None:
    try:
        canonical(schema)
    except ValueError:
        raise ValueError("Numbers must be finite") from None


class CustomTool(Shape):
    """A tool that the client runs."""

    type: Literal["custom"]
    name: Annotated[str, AfterValidator(_tool_name)]
    description: Annotated[Text, StringConstraints(min_length=1, max_length=100_000)]
    input_schema: Annotated[dict[str, Any], AfterValidator(_schema)]

    @field_validator("description")
    @classmethod
    def says_something(cls, text: str) -> str:
        """The model chooses by it."""
        if not text.strip():
            raise ValueError("Must not be blank")
        return text


Tool = AgentToolset | McpToolset | CustomTool
AnyTool = Annotated[Tool, OneOf()]
Tools = Annotated[list[AnyTool], Field(max_length=TOOLS_MAX)]


def resolve(tools: Iterable[Tool]) -> list[dict[str, Any]]:
    """Tools as they are stored and answered: every default filled in."""
    return [_resolved(tool) for tool in tools]


def _resolved(tool: Tool) -> dict[str, Any]:
    if isinstance(tool, CustomTool):
        return {
            "type": tool.type,
            "name": tool.name,
            "description": tool.description,
            "input_schema": tool.input_schema,
        }
    policy = ALWAYS_ALLOW if isinstance(tool, AgentToolset) else ALWAYS_ASK
    default = _entry(
        tool.default_config or DefaultConfig(), {"enabled": True, "permission_policy": policy}
    )
    head: dict[str, Any] = {"type": tool.type}
    if isinstance(tool, McpToolset):
        head["mcp_server_name"] = tool.mcp_server_name
        configs = [{"name": config.name, **_entry(config, default)} for config in tool.configs]
    else:
        configs = [
            {"type": config.name, "name": config.name, **_entry(config, default), **_web(config)}
            for config in tool.configs
        ]
    return {**head, "default_config": default, "configs": configs}


def _entry(config: DefaultConfig, default: Mapping[str, Any]) -> dict[str, Any]:
    policy = config.permission_policy
    return {
        "enabled": default["enabled"] if config.enabled is None else config.enabled,
        "permission_policy": {"type": policy.type}
        if policy
        else dict(default["permission_policy"]),
    }


def _web(config: Any) -> dict[str, Any]:
    return config.settings() if isinstance(config, WebFetchConfig | WebSearchConfig) else {}


def check_tools(
    tools: Sequence[Mapping[str, Any]],
    servers: Sequence[Mapping[str, Any]],
    skills: Sequence[Mapping[str, Any]] = (),
) -> None:
    """The rules over several tools, on resolved ones; Invalid names the first at fault."""
    _check_custom(tools)
    toolset = [
        place for place, tool in enumerate(tools) if tool["type"] == "agent_toolset_20260401"
    ]
    if len(toolset) > 1:
        raise Invalid(f"tools.{toolset[1]}: There can be only one agent toolset.")
    for place, tool in enumerate(tools):
        _check_configs(place, tool)
    _check_servers(tools, servers)
    if sum(_count(tool) for tool in tools) > TOOLS_MAX:
        raise Invalid(f"tools: At most {TOOLS_MAX} tools are allowed over all toolsets.")
    if skills and not reads(tools):
        raise Invalid("skills: Skills need the read tool, which is not enabled in tools.")


def _check_custom(tools: Sequence[Mapping[str, Any]]) -> None:
    seen = set()
    for place, tool in enumerate(tools):
        if tool["type"] == "custom":
            if tool["name"] in seen:
                raise Invalid(f'tools.{place}.name: "{tool["name"]}" is used twice.')
            seen.add(tool["name"])


def _check_configs(place: int, tool: Mapping[str, Any]) -> None:
    seen = set()
    for at, config in enumerate(tool.get("configs", ())):
        if config["name"] in seen:
            raise Invalid(
                f'tools.{place}.configs.{at}.name: "{config["name"]}" is configured twice.'
            )
        seen.add(config["name"])


def _check_servers(
    tools: Sequence[Mapping[str, Any]], servers: Sequence[Mapping[str, Any]]
) -> None:
    declared = [server["name"] for server in servers]
    for place, name in enumerate(declared):
        if name in declared[:place]:
            raise Invalid(f'mcp_servers.{place}.name: "{name}" is used twice.')
    used = set()
    for place, tool in enumerate(tools):
        if tool["type"] != "mcp_toolset":
            continue
        name = tool["mcp_server_name"]
        if name not in declared:
            raise Invalid(
                f'tools.{place}.mcp_server_name: "{name}" is not declared in mcp_servers.'
            )
        if name in used:
            raise Invalid(f'tools.{place}.mcp_server_name: "{name}" has two toolsets.')
        used.add(name)
    for place, name in enumerate(declared):
        if name not in used:
            raise Invalid(f'mcp_servers.{place}.name: No mcp_toolset in tools refers to "{name}".')


def _count(tool: Mapping[str, Any]) -> int:
    if tool["type"] == "agent_toolset_20260401":
        return len(BUILTIN)
    return max(1, len(tool.get("configs", ())))


def reads(tools: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the `read` tool is enabled."""
    for tool in tools:
        if tool["type"] == "agent_toolset_20260401":
            enabled = tool["default_config"]["enabled"]
            for config in tool["configs"]:
                if config["name"] == "read":
                    enabled = config["enabled"]
            return bool(enabled)
    return False
