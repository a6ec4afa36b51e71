"""What a worker needs of the world: its ports. `app` builds the real one, the simulator a false one."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from agentstead.clock import Clock
from agentstead.errors import McpFault
from agentstead.harness.mounts import Skill
from agentstead.harness.repositories import Repository
from agentstead.harness.servers import ServerTool
from agentstead.ids import Ids
from agentstead.log.charges import Bound, Short
from agentstead.log.log import Lease, Log
from agentstead.providers.prices import Price
from agentstead.providers.provider import Capabilities, Provider
from agentstead.sandbox.desk import Variable
from agentstead.sandbox.sandbox import Limits, Mount, Outcome, Prepared, Sandbox, Upload
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

    @property
    def price(self) -> Price | None:
        """What it costs; None: it has no list price."""
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


class Servers(Protocol):
    """MCP servers (`tools.mcp`); one connection per lease and server, opened when first needed.

    `server`: as the agent declares it, with `name` and `url`. All raise McpFault.
    """

    async def tools(self, lease: Lease, server: Mapping[str, Any]) -> Sequence[ServerTool]:
        """Everything the server offers; asked once per connection, or again when it says so."""
        ...

    async def connect(self, lease: Lease, server: Mapping[str, Any]) -> None:
        """Make sure that there is a connection."""
        ...

    async def call(
        self,
        lease: Lease,
        server: Mapping[str, Any],
        tool: str,
        arguments: Mapping[str, Any],
        key: str,
    ) -> Outcome:
        """Call a tool, at most once. Cancelling it tells the server so.

        `key`: the call's id, the same for every attempt.
        """
        ...

    def close(self, lease: Lease) -> None:
        """Give up the connections of a lease; waits for nothing."""
        ...


class NoServers:
    """A worker that connects to no MCP server."""

    async def tools(self, lease: Lease, server: Mapping[str, Any]) -> Sequence[ServerTool]:
        """None of its tools."""
        await self.connect(lease, server)
        return ()

    async def connect(self, lease: Lease, server: Mapping[str, Any]) -> None:  # noqa: ARG002
        """It does not."""
        raise McpFault("This worker connects to no MCP servers.", kind="unreachable")

    async def call(
        self,
        lease: Lease,
        server: Mapping[str, Any],
        tool: str,  # noqa: ARG002
        arguments: Mapping[str, Any],  # noqa: ARG002
        key: str,  # noqa: ARG002
    ) -> Outcome:
        """Nothing is called."""
        await self.connect(lease, server)
        raise AssertionError("unreachable")

    def close(self, lease: Lease) -> None:
        """Nothing to give up."""


NO_SERVERS = NoServers()


@dataclass(frozen=True, slots=True)
class Content:
    """A file as a model may be shown it."""

    filename: str
    mime_type: str
    size_bytes: int
    read: Callable[[], AsyncIterator[bytes]]


class SessionFiles(Protocol):
    """The files of sessions (`worker.files.StoredFiles`)."""

    async def attached(self, session_id: str) -> tuple[str, ...]:
        """Where they lie in the sandbox, now."""
        ...

    async def uploads(self, session_id: str) -> tuple[Upload, ...]:
        """What is to lie in the sandbox, now."""
        ...

    async def hand_over(self, session_id: str) -> None:
        """Make what lies in `/mnt/session/outputs` files of the session; bounded, raises nothing."""
        ...

    async def contents(self, session_id: str, file_ids: Sequence[str]) -> Mapping[str, Content]:
        """The files of its workspace with these ids, where they exist and have not expired."""
        ...


class NoFiles:
    """A world in which nobody uploads anything."""

    async def attached(self, _: str) -> tuple[str, ...]:
        """None."""
        return ()

    async def uploads(self, _: str) -> tuple[Upload, ...]:
        """None."""
        return ()

    async def hand_over(self, _: str) -> None:
        """Nothing."""

    async def contents(self, _: str, __: Sequence[str]) -> Mapping[str, Content]:
        """None."""
        return {}


NO_FILES = NoFiles()


class SessionSkills(Protocol):
    """The skills of sessions (`worker.skills.StoredSkills`)."""

    async def of(self, session_id: str) -> tuple[Skill, ...]:
        """What a model is told of them."""
        ...

    async def mounts(self, session_id: str) -> tuple[Mount, ...]:
        """Their folders on this host, made when they are not there. Raises StoreFault."""
        ...


class NoSkills:
    """A world without any."""

    async def of(self, _: str) -> tuple[Skill, ...]:
        """None."""
        return ()

    async def mounts(self, _: str) -> tuple[Mount, ...]:
        """None."""
        return ()


NO_SKILLS = NoSkills()


class SessionVariables(Protocol):
    """Credentials as variables of sandboxes (`resources.vaults.variables.VaultVariables`)."""

    async def placeholders(self, session_id: str) -> Mapping[str, str]:
        """What stands for the session's secrets in its sandbox: variable → placeholder. Raises StoreFault."""
        ...

    async def named(self, session_id: str) -> Sequence[Variable]:
        """The credentials themselves, without secrets. Raises StoreFault."""
        ...


class NoVariables:
    """A world without any."""

    async def named(self, _: str) -> tuple[Variable, ...]:
        """None."""
        return ()

    async def placeholders(self, _: str) -> Mapping[str, str]:
        """None."""
        return {}


NO_VARIABLES = NoVariables()


class SessionPackages(Protocol):
    """The packages of environments (`sandbox.packages.building.Packages`)."""

    def begin(self, environment: Mapping[str, Any]) -> None:
        """Have what a session's environment lists installed, for somebody who will need it soon."""
        ...

    async def prepared(self, environment: Mapping[str, Any], *, wait: bool = True) -> Prepared:
        """Where that is; nowhere when there is none, or none yet and nobody waits. Raises
        SandboxFault."""
        ...


class NoPackages:
    """A world in which environments list none."""

    def begin(self, _: Mapping[str, Any]) -> None:
        """Nothing."""

    async def prepared(self, _: Mapping[str, Any], *, wait: bool = True) -> Prepared:  # noqa: ARG002
        """Nowhere."""
        return Prepared()


NO_PACKAGES = NoPackages()


class SessionRepositories(Protocol):
    """The repositories of sessions (`worker.repositories.StoredRepositories`)."""

    async def of(self, session_id: str) -> tuple[Repository, ...]:
        """Which there are, and which are in their place."""
        ...

    async def check_out(self, session_id: str, repository_id: str, limits: Limits) -> None:
        """Put one in its place, unless it is there. Raises RepositoryFault and StoreFault."""
        ...


class NoRepositories:
    """A world without any."""

    async def of(self, _: str) -> tuple[Repository, ...]:
        """None."""
        return ()

    async def check_out(self, _: str, __: str, ___: Limits) -> None:
        """Nothing."""


NO_REPOSITORIES = NoRepositories()


class SessionCheckpoints(Protocol):
    """What agents have made, saved and restored (`worker.checkpoints.Checkpoints`)."""

    async def ready(self, session_id: str) -> None:
        """Before a call: its files are where it runs. Raises SandboxFault and StoreFault."""
        ...

    async def current(self, session_id: str) -> bool:
        """Whether it has used a sandbox; then its files are where it would run, or it raises."""
        ...

    async def elsewhere(self, session_id: str) -> bool:
        """Whether its calls up to now ran on another host. Raises StoreFault."""
        ...

    def begin(self, session_id: str) -> None:
        """A turn has ended: save in the background what it changed."""
        ...


class NoCheckpoints:
    """A world in which sandboxes last."""

    async def ready(self, _: str) -> None:
        """They are always there."""

    async def current(self, _: str) -> bool:
        """They never go."""
        return True

    async def elsewhere(self, _: str) -> bool:
        """There is one host."""
        return False

    def begin(self, _: str) -> None:
        """Nothing is saved."""


NO_CHECKPOINTS = NoCheckpoints()


class Budgets(Protocol):
    """Budgets above sessions (`resources.budgets.reserving.Reservations`)."""

    async def reserve(
        self, lease: Lease, thread_id: str, request_id: str, bound: Bound
    ) -> Short | None:
        """Reserve in all of them or in none; once per request, whoever asks again. Raises LeaseLost
        and StoreFault. What was reserved is settled by the append that ends the request."""
        ...


class NoBudgets:
    """A world without any."""

    async def reserve(self, _: Lease, __: str, ___: str, ____: Bound) -> Short | None:
        """There is room for everything."""
        return None


NO_BUDGETS = NoBudgets()


@dataclass(frozen=True, slots=True)
class Pace:
    """The worker's numbers, from the settings."""

    sessions_max: int = 500
    heartbeat_seconds: float = 1.0
    claim_poll_seconds: float = 0.5
    attempts_max: int = 20
    """Claims in a row without an append before a session stops with a reason."""
    max_output_tokens: int = 32_000
    retries_max: int = 10
    retry_first_seconds: float = 0.5
    retry_max_seconds: float = 30.0
    judge_timeout_seconds: float = 20.0
    """How long the judge of a call may take."""
    drain_seconds: float = 10.0
    """How long a worker that stops lets the steps that go on end, before it cuts them."""
    repeats_max: int = 5
    """So many equal failures of a call are told to the model; twice as many end the turn; 0: never."""
    session_seconds: float = 0.0
    """How long a session may run in all, where its environment does not say; 0: for ever."""
    turn_seconds: float = 0.0
    """The same for one turn."""


@dataclass(frozen=True, slots=True)
class World:
    """The ports, and the numbers."""

    log: Log
    previews: Previews
    models: Models
    sandbox: Sandbox
    tools: Mapping[str, Tool]
    clock: Clock
    ids: Ids
    limits: Limits
    pace: Pace
    servers: Servers = NO_SERVERS
    files: SessionFiles = NO_FILES
    judge_model: str | None = None
    """Who judges calls under the policy `auto`; None: the client is asked."""
    credentialed: bool = True
    """Whether sandboxes can be given placeholders of a vault's secrets."""
    networked: bool = True
    """Whether sandboxes have a network at all."""
    skills: SessionSkills = NO_SKILLS
    variables: SessionVariables = NO_VARIABLES
    packages: SessionPackages = NO_PACKAGES
    repositories: SessionRepositories = NO_REPOSITORIES
    checkpoints: SessionCheckpoints = NO_CHECKPOINTS
    budgets: Budgets = NO_BUDGETS
