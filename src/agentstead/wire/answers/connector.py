"""Connectors; no secret is ever in an answer."""

from typing import Any, Literal

from agentstead.wire.answers.answer import Answer, Bag, Time


class RateLimit(Answer):
    """How often it may be called."""

    requests: int
    per_seconds: float


class ConnectorTool(Answer):
    """One tool of a connector, as models are offered it."""

    name: str
    description: str
    input_schema: dict[str, Any]
    effect: Literal["read", "write", "delete", "send"]


class Connector(Answer):
    """A declared tool."""

    id: str
    type: Literal["connector"]
    name: str
    version: int
    description: str | None
    url: str
    """As an agent's `mcp_servers` name it."""
    config: dict[str, Any]
    permissions: dict[str, bool]
    rate_limit: RateLimit | None
    session_rate_limit: RateLimit | None
    timeout_seconds: float
    retries_max: int
    tools: list[ConnectorTool]
    metadata: Bag
    created_at: Time
    updated_at: Time
    archived_at: Time | None


class ConnectorTest(Answer):
    """Whether a connector's target answers."""

    type: Literal["connector_test"]
    connector_id: str
    ok: bool
    kind: str | None
    """Of the fault, e.g. `unreachable` or `auth`."""
    message: str | None
    seconds: float
