"""Tools of MCP servers: which of them a model is offered, under which names, and who decides on a call.

A name that a model sees is unique and fits every provider. It depends on the server's and the tool's
name alone, so that it stays the same from turn to turn; agents cannot give it to a tool of their own
(`mcp__` is reserved). A request stays valid whatever a server calls its tools or says of their input.
"""

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Json = Mapping[str, Any]
TOOLSET = "mcp_toolset"
CONNECTOR = "connector://"  # its tools carry its name already, and fit
PREFIX = "mcp__"
NAME_CHARACTERS_MAX = 64
MARK_CHARACTERS = 10
SERVER_CHARACTERS_MAX = 20
"""Of a server's name where the whole does not fit; the tool's name tells more."""
TOOLS_MAX = 256
"""Of all kinds, in one request."""
DESCRIPTION_CHARACTERS_MAX = 16_000
SCHEMA_CHARACTERS_MAX = 64_000

PLAIN = re.compile(r"[A-Za-z0-9_-]+")
PROPERTY = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class ServerTool:
    """One tool of one server, as its server lists it."""

    server: str
    name: str
    description: str
    input_schema: Mapping[str, Any]
    repeatable: bool = False
    """Marked `readOnlyHint` or `idempotentHint`: calling it again does no harm."""
    url: str = ""
    """Of the server that listed it."""


@dataclass(frozen=True, slots=True)
class Offer:
    """The tools of servers in one model request."""

    known: Mapping[str, ServerTool] = field(default_factory=dict)
    """By the name the model sees; also those that the agent has not enabled."""
    definitions: tuple[Mapping[str, Any], ...] = ()
    left_out: tuple[str, ...] = ()
    """Enabled, but more than fit into a request."""


NO_OFFER = Offer()


def offer(tools: Sequence[Json], listed: Sequence[ServerTool], others: Collection[str]) -> Offer:
    """What a model is offered of the tools that servers list, beside `others` of other kinds, by name."""
    known: dict[str, ServerTool] = {}
    definitions: list[Mapping[str, Any]] = []
    left_out: list[str] = []
    for tool in listed:
        name = shown_name(tool, others, known)
        if name in known:  # listed twice, or made to look like another
            continue
        known[name] = tool
        if policy(tools, tool.server, tool.name) is None:
            continue
        if len(others) + len(definitions) < TOOLS_MAX:
            definitions.append(definition(name, tool))
        else:
            left_out.append(name)
    return Offer(known, tuple(definitions), tuple(left_out))


def policy(tools: Sequence[Mapping[str, Any]], server: str, name: str) -> Mapping[str, Any] | None:
    """The permission policy of a server's tool; None when the agent has not enabled it."""
    for toolset in tools:
        if toolset["type"] == TOOLSET and toolset["mcp_server_name"] == server:
            default = toolset["default_config"]
            config = next((one for one in toolset["configs"] if one["name"] == name), default)
            return config["permission_policy"] if config["enabled"] else None
    return None


def shown_name(tool: ServerTool, others: Collection[str], known: Collection[str]) -> str:
    """The name under which a model sees a tool: a connector's own, where it is free."""
    own = tool.url.startswith(CONNECTOR) and tool.name not in others and tool.name not in known
    return tool.name if own else model_name(tool.server, tool.name)


def model_name(server: str, tool: str) -> str:
    """The name under which a model sees a server's tool: `mcp__server__tool`, marked where that is not enough.

    Without a mark it can be taken apart in one way only: the server's name holds no `__`.
    """
    whole = f"{PREFIX}{server}__{tool}"
    clear = PLAIN.fullmatch(server + tool) and "__" not in server and not server.endswith("_")
    if clear and server and tool and len(whole) <= NAME_CHARACTERS_MAX:
        return whole
    mark = hashlib.sha256(f"{server}\0{tool}".encode()).hexdigest()[:MARK_CHARACTERS]
    head = f"{PREFIX}{cleaned(server)[:SERVER_CHARACTERS_MAX]}__{cleaned(tool)}"
    return f"{head[: NAME_CHARACTERS_MAX - MARK_CHARACTERS - 1]}_{mark}"


def cleaned(name: str) -> str:
    """Only characters that every provider takes."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name)


def definition(name: str, tool: ServerTool) -> Mapping[str, Any]:
    """The tool as a request holds it; an input schema that providers refuse goes into the words."""
    words = tool.description.strip() or f"{tool.name} of the server {tool.server}."
    schema: Json = tool.input_schema
    if not acceptable(schema):
        said = json.dumps(schema)
        words = f"{words[:DESCRIPTION_CHARACTERS_MAX]}\n\nIts input, as a JSON Schema: {said}"
        schema = {"type": "object"}
    return {
        "name": name,
        "description": words[:DESCRIPTION_CHARACTERS_MAX],
        "input_schema": schema,
    }


def acceptable(schema: Json) -> bool:
    """Whether providers take this as the input schema of a tool."""
    properties = schema.get("properties", {})
    return (
        schema.get("type") == "object"
        and not {"oneOf", "anyOf", "allOf"} & schema.keys()
        and isinstance(properties, Mapping)
        and all(PROPERTY.fullmatch(name) for name in properties)
        and len(json.dumps(schema)) <= SCHEMA_CHARACTERS_MAX
    )
