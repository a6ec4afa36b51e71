"""Settings become the sandboxes of this platform: on this host, or on an engine."""

import ssl
from contextlib import AbstractAsyncContextManager, nullcontext
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from agentstead.clock import Clock
from agentstead.errors import Misconfigured
from agentstead.sandbox.bubblewrap import Bubblewrap
from agentstead.sandbox.desk import Secrets, desk
from agentstead.sandbox.egress.dial import Upstream
from agentstead.sandbox.engines.docker.engine import DockerEngine
from agentstead.sandbox.engines.engine import Engine
from agentstead.sandbox.engines.hands import EngineSandbox
from agentstead.sandbox.images.images import Images
from agentstead.sandbox.network import Bounds, Egress
from agentstead.settings import Settings
from agentstead.store.pool import Database

SANDBOXES = "sandboxes"
"""Folder of the data directory."""
OWNER_LENGTH = 12

Hands = Bubblewrap | EngineSandbox


def hands_of(settings: Settings, clock: Clock, owner: str, root: Path | None = None) -> Hands:
    """Sandboxes as the settings say; `owner` tells this platform's from others' on one engine, `root` is
    another folder for those of this host."""
    if settings.sandbox == "bubblewrap":
        return Bubblewrap(
            root or settings.data_dir / SANDBOXES,
            clock=clock,
            idle_seconds=settings.sandbox_idle_seconds,
            egress=egress_of(settings),
            env=settings.sandbox_env,
            images=Images.of(settings),
            require_cgroups=settings.sandbox_require_cgroups,
            spares=settings.sandbox_spares,
        )
    return EngineSandbox(
        engine_of(settings, clock, owner),
        clock=clock,
        idle_seconds=settings.sandbox_idle_seconds,
        env=settings.sandbox_env,
        egress=egress_of(settings),
        decisions=settings.data_dir / SANDBOXES,
    )


def engine_of(settings: Settings, clock: Clock, owner: str) -> Engine:
    """The engine that runs them."""
    if settings.sandbox == "kubernetes":
        return cluster_of(settings, clock, owner)
    try:
        return DockerEngine(
            settings.docker_host,
            owner=owner,
            image=settings.container_image,
            clock=clock,
            runtime=settings.container_runtime,
            certificates=settings.docker_certificates,
            start_seconds=settings.container_start_seconds,
        )
    except (ValueError, OSError) as error:
        raise Misconfigured(
            f"AGENTSTEAD_DOCKER_HOST, AGENTSTEAD_DOCKER_CERTIFICATES: {error}.\nCorrect them."
        ) from None


def cluster_of(settings: Settings, clock: Clock, owner: str) -> Engine:
    """The cluster that runs them; its client is an optional part of the installation."""
    if find_spec("kubernetes") is None:
        raise Misconfigured(
            "AGENTSTEAD_SANDBOX=kubernetes needs the official client, which is not installed.\n"
            "Install it: pip install 'agentstead[kubernetes]'."
        )
    from agentstead.sandbox.engines.kubernetes.api import KubernetesApi
    from agentstead.sandbox.engines.kubernetes.engine import KubernetesEngine

    return KubernetesEngine(
        KubernetesApi(settings.kubernetes_context),
        namespace=settings.kubernetes_namespace,
        owner=owner,
        image=settings.container_image,
        clock=clock,
        runtime_class=settings.container_runtime,
        sandbox_resource=settings.kubernetes_sandbox_resource,
        start_seconds=settings.container_start_seconds,
    )


async def owner_of(settings: Settings, database: Database) -> str:
    """What tells this platform's sandboxes from others' on one engine: the same for all its servers."""
    if settings.container_owner:
        return settings.container_owner
    row = await database.fetch_one(
        "select system_identifier || ' ' || current_database() as name from pg_control_system()"
    )
    assert row is not None
    return sha256(row["name"].encode()).hexdigest()[:OWNER_LENGTH]


def desk_of(
    hands: Hands, secrets: Secrets, name: str, clock: Clock
) -> AbstractAsyncContextManager[None]:
    """Where the proxies of sandboxes ask for secrets, under the name of this process; those of sandboxes
    on an engine have none to ask for."""
    if isinstance(hands, Bubblewrap):
        return desk(hands.root, secrets, name, clock)
    return nullcontext()


def egress_of(settings: Settings) -> Egress | None:
    """How sandboxes reach the network; None: none does."""
    if settings.sandbox_network == "none":
        return None
    given = settings.egress_upstream_proxy
    upstream = "" if given is None else given.get_secret_value()
    try:
        if upstream:
            Upstream.of(upstream)
    except ValueError as error:
        raise Misconfigured(
            f"AGENTSTEAD_EGRESS_UPSTREAM_PROXY {error}.\nCorrect it, or unset it."
        ) from None
    return Egress(
        ports=tuple(settings.egress_ports),
        openings=tuple(settings.egress_private_networks),
        denied=tuple(settings.egress_denied_hosts),
        names=settings.egress_names,
        upstream=upstream,
        authorities=authorities_of(settings),
        package_hosts=tuple(settings.egress_package_hosts),
        bytes_per_hour_max=settings.egress_bytes_per_hour_max,
        bounds=Bounds(
            connections_max=settings.egress_connections_max,
            idle_seconds=settings.egress_idle_seconds,
        ),
    )


def authorities_of(settings: Settings) -> str:
    """The certificates that sandboxes trust beside the system's, looked at once before they are used."""
    file = settings.egress_ca_file
    if file is None:
        return ""
    try:
        text = file.read_text()
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except (OSError, ValueError) as error:
        raise Misconfigured(
            f"AGENTSTEAD_EGRESS_CA_FILE: {file} holds no certificates that can be read: {error}.\n"
            "It must be a file of PEM certificates."
        ) from None
    return text
