"""The contract of a connector: which tools it has, how one is called, how it is tried out.

A kind of connector is one file: the shape of its settings, what of them is secret, and how it is
opened. Everything that all kinds share is not in it: permissions, rates, time limits, retries and the
breaker are `guard.py`'s; addresses are `targets.py`'s.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from agentstead.clock import Clock
from agentstead.harness.servers import CONNECTOR
from agentstead.sandbox.sandbox import Outcome
from agentstead.tools.connectors.targets import Targets
from agentstead.tools.tool import Effect
from agentstead.wire.shape import Shape

SCHEME = CONNECTOR
"""Begins the address by which agents name a connector of their workspace."""
OUTPUT_CHARACTERS_MAX = 100_000
"""Of what a model is told of one call."""


@dataclass(frozen=True, slots=True)
class ConnectorTool:
    """One tool of a connector."""

    name: str
    """As the model sees it: begins with the connector's name."""
    description: str
    input_schema: Mapping[str, Any]
    effect: Effect
    keyed: bool = False
    """The target does what it is asked once per key, however often it is asked."""

    @property
    def repeatable(self) -> bool:
        """Whether calling it again does no harm."""
        return self.keyed or self.effect is Effect.READ


@dataclass(frozen=True, slots=True)
class ConnectorCall:
    """One call of a tool."""

    tool: ConnectorTool
    input: Mapping[str, Any]
    key: str
    """Stable over every attempt: the idempotency key of what it writes."""
    session_id: str | None = None
    """None: called by another MCP client."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How often something may happen."""

    requests: int
    per_seconds: float


@dataclass(frozen=True, slots=True)
class Declared:
    """A connector as it is stored, with its secrets opened."""

    id: str
    workspace_id: str
    name: str
    version: int
    config: Mapping[str, Any]
    """Holds `type`, and nothing secret."""
    secrets: Mapping[str, str] = field(repr=False)
    permissions: Mapping[str, bool]
    """Effect → granted, for every effect that its kind knows."""
    timeout_seconds: float
    retries_max: int
    rate: Rate | None = None
    session_rate: Rate | None = None

    @property
    def kind(self) -> str:
        """api, database or notification."""
        return str(self.config["type"])

    def grants(self, effect: Effect) -> bool:
        """Whether tools of this effect exist at all."""
        return self.permissions.get(effect, False)


@dataclass(frozen=True, slots=True)
class Means:
    """What connectors work with."""

    clock: Clock
    targets: Targets
    defaults: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Of the operator, by name of the setting: where a declaration may leave something out."""


class Connector(Protocol):
    """An opened connector. It need not check permissions: only tools it lists are called."""

    @property
    def tools(self) -> Sequence[ConnectorTool]:
        """Those that the permissions leave."""
        ...

    async def call(self, call: ConnectorCall) -> Outcome:
        """Call the target once. Raises ConnectorFault, whose kind says what may have happened."""
        ...

    async def check(self) -> None:
        """Reach the target without changing anything. Raises ConnectorFault."""
        ...

    async def close(self) -> None:
        """Give back what it holds."""
        ...


class Kind(Protocol):
    """A kind of connector; one file each, listed in `kinds.py`."""

    name: ClassVar[str]
    config: ClassVar[type[Shape]]
    """What a client sends; its `type` is the kind's name."""
    effects: ClassVar[tuple[Effect, ...]]
    """The permissions there are to grant."""

    def divided(
        self, given: Mapping[str, Any], means: Means
    ) -> tuple[dict[str, Any], dict[str, str]]:
        """What may be shown of its settings, and what is secret. Invalid names the field, never a secret."""
        ...

    def open(self, declared: Declared, means: Means) -> Connector:
        """The connector; reaches for nothing yet. Invalid for what only the whole shows to be wrong."""
        ...
