"""What a worker needs of the world: six ports. `app.py` builds the real one, the simulator a false one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from agentstead.clock import Clock
from agentstead.ids import Ids
from agentstead.log.log import Lease, Log
from agentstead.providers.provider import Capabilities, Provider
from agentstead.sandbox.sandbox import Limits, Sandbox
from agentstead.tools.tool import Tool


class Model(Protocol):
    """A model name resolved to who answers for it."""

    @property
    def provider(self) -> Provider:
        """Who streams."""
        ...

    @property
    def upstream(self) -> str:
        """The name the provider knows it by."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        ...


class Models(Protocol):
    """Model names → providers (`providers.catalogue.Catalogue`)."""

    def resolve(self, name: str) -> Model:
        """Raises Invalid with the list of what there is."""
        ...


class Previews(Protocol):
    """Where the deltas of a message in the making go; may drop them."""

    def preview(self, lease: Lease, thread_id: str, frame: Mapping[str, object]) -> None:
        """Publish one `event_start` or `event_delta` payload."""
        ...


@dataclass(frozen=True, slots=True)
class Pace:
    """The worker's numbers, from the settings."""

    sessions_max: int = 500
    heartbeat_seconds: float = 1.0
    claim_poll_seconds: float = 0.5
    attempts_max: int = 20
    """Claims in a row without an append before a session stops with a reason."""
    max_output_tokens: int = 32_000
    retries_max: int = 8
    retry_first_seconds: float = 0.5
    retry_max_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class World:
    """The six ports, and the numbers."""

    log: Log
    previews: Previews
    models: Models
    sandbox: Sandbox
    tools: Mapping[str, Tool]
    clock: Clock
    ids: Ids
    limits: Limits
    pace: Pace
