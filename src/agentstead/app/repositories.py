"""Settings become the checkouts of this platform, and what a worker does with them."""

import ssl
from pathlib import Path

from agentstead.app.hands import Hands
from agentstead.clock import Clock
from agentstead.errors import Misconfigured
from agentstead.log.event_log import EventLog
from agentstead.sandbox.bubblewrap import Bubblewrap
from agentstead.sandbox.checkouts import Bounds, Checkouts
from agentstead.sandbox.network import Egress
from agentstead.sandbox.sandbox import Sandbox
from agentstead.settings import Settings
from agentstead.store.pool import Database
from agentstead.store.seal import Seal
from agentstead.worker.repositories import StoredRepositories
from agentstead.worker.world import NO_REPOSITORIES, SessionRepositories

CHECKOUTS = "checkouts"
"""Folder of the data directory."""
IDLE_SECONDS = 60.0
TRAFFIC = 2
"""So often its bytes on disk a checkout may move: packs are smaller than what they hold."""


def checkouts_of(settings: Settings, folder: Path, clock: Clock) -> Checkouts:
    """Where and within which bounds repositories are checked out."""
    given = settings.egress_upstream_proxy
    egress = Egress(
        openings=tuple(settings.repository_private_networks),
        denied=tuple(settings.egress_denied_hosts),
        names=settings.egress_names,
        upstream="" if given is None else given.get_secret_value(),
        bytes_per_hour_max=TRAFFIC * settings.repository_bytes_max,
    )
    bounds = Bounds(
        bytes_max=settings.repository_bytes_max,
        seconds=settings.repository_seconds,
        depth=settings.repository_depth,
    )
    hands = Bubblewrap(folder, clock=clock, idle_seconds=IDLE_SECONDS, egress=egress)
    return Checkouts(hands, bounds, authorities_of(settings))


def authorities_of(settings: Settings) -> str:
    """The operator's own certificates."""
    file = settings.repository_ca_file
    if file is None:
        return ""
    try:
        authorities = file.read_text()
        ssl.create_default_context(cadata=authorities)
    except (OSError, ValueError, ssl.SSLError) as error:
        raise Misconfigured(
            f"AGENTSTEAD_REPOSITORY_CA_FILE ({file}) cannot be used: {error}.\n"
            "It names a file of certificates in PEM form."
        ) from None
    return authorities


def repositories_of(
    hands: Hands | Sandbox, database: Database, seal: Seal, checkouts: Checkouts, log: EventLog
) -> SessionRepositories:
    """What workers do; sandboxes of an engine take no folder of this host, so sessions there have none."""
    if not isinstance(hands, Bubblewrap):
        return NO_REPOSITORIES
    return StoredRepositories(database, seal, checkouts, hands, log.redactors.keep)
