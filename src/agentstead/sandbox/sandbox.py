"""The contract of a sandbox provider.

`call` is once-only: a known call id returns the recorded outcome or attaches to the running call.
A sandbox outlives the worker that uses it. A call whose supervisor died in the middle raises
`SandboxFault(kind="unknown")` and is never run again. A sandbox that cannot start raises
`SandboxFault(kind="start")` with the last lines of what went wrong.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # read inside of containers too, which have no such door
    from agentstead.sandbox.egress.door import Door


@dataclass(frozen=True, slots=True)
class Limits:
    """What one sandbox may use."""

    memory_bytes: int = 1 << 30
    processes_max: int = 256
    cpus: float = 1.0
    disk_bytes: int = 2 << 30
    open_files_max: int = 4096
    call_seconds: float = 120.0
    call_seconds_max: float = 3600.0
    output_bytes: int = 100 << 10


@dataclass(frozen=True, slots=True)
class Mount:
    """A host path bound into the sandbox."""

    source: str
    target: str
    read_only: bool = True


@dataclass(frozen=True, slots=True)
class Upload:
    """A file of the host that lies, read-only, below `/mnt/session/uploads`."""

    source: str
    """Never changes; the same body has the same source."""
    path: str
    """Relative, e.g. `data/orders.csv`."""


@dataclass(frozen=True, slots=True)
class Output:
    """A file that lies in `/mnt/session/outputs`."""

    path: str
    """Relative, e.g. `charts/sales.png`; a name that is no UTF-8 has lone surrogates in it."""
    size_bytes: int
    stamp: str
    """Another one whenever its content may have changed."""


@dataclass(frozen=True, slots=True)
class Network:
    """What a sandbox may reach over HTTP and HTTPS; there is nothing else of a network in it."""

    mode: str = "none"
    """none | limited | unrestricted"""
    hosts: tuple[str, ...] = ()
    """Where it is limited: names, and `*.x` for every name below x."""
    package_managers: bool = False
    """Where it is limited: the hosts of the package managers too."""
    credentials: bool = False
    """Whether there may be placeholders in it, for which secrets go in on the way out."""
    door: "Door | None" = None
    """Instead of all that: the way to one repository."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Where the packages of an environment are on this host; one of the two, or none."""

    packages: str = ""
    """A folder to be bound into a sandbox."""
    layers: tuple[str, ...] = ()
    """Folders to be put on top of its image."""


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """What a sandbox is made of. It holds for one that is started; one that runs stays as it is."""

    limits: Limits = Limits()
    mounts: tuple[Mount, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    uploads: tuple[Upload, ...] = ()
    """In place before each call; unlike mounts they may change while the sandbox runs."""
    network: Network = Network()
    image: str = ""
    """The id of the image that its programs come from; empty: the host's own."""
    layers: tuple[str, ...] = ()
    """Folders of the host with what was installed on top of that, the lowest first."""
    packages: str = ""
    """A folder of the host with the packages of the environment, e.g. a layer of `sandbox.packages`. A
    sandbox that runs without them and is idle is started again with them."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a tool call gave: content blocks as on the wire (`text`, `image`, `document`)."""

    content: tuple[Mapping[str, Any], ...]
    is_error: bool = False

    @staticmethod
    def text(text: str, *, is_error: bool = False) -> "Outcome":
        """An outcome of one text block."""
        return Outcome(({"type": "text", "text": text},), is_error)


@dataclass(frozen=True, slots=True)
class Probe:
    """Whether sandboxes can run here, and how well they are isolated and limited."""

    ok: bool
    provider: str
    mode: str
    """e.g. `root: one host uid per session` or `user: shared host uid`"""
    limits: str
    """cgroup2 | cgroup1 | rlimits (degraded)"""
    network: str = "none"
    """What the network of sandboxes is, at most."""
    problems: tuple[str, ...] = ()
    """What is wrong and what to do about it, one sentence each."""


class Sandbox(Protocol):
    """A kind of sandbox; one object serves all sessions of a process."""

    async def probe(self) -> Probe:
        """Start one for real and look whether it holds."""
        ...

    async def call(
        self,
        sandbox_id: str,
        spec: SandboxSpec,
        call_id: str,
        tool: str,
        arguments: Mapping[str, Any],
    ) -> Outcome:
        """Run one tool (`bash`, `read`, `write`, `edit`, `glob`, `grep`) once, starting the sandbox first where needed.

        Cancelling this coroutine does not end the call inside; `cancel` does.
        """
        ...

    async def cancel(self, sandbox_id: str, call_id: str) -> None:
        """Make sure the call has ended: kill it if it runs, refuse it if it comes later. Idempotent."""
        ...

    async def outputs(self, sandbox_id: str) -> Sequence[Output]:
        """What lies in `/mnt/session/outputs` now, oldest change first; starts nothing."""
        ...

    def read_output(self, sandbox_id: str, path: str) -> AsyncIterator[bytes]:
        """The content of one of them, as it is now; SandboxFault when it is not there any more."""
        ...

    async def keep(self, sandbox_ids: Iterable[str]) -> None:
        """Renew: a sandbox that nobody has renewed for an hour ends itself."""
        ...

    async def destroy(self, sandbox_id: str) -> None:
        """End it and delete its files. Idempotent."""
        ...

    async def reconcile(self, known: set[str]) -> list[str]:
        """Sandboxes on this host that belong to no session in `known`; the caller destroys them."""
        ...

    async def close(self) -> None:
        """Give back what this object holds; running sandboxes go on."""
        ...
