"""Every knob of the platform: name, unit, default and why that default.

Read from the environment with the prefix `AGENTSTEAD_`; the command line overrides.
"""

import os
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError

from agentstead.addresses import PORT_MAX, host_of, networks, opening
from agentstead.errors import Misconfigured


def default_data_dir() -> Path:
    """`/var/lib/agentstead` for root, else `~/.agentstead`."""
    return Path("/var/lib/agentstead") if os.geteuid() == 0 else Path.home() / ".agentstead"


def _networks(texts: list[str]) -> list[str]:
    networks(texts)
    return texts


Networks = Annotated[list[str], AfterValidator(_networks)]


LIMITS = (
    "memory_bytes", "processes_max", "cpus", "disk_bytes", "open_files_max", "call_seconds",
    "output_bytes", "session_seconds", "turn_seconds",
)  # fmt: skip
"""What a sandbox is limited in."""


def _limits(maxima: dict[str, float]) -> dict[str, float]:
    for name, value in maxima.items():
        if name not in LIMITS or value <= 0:
            raise ValueError(f"takes numbers above 0 for {', '.join(LIMITS)}")
    return maxima


LimitsMax = Annotated[dict[str, float], AfterValidator(_limits)]


SHARES = {"running_max": 0.0, "waiting_max": 0.0, "weight": 1.0}
"""What a workspace can have of its own."""


def _shares(own: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    for share in own.values():
        for name, value in share.items():
            if name not in SHARES or value < 0 or (name == "weight" and not value):
                raise ValueError(
                    "takes running_max and waiting_max (0: no bound) and weight (above 0)"
                )
            if name != "weight" and value != int(value):
                raise ValueError(f"takes whole numbers for {name}")
    return own


WorkspaceShares = Annotated[dict[str, dict[str, float]], AfterValidator(_shares)]

Port = Annotated[int, Field(ge=1, le=PORT_MAX)]


def _openings(texts: list[str]) -> list[str]:
    for text in texts:
        opening(text)
    return texts


Openings = Annotated[list[str], AfterValidator(_openings)]
Host = Annotated[str, AfterValidator(host_of)]


def _parts(given: object) -> object:
    return (
        [one.strip() for one in given.split(",") if one.strip()]
        if isinstance(given, str)
        else given
    )


def _hosts(texts: list[str]) -> list[str]:
    for text in texts:
        try:
            networks([text])
        except ValueError:
            host_of(text)
    return texts


CommaList = Annotated[list[str], NoDecode, BeforeValidator(_parts)]
"""Words with commas between them."""
Hosts = Annotated[CommaList, AfterValidator(_hosts)]
"""Names, addresses and networks."""
Address = Annotated[str, AfterValidator(lambda text: str(ip_address(text)))]


class Settings(BaseSettings):
    """All settings."""

    model_config = SettingsConfigDict(env_prefix="AGENTSTEAD_", extra="ignore")

    # where things are
    host: str = "127.0.0.1"
    port: int = 8080
    data_dir: Path = Field(default_factory=default_data_dir)
    database_url: str | None = None
    """libpq URL of an external PostgreSQL; None: the embedded one under `data_dir`."""
    database_connections_max: int = 10
    """Of one process; the embedded server takes 200 in all."""
    nats_url: SecretStr | None = None
    """`nats://…` of a NATS server with JetStream, which carries wakes, notices and previews between many
    processes; the same for all of them. None: PostgreSQL carries them."""
    database_wait_seconds: float = 30.0
    """How long a new worker waits for the database of a server that may be starting."""
    base_url: str | None = None
    """For clients (`agentstead run`): the server to talk to."""
    api_key: SecretStr | None = None
    """Bootstrap key (server) or the key to use (client)."""
    seal_keys: SecretStr | None = None
    """Master keys for secrets at rest, `id:base64,id:base64`, the first seals; None: the file `seal-keys`
    of the data directory, made at the first need. Machines that share a database need the same."""

    # models
    anthropic_api_key: SecretStr | None = None
    anthropic_base_url: str | None = None
    openai_api_key: SecretStr | None = None
    openai_base_url: str | None = None
    """Any OpenAI-compatible URL; setting it makes the adapter available."""
    models: dict[str, str] = {}
    """Model name → provider, or provider:upstream-name (JSON in the environment)."""
    model_default: str | None = None
    """Runs every model name that nothing else maps; None: an unknown name is a 400."""
    model_timeout_seconds: float = 600.0
    """Between two bytes of a model's stream."""
    max_output_tokens: int = 32_000
    judge_model: str | None = None
    """A model that judges each call under the permission policy `auto`; a small one will do. None: such
    calls ask the client."""
    judge_timeout_seconds: float = Field(20.0, gt=0)
    """A judge that takes longer decides nothing: the client is asked."""
    repeats_max: int = Field(5, ge=0)
    """So often in a row may a call fail with the same arguments and the same error until the model is told;
    as often again, and its turn ends (0: never)."""
    scripted_file: Path | None = None
    """A scenario for the `scripted` provider instead of the built-in one."""
    prices_file: Path | None = None
    """The operator's prices (TOML), for models without a public one and instead of it; a session on
    a model without any price cannot have a budget."""

    # work
    workers: int = 1
    worker_sessions_max: int = 500
    """Sessions one worker drives at once; they mostly wait for a model."""
    workspace_running_max: int = Field(default=0, ge=0)
    """Sessions of one workspace that workers drive at once, all workers together; 0: no bound."""
    workspace_waiting_max: int = Field(default=10_000, ge=0)
    """Sessions of one workspace that wait for a worker. What would begin one more is answered with 429 and a
    time to come again; 0: no bound."""
    waiting_max: int = Field(default=50_000, ge=0)
    """The same, of all workspaces together."""
    workspace_shares: WorkspaceShares = {}
    """What single workspaces have instead (JSON), by id: `running_max`, `waiting_max`, and `weight`: one with
    2 gets twice the places of one with 1 where both have enough to do."""
    session_inbox_max: int = Field(default=1_000, ge=0)
    """Events of one session that no worker has taken in; more messages are answered with 429. 0: no bound."""
    retry_after_seconds: float = Field(default=2.0, gt=0, le=30)
    """When such an answer asks to come again, up to twice as long: not all clients at the same moment. The
    official SDKs obey up to a minute."""
    lease_seconds: float = 5.0
    heartbeat_seconds: float = 1.0
    claim_poll_seconds: float = 0.5
    """Only a safety net: claims are woken by notices."""
    attempts_max: int = 20
    """Claims in a row without progress before a session stops with a reason. A worker that is killed
    before it could write counts as one, and a storm of kills must not stop a healthy session."""
    retries_max: int = 10
    """Attempts of one model request after its first failure: together they outlast an upstream that is overloaded
    for a minute."""
    retry_first_seconds: float = 0.5
    retry_max_seconds: float = 30.0

    # self-hosted environments
    work_ack_seconds: float = Field(default=300.0, gt=0)
    """From taking a work item to its first heartbeat: hosts start machines and install things."""
    work_lease_seconds: int = Field(default=300, ge=1)
    """From one heartbeat of a work item to the next, for workers that ask for no other time."""
    work_lease_min_seconds: int = Field(default=10, ge=1)
    work_lease_max_seconds: int = Field(default=600, ge=1)
    """What a worker asks for is brought between these two."""
    work_stop_seconds: float = Field(default=300.0, gt=0)
    """How long a worker that was asked to stop may take: it finishes its tool call first."""
    work_token_seconds: float = Field(default=600.0, ge=0)
    """How long the token of a work item outlives its lease, for a result that comes late."""
    work_requeues_max: int = Field(default=3, ge=0)
    """Workers in a row that may end without answering the same calls, before the session says so."""
    work_requeue_first_seconds: float = Field(default=1.0, ge=0)
    """Wait before a session is offered again; five times as long each time."""

    # where sandboxes run
    sandbox: Literal["bubblewrap", "docker", "kubernetes"] = "bubblewrap"
    """bubblewrap: on this host | docker: containers of an engine that speaks Docker's API | kubernetes: pods."""
    docker_host: str = "unix:///var/run/docker.sock"
    """The engine: `unix:///path`, `tcp://host:port`, `https://host:port`."""
    docker_certificates: Path | None = None
    """Folder with `ca.pem`, `cert.pem` and `key.pem` for an engine that is reached over TLS."""
    container_image: str = "python:3.13"
    """The image of sandboxes; python3 3.11 or newer and bash must be in it. An engine that lacks it gets it."""
    container_runtime: str = ""
    """Docker's runtime or Kubernetes' RuntimeClass of sandboxes, e.g. `runsc`, `gvisor`; empty: the default."""
    kubernetes_namespace: str = "agentstead-sandboxes"
    """Where pods of sandboxes are made; it is for nothing else."""
    kubernetes_context: str = ""
    """Of the kubeconfig; empty: the server's own cluster where it runs in one, else the current context."""
    kubernetes_sandbox_resource: bool = False
    """Make `Sandbox` resources of agents.x-k8s.io (agent-sandbox) instead of pods."""
    container_owner: Annotated[str, Field(pattern=r"^([a-z0-9][a-z0-9-]{0,30})?$")] = ""
    """What tells this platform's sandboxes from others' on one engine; empty: made of its database."""
    container_start_seconds: float = Field(180.0, gt=0)
    """How long a container may take to start, the image's way to the engine included."""

    # sandbox limits (defaults of every environment)
    sandbox_memory_bytes: int = 1 << 30
    sandbox_processes_max: int = 256
    sandbox_cpus: float = 1.0
    sandbox_disk_bytes: int = 2 << 30
    sandbox_call_seconds: float = 120.0
    sandbox_open_files_max: int = 4096
    sandbox_output_bytes: int = 100 << 10
    sandbox_require_cgroups: bool = False
    """Refuse to start sandboxes where control groups cannot bound them, instead of watching them."""
    session_seconds: float = Field(0.0, ge=0)
    """How long a session may run in all, waiting for answers not counted; 0: for ever."""
    turn_seconds: float = Field(0.0, ge=0)
    """How long one turn may run, waiting for answers not counted; 0: for ever."""
    sandbox_limits_max: LimitsMax = {}
    """The most that an environment may set itself, by the names of its `agentstead.limits` (JSON), e.g.
    `{"memory_bytes": 4294967296, "cpus": 2}`."""
    sandbox_idle_seconds: float = 3600.0
    """A sandbox that nobody renews for so long ends itself."""

    sandbox_spares: int = Field(default=0, ge=0, le=20)
    """Sandboxes that each worker keeps started for the sessions that come next, made like the last one: their
    first call is as quick as a later one. None by default, because each takes about 25 MB and every new session
    then costs a start in the background."""

    sandbox_image: str | None = None
    """Name or id of the image that sandboxes are made from where the environment names none; `host`: the
    host's system directories. None: what `agentstead image use` chose, at first the host's."""
    # checkpoints of what agents make
    checkpoints_kept: int = Field(default=3, ge=0)
    """Of each session; 0: nothing is saved, and no sandbox is evicted."""
    checkpoint_bytes_max: int = Field(default=4 << 30, ge=1)
    """Content of the files of one sandbox; what has more is not saved, and `/why` says so."""
    sandbox_evict_seconds: float = Field(default=86_400.0, ge=0)
    """A sandbox that nobody has used for so long, of a session that waits for its client, is saved
    and deleted; 0: never. The next call restores it."""

    sandbox_env: dict[str, str] = {}
    """Environment variables of every sandbox (JSON), e.g. `{"PIP_INDEX_URL": "https://…"}` where
    packages come from a mirror; never a secret."""

    # packages of environments
    packages_build_seconds: float = Field(900.0, gt=0)
    """For all packages of one environment; what takes longer has failed."""
    packages_disk_bytes: int = Field(4 << 30, gt=0)
    """Of one environment's packages, with what their installers need on the way."""
    packages_memory_bytes: int = Field(2 << 30, gt=0)
    """Of one build."""
    packages_builds_max: int = Field(2, ge=1)
    """Environments whose packages one process installs at once."""
    packages_kept_seconds: float = Field(14 * 86400.0, ge=0)
    """What no sandbox has used for so long is deleted, and installed again when it is wanted; 0: never.
    Sandboxes that run use theirs."""
    packages_retry_seconds: float = Field(60.0, ge=0)
    """So long a failed build is remembered: sessions get its error at once; later ones build again."""

    # what sandboxes reach of the network
    sandbox_network: Literal["filtered", "none"] = "filtered"
    """filtered: HTTP and HTTPS through a proxy, as each environment says | none: no network at all,
    whatever environments say."""
    egress_ports: list[Port] = [80, 443]
    egress_private_networks: Openings = []
    """Addresses beyond the public internet that sandboxes may reach, with or without a port (JSON), e.g.
    `["10.1.0.0/16", "192.168.1.5:8443"]`; metadata services stay closed."""
    egress_names: dict[Host, Address] = {}
    """Names with an address of yours (JSON), e.g. `{"packages.internal": "10.1.0.9"}`; that it is
    reached needs `egress_private_networks`, and a limited environment must list the name."""
    egress_denied_hosts: list[str] = []
    """Hosts closed to every sandbox, `*.x` for every name below x (JSON)."""
    egress_package_hosts: list[str] = []
    """Hosts that `allow_package_managers` opens beside those that the installed package managers are
    configured with (JSON)."""
    egress_upstream_proxy: SecretStr | None = None
    """`http://user:password@host:port` of a proxy that everything public goes through."""
    egress_ca_file: Path | None = None
    """Certificates (PEM) of authorities that sandboxes, and the proxies that put credentials in, trust
    beside the system's: for private registries and servers."""
    egress_connections_max: int = Field(64, ge=1)
    """Open at once from one sandbox."""
    egress_idle_seconds: float = Field(300.0, gt=0)
    """A connection through which nothing goes for so long is cut."""
    egress_bytes_per_hour_max: int = Field(10 << 30, ge=0)
    """Of one sandbox, both directions together."""

    # requests that the platform makes of itself
    outgoing_timeout_seconds: float = 10.0
    """To MCP servers and token endpoints."""
    outgoing_private_networks: Networks = []
    """Addresses and networks beyond the public internet that it may connect to, e.g.
    `["127.0.0.0/8", "::1"]` (JSON in the environment)."""

    # connectors
    connector_private_hosts: Hosts = []
    """Hosts, addresses and networks beyond the public internet that connectors may go to, e.g.
    `localhost,10.1.0.0/16`."""
    connector_sqlite_roots: CommaList = []
    """Folders below which connectors may open SQLite files."""
    connector_apprise: bool = False
    """Whether notifications may go through Apprise, which connects to whatever address a declaration names."""
    notify_slack_url: SecretStr | None = None
    """Slack's incoming webhook for notifications that name none."""
    notify_slack_credential: SecretStr | None = None
    """Or a bot token of Slack."""
    notify_email_url: SecretStr | None = None
    """`smtps://user:password@host/?from=me@example.com` for notifications by e-mail that name none."""
    notify_webhook_url: SecretStr | None = None
    """Where notifications by webhook that name no address are received."""
    notify_webhook_credential: SecretStr | None = None
    """What those are signed with."""

    mcp_connect_seconds: float = 15.0
    """To connect to a server, and again to list its tools: one that hangs must not hold up a turn."""
    mcp_call_seconds: float = 120.0
    """For one call; the model is told that nothing came, and that the outcome is not known."""
    mcp_output_characters: int = 100_000
    """Of text in one result; what is more is cut, and the model is told so."""

    # files
    file_bytes_max: int = 500 << 20
    """Of one file, uploaded or handed over by a session."""
    files_bytes_max: int = 1 << 40
    """Of all uploads of a workspace together; sessions' copies and outputs do not count."""
    outputs_max: int = 1000
    """Files that one session may hand over."""
    uploads_downloadable: bool = False
    """Whether uploads can be downloaded again. The hosted service refuses it, and clients may rely on that."""

    # the door
    request_bytes_max: int = 32 << 20
    keepalive_seconds: float = 10.0
    late_stream_seconds: float = 60.0
    """A stream opened so long after an unseen turn ended still gets that turn; 0: never."""
    stream_rest_seconds: float = 0.0
    """A stream ends so long after its session's turn has ended, for clients that wait for a stop
    reason that did not come; never while an answer is awaited. 0: streams stay open, as clients that
    keep one for the next turn expect."""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    behind_proxy: bool = False
    """TLS ends at a proxy in front, so a host other than loopback is fine without a certificate."""
    drain_seconds: float = Field(default=10.0, ge=0)
    """How long a process that is told to stop lets the steps of its sessions end (model requests and tool
    calls) before it cuts them; each session goes to another worker as soon as its step has ended. What
    supervises the process must wait longer than this and `shutdown_seconds` together before it kills."""
    shutdown_seconds: float = 5.0
    """How long open requests may take to finish once the server stops."""

    # session resources
    repository_hosts: list[str] = ["github.com"]
    """Hosts that sessions may name repositories of, with a port where it is not 443 (JSON)."""
    repository_private_networks: Openings = []
    """Addresses beyond the public internet at which such hosts may be, with or without a port (JSON),
    e.g. `["10.1.0.9:443"]`."""
    repository_ca_file: Path | None = None
    """Certificates (PEM) of authorities that such hosts may have beside those that this system trusts."""
    repository_bytes_max: int = Field(2 << 30, ge=1 << 20)
    """On disk, of one checkout with its history; never more than the sandbox's own disk."""
    repository_seconds: float = Field(300.0, gt=0)
    """For one checkout; what takes longer is given up and tried again."""
    repository_depth: int = Field(50, ge=0)
    """Commits of history that a checkout has; 0: all of them."""

    # watching
    log_level: str = "info"
    """debug | info | warning | error"""
    log_json: bool | None = None
    """Log lines as JSON; None: unless standard error is a terminal."""
    metrics_port: int | None = None
    """A worker process shows its own `/metrics` on this loopback port; None: it shows none."""

    # the command line
    run_model: str | None = None
    """Model of `agentstead run`; None: the first real one the server has, else the scripted one."""

    def share_of(self, workspace_id: str) -> dict[str, float]:
        """What a workspace has: the names of `SHARES`."""
        general = {
            **SHARES,
            "running_max": self.workspace_running_max,
            "waiting_max": self.workspace_waiting_max,
        }
        return general | self.workspace_shares.get(workspace_id, {})


ANTHROPIC_KEY_FALLBACK = "ANTHROPIC_API_KEY"
ANTHROPIC_URL_FALLBACK = "ANTHROPIC_BASE_URL"


def load(**overrides: object) -> Settings:
    """Settings from the environment and `overrides` (None values are left out)."""
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        settings = Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        raise Misconfigured(faults_of(error)) from None
    except SettingsError as error:
        raise Misconfigured(f"A setting cannot be read: {error}.\n{HOW_TO_SET}") from None
    settings.data_dir = settings.data_dir.expanduser().absolute()
    if settings.anthropic_api_key is None and os.environ.get(ANTHROPIC_KEY_FALLBACK):
        settings.anthropic_api_key = SecretStr(os.environ[ANTHROPIC_KEY_FALLBACK])
    if settings.anthropic_base_url is None:
        settings.anthropic_base_url = os.environ.get(ANTHROPIC_URL_FALLBACK) or None
    return settings


HOW_TO_SET = "Settings are read from AGENTSTEAD_<NAME>; lists and tables are written as JSON."


def faults_of(error: ValidationError) -> str:
    """What is wrong with which settings, without showing their values."""
    lines = []
    for fault in error.errors(include_input=False, include_url=False):
        name = str(fault["loc"][0]) if fault["loc"] else "settings"
        lines.append(f"AGENTSTEAD_{name.upper()}: {fault['msg']}.")
    return " ".join(lines) + f"\n{HOW_TO_SET}"
