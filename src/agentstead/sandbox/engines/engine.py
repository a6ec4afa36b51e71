"""The contract of an engine: who runs the containers of sandboxes, somewhere.

Every method raises EngineFault when the engine refuses or cannot be reached.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from agentstead.sandbox.engines.line import Stream
from agentstead.sandbox.sandbox import Limits, Output


class EngineFault(Exception):
    """The engine did not do what it was asked; the message is its own."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        """Of its answer; 0: it could not be reached."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a sandbox is started with."""

    sandbox_id: str
    limits: Limits
    config: Mapping[str, Any]
    """For the supervisor inside."""


@dataclass(frozen=True, slots=True)
class Found:
    """What an engine says of itself."""

    mode: str
    """What it is and how it isolates, for a person."""
    limits: str
    problems: tuple[str, ...] = ()
    """What keeps sandboxes from running, one sentence each."""
    notes: tuple[str, ...] = ()
    """What is weaker than it could be."""
    closed: tuple[tuple[str, int], ...] | None = None
    """Where sandboxes have an interface: addresses that must not be reached from inside. None: they have none."""


class Engine(Protocol):
    """One engine, and the sandboxes on it that belong to this platform."""

    name: str
    keeps_files: bool
    """Whether files outlive a sandbox that has ended and is started again."""
    apart: bool
    """Whether supervisor and agent have containers of their own."""

    async def look(self) -> Found:
        """Ask it what it is; starts nothing."""
        ...

    async def start(self, plan: Plan) -> None:
        """Start this sandbox, or do nothing when it runs. Raises SandboxFault too."""
        ...

    async def admit(self, sandbox_id: str, call_id: str) -> str:
        """Note that a call is about to be sent to the sandbox that runs now: `go`, `refused` (it was cancelled
        before it came) or `lost` (it was sent to one that is gone). For engines whose sandboxes may
        be lost with their journal; the others know nothing and say `go`."""
        ...

    async def refuse(self, sandbox_id: str, call_id: str) -> bool:
        """Note that a call must never run; True where that is enough for a sandbox that does not run."""
        ...

    async def connect(self, sandbox_id: str, *, agent: bool = False) -> Stream | None:
        """A relay's stream; None when the sandbox does not run. `agent`: in the agent's container."""
        ...

    async def last_words(self, sandbox_id: str) -> str:
        """What a sandbox said before it ended, as far as the engine knows."""
        ...

    async def running(self) -> set[str]:
        """The sandboxes that run."""
        ...

    async def known(self) -> set[str]:
        """Every sandbox that there is anything of."""
        ...

    async def outputs(self, sandbox_id: str) -> list[Output]:
        """What lies in the outputs of one that does not run."""
        ...

    def read_output(self, sandbox_id: str, path: str) -> AsyncIterator[bytes]:
        """The content of one of those; SandboxFault when it is not there."""
        ...

    async def remove(self, sandbox_id: str) -> None:
        """End it and delete everything of it. Idempotent."""
        ...

    async def close(self) -> None:
        """Give back connections."""
        ...
