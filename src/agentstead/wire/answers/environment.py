"""Environments."""

from typing import Annotated, Literal

from pydantic import Field

from agentstead.wire.answers.answer import Answer, Bag, Time
from agentstead.wire.environment import SelfHosted, Unrestricted
from agentstead.wire.extension import EnvironmentExtension


class LimitedNetwork(Answer):
    """Listed hosts only."""

    type: Literal["limited"]
    allowed_hosts: list[str]
    allow_mcp_servers: bool
    allow_package_managers: bool


class PackageLists(Answer):
    """What is installed."""

    type: Literal["packages"]
    apt: list[str]
    cargo: list[str]
    gem: list[str]
    go: list[str]
    npm: list[str]
    pip: list[str]


class CloudConfig(Answer):
    """A sandbox of this platform."""

    type: Literal["cloud"]
    networking: Annotated[Unrestricted | LimitedNetwork, Field(discriminator="type")]
    packages: PackageLists


class Environment(Answer):
    """A recipe of a place to work."""

    id: str
    type: Literal["environment"]
    name: str
    description: str | None
    config: Annotated[CloudConfig | SelfHosted, Field(discriminator="type")]
    metadata: Bag
    scope: Literal["organization"]
    created_at: Time
    updated_at: Time
    archived_at: Time | None
    agentstead: EnvironmentExtension | None = None
    """Absent where nothing was set."""
