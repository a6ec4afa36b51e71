"""Agents: what a client sends, what is stored as one version, what is answered.

Promises: a stored snapshot holds every field of the wire's Agent except those of the row (id,
version, times), already resolved; nothing is resolved again when it is read.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints

from agentstead.wire.multiagent import Multiagent
from agentstead.wire.reference import ModelName
from agentstead.wire.shape import (
    Description,
    Id,
    Metadata,
    MetadataPatch,
    Name,
    OneOf,
    Shape,
    Shorthand,
    Text,
)
from agentstead.wire.tool import Tools, resolve

SERVERS_MAX = 20
SKILLS_MAX = 500
SYSTEM_MAX = 100_000

Level = Literal["low", "medium", "high", "xhigh", "max"]


class Effort(Shape):
    """How hard the model works."""

    type: Level


class ModelConfig(Shape):
    """A model and how it is used."""

    id: ModelName
    effort: Annotated[Level | Effort, Shorthand()] | None = None
    speed: Literal["standard", "fast"] | None = None
    inference_geo: Annotated[Text, StringConstraints(min_length=1, max_length=64)] | None = None

    @property
    def level(self) -> str | None:
        """The effort as a word."""
        return self.effort.type if isinstance(self.effort, Effort) else self.effort


Model = Annotated[ModelName | ModelConfig, Shorthand()]


def model_config(model: str | ModelConfig) -> ModelConfig:
    """The object form of a model."""
    return ModelConfig.model_validate({"id": model}) if isinstance(model, str) else model


CONNECTOR = re.compile(r"connector://[a-z][a-z0-9_]{0,31}")
"""The address of a connector of the agent's workspace."""


def _endpoint(url: str) -> str:
    if CONNECTOR.fullmatch(url):
        return url
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        raise ValueError("Not a valid URL") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError("Must be an http or https URL, or connector:// with a connector's name")
    if parts.username or parts.password:
        raise ValueError("Credentials do not belong into the URL; use a vault")
    return url


ServerUrl = Annotated[Text, StringConstraints(max_length=2048), AfterValidator(_endpoint)]
"""Where a server answers over HTTP; no credentials in it."""


class McpServer(Shape):
    """A server of tools."""

    type: Literal["url"]
    name: Annotated[Text, StringConstraints(min_length=1, max_length=255)]
    url: ServerUrl


McpServers = Annotated[list[McpServer], Field(max_length=SERVERS_MAX)]


class AnthropicSkill(Shape):
    """A skill that comes with the platform."""

    type: Literal["anthropic"]
    skill_id: Id
    version: Id | None = None


class CustomSkill(Shape):
    """A skill that was uploaded."""

    type: Literal["custom"]
    skill_id: Id
    version: Id | None = None


Skill = AnthropicSkill | CustomSkill
Skills = Annotated[list[Annotated[Skill, OneOf()]], Field(max_length=SKILLS_MAX)]


class ServiceAccount(Shape):
    """Runs act as the platform."""

    type: Literal["service_account"]


class AwsRole(Shape):
    """Runs act as a role of a cloud account."""

    type: Literal["aws_role"]
    role_arn: Annotated[Text, StringConstraints(min_length=1, max_length=2048)]


Identity = Annotated[ServiceAccount | AwsRole, OneOf()]
SERVICE_ACCOUNT = {"type": "service_account"}

System = Annotated[Text, StringConstraints(max_length=SYSTEM_MAX)]


class AgentCreate(Shape):
    """The body of a create."""

    model: Model
    name: Name
    description: Description | None = None
    system: System | None = None
    tools: Tools | None = None
    mcp_servers: McpServers | None = None
    skills: Skills | None = None
    multiagent: Multiagent | None = None
    execution_identity: Identity | None = None
    metadata: Metadata | None = None


class AgentUpdate(Shape):
    """The body of an update: omitted keeps, null clears."""

    version: Annotated[int, Field(ge=1)] | None = None
    model: Model = ""
    name: Name = ""
    description: Description | None = None
    system: System | None = None
    tools: Tools | None = None
    mcp_servers: McpServers | None = None
    skills: Skills | None = None
    multiagent: Multiagent | None = None
    execution_identity: Identity | None = None
    metadata: MetadataPatch | None = None


def servers(given: Sequence[McpServer] | None) -> list[dict[str, Any]]:
    """MCP servers as stored and answered."""
    return [{"type": "url", "name": one.name, "url": one.url} for one in given or ()]


def host(url: str) -> str | None:
    """The host of a server's URL; None: a connector, which no sandbox's network has to do with."""
    return None if CONNECTOR.fullmatch(url) else (urlsplit(url).hostname or "").lower()


def tools(given: Sequence[Any] | None) -> list[dict[str, Any]]:
    """Tools as stored and answered."""
    return resolve(given or ())


def answer(row: Mapping[str, Any]) -> dict[str, Any]:
    """The wire's Agent of a row: `body` is the snapshot of its version."""
    body = row["body"]
    return {
        "id": row["id"],
        "type": "agent",
        "version": row["version"],
        "name": body["name"],
        "description": body["description"],
        "model": body["model"],
        "system": body["system"],
        "tools": body["tools"],
        "mcp_servers": body["mcp_servers"],
        "skills": body["skills"],
        "multiagent": body["multiagent"],
        "execution_identity": body["execution_identity"],
        "metadata": body["metadata"],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
        "archived_at": row["archived_at"],
    }


def session_agent(agent: Mapping[str, Any]) -> dict[str, Any]:
    """The snapshot of an Agent as a session carries it."""
    left_out = ("metadata", "created_at", "updated_at", "archived_at")
    return {name: value for name, value in agent.items() if name not in left_out}
