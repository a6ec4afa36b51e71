"""Settings become rooms: what the API and the workers of one process share."""

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2

from agentstead import addresses, outgoing, tools
from agentstead.app.connectors import servers_of
from agentstead.app.counted_log import CountedLog
from agentstead.app.hands import Hands, desk_of, hands_of, owner_of
from agentstead.app.repositories import CHECKOUTS, checkouts_of, repositories_of
from agentstead.clock import Clock, SystemClock
from agentstead.ids import WORKER, Ids, RandomIds
from agentstead.log.claims import Share, Shares
from agentstead.log.event_log import EventLog
from agentstead.log.pressure import Bounds
from agentstead.providers.catalogue import Catalogue
from agentstead.resources.budgets.reserving import Reservations
from agentstead.resources.vaults.oauth import Oauth
from agentstead.resources.vaults.variables import VaultVariables
from agentstead.sandbox.bubblewrap import Bubblewrap
from agentstead.sandbox.checkouts import Checkouts
from agentstead.sandbox.images.images import Images
from agentstead.sandbox.packages.building import Packages
from agentstead.sandbox.packages.elsewhere import Elsewhere
from agentstead.sandbox.packages.layers import Layers
from agentstead.sandbox.packages.workshop import Bounds as BuildBounds
from agentstead.sandbox.packages.workshop import Workshop
from agentstead.sandbox.sandbox import Limits
from agentstead.settings import Settings
from agentstead.store import key_ring
from agentstead.store.blobs import Blobs, FolderBlobs
from agentstead.store.pool import Database
from agentstead.store.seal import Seal
from agentstead.telemetry.metrics import Metrics
from agentstead.worker.checkpoints import Checkpoints
from agentstead.worker.checkpoints import Most as CheckpointsMost
from agentstead.worker.files import StoredFiles
from agentstead.worker.handing_over import HandingOver, Most
from agentstead.worker.servers import Servers
from agentstead.worker.skills import StoredSkills
from agentstead.worker.world import NO_CHECKPOINTS, NO_VARIABLES, Pace, World

BLOBS, SKILLS = "blobs", "skills"
"""Folders of the data directory."""


@dataclass(frozen=True, slots=True)
class Rooms:
    """The rooms of one process."""

    settings: Settings
    clock: Clock
    ids: Ids
    database: Database
    log: EventLog
    catalogue: Catalogue
    sandbox: Hands
    blobs: Blobs
    files: StoredFiles
    checkpoints: Checkpoints | None
    """None: an engine keeps the files of sandboxes."""
    metrics: Metrics
    seal: Seal
    http: httpx2.AsyncClient
    servers: Servers
    variables: VaultVariables
    packages: Packages | None
    checkouts: Checkouts
    budgets: Reservations

    def world(self) -> World:
        """What a worker sees of them."""
        return World(
            log=CountedLog(self.log, self.metrics),
            previews=self.log,
            models=self.catalogue,
            sandbox=self.sandbox,
            tools=tools.load(),
            clock=self.clock,
            ids=self.ids,
            limits=limits_of(self.settings),
            files=self.files,
            checkpoints=self.checkpoints or NO_CHECKPOINTS,
            skills=StoredSkills(self.database, self.blobs, self.settings.data_dir / SKILLS),
            pace=pace_of(self.settings),
            servers=self.servers,
            repositories=repositories_of(
                self.sandbox, self.database, self.seal, self.checkouts, self.log
            ),
            judge_model=self.settings.judge_model,
            networked=self.sandbox.networked,
            credentialed=isinstance(self.sandbox, Bubblewrap),
            variables=self.variables if isinstance(self.sandbox, Bubblewrap) else NO_VARIABLES,
            packages=self.packages or Elsewhere(),
            budgets=self.budgets,
        )

    def new_owner(self) -> str:
        """A worker's name: where it runs, in which process, and what makes it unique."""
        return f"{socket.gethostname()}:{os.getpid()}:{self.ids.new(WORKER)}"


@asynccontextmanager
async def open_rooms(
    settings: Settings, database: Database, metrics: Metrics
) -> AsyncIterator[Rooms]:
    """Open the rooms on a database; closed in reverse order at the end."""
    clock = SystemClock()
    ids, budgets = RandomIds(clock), Reservations(database, clock)
    log = log_of(settings, database, ids, clock)
    catalogue = Catalogue(settings, clock)
    sandbox = hands_of(settings, clock, await owner_of(settings, database))
    blobs = FolderBlobs(settings.data_dir / BLOBS)
    most = Most(settings.file_bytes_max, settings.outputs_max)
    files = StoredFiles(database, blobs, HandingOver(database, blobs, sandbox, clock, ids, most))
    kept = CheckpointsMost(settings.checkpoints_kept, settings.checkpoint_bytes_max)
    checkpoints = None
    if isinstance(sandbox, Bubblewrap):
        checkpoints = Checkpoints(database, blobs, sandbox, clock, ids, metrics, kept)
    http = outgoing_client(settings)
    seal = seal_of(settings)
    oauth = Oauth(database, seal, http, clock, ids)
    servers = servers_of(settings, oauth, metrics, log.redactors.keep)
    packages = packages_of(settings, sandbox, clock, metrics)
    variables = VaultVariables(database, seal, log.redactors.keep)
    await log.start()
    try:
        async with desk_of(sandbox, variables, ids.new(WORKER), clock):
            yield Rooms(
                settings,
                clock,
                ids,
                database,
                log,
                catalogue,
                sandbox,
                blobs,
                files,
                checkpoints,
                metrics,
                seal,
                http,
                servers,
                variables,
                packages,
                checkouts_of(settings, settings.data_dir / CHECKOUTS, clock),
                budgets,
            )
    finally:
        for room in (packages, checkpoints, budgets):
            if room is not None:
                await room.close()
        await servers.aclose()
        await http.aclose()
        await files.close()
        await log.close()
        await sandbox.close()
        await catalogue.close()


def log_of(settings: Settings, database: Database, ids: Ids, clock: Clock) -> EventLog:
    """The log, not started yet."""
    return EventLog(
        database,
        ids=ids,
        clock=clock,
        lease_seconds=settings.lease_seconds,
        late_stream_seconds=settings.late_stream_seconds,
        stream_rest_seconds=settings.stream_rest_seconds,
        secrets=secrets_of(settings),
        nats_url=None if settings.nats_url is None else settings.nats_url.get_secret_value(),
        shares=shares_of(settings),
        sessions_max=settings.worker_sessions_max,
    )


def packages_of(
    settings: Settings, sandbox: Hands, clock: Clock, metrics: Metrics
) -> Packages | None:
    """What installs the packages of environments; None: sandboxes on an engine get none."""
    if not isinstance(sandbox, Bubblewrap):
        return None
    bounds = BuildBounds(
        seconds=settings.packages_build_seconds,
        disk_bytes=settings.packages_disk_bytes,
        memory_bytes=settings.packages_memory_bytes,
        builds_max=settings.packages_builds_max,
        retry_seconds=settings.packages_retry_seconds,
    )
    workshop = Workshop(sandbox, bounds, limits_of(settings), clock, Images.of(settings))
    return Packages(Layers.of(settings), workshop, clock, metrics)


def outgoing_client(settings: Settings) -> httpx2.AsyncClient:
    """For requests to addresses that somebody else chose."""
    return outgoing.client(
        addresses.networks(settings.outgoing_private_networks),
        timeout_seconds=settings.outgoing_timeout_seconds,
    )


def seal_of(settings: Settings) -> Seal:
    """What secrets are sealed with."""
    return Seal(ring_of(settings))


def ring_of(settings: Settings) -> key_ring.KeyRing:
    """The master keys."""
    given = None if settings.seal_keys is None else settings.seal_keys.get_secret_value()
    return key_ring.KeyRing(settings.data_dir / key_ring.KEY_FILE, given)


def shares_of(settings: Settings) -> Shares:
    """What each workspace gets of the workers."""
    default = Share(running_max=settings.workspace_running_max)
    shares = {name: settings.share_of(name) for name in settings.workspace_shares}
    own = {name: Share(int(each["running_max"]), each["weight"]) for name, each in shares.items()}
    return Shares(default, own)


def bounds_of(settings: Settings) -> Bounds:
    """How much may wait."""
    own = {name: int(settings.share_of(name)["waiting_max"]) for name in settings.workspace_shares}
    return Bounds(
        waiting_max=settings.waiting_max,
        workspace_waiting_max=settings.workspace_waiting_max,
        own=own,
        inbox_max=settings.session_inbox_max,
        retry_seconds=settings.retry_after_seconds,
    )


def secrets_of(settings: Settings) -> tuple[str, ...]:
    """What must never be written into a log, whoever says it."""
    given = (
        settings.api_key,
        settings.anthropic_api_key,
        settings.openai_api_key,
        settings.nats_url,
        settings.notify_slack_url,
        settings.notify_slack_credential,
        settings.notify_email_url,
        settings.notify_webhook_url,
        settings.notify_webhook_credential,
    )
    return tuple(secret.get_secret_value() for secret in given if secret is not None)


def limits_of(settings: Settings) -> Limits:
    """The sandbox limits of every environment that sets none."""
    return Limits(
        memory_bytes=settings.sandbox_memory_bytes,
        processes_max=settings.sandbox_processes_max,
        cpus=settings.sandbox_cpus,
        disk_bytes=settings.sandbox_disk_bytes,
        open_files_max=settings.sandbox_open_files_max,
        call_seconds=settings.sandbox_call_seconds,
        output_bytes=settings.sandbox_output_bytes,
    )


def pace_of(settings: Settings) -> Pace:
    """The worker's numbers."""
    return Pace(
        sessions_max=settings.worker_sessions_max,
        heartbeat_seconds=settings.heartbeat_seconds,
        claim_poll_seconds=settings.claim_poll_seconds,
        attempts_max=settings.attempts_max,
        max_output_tokens=settings.max_output_tokens,
        retries_max=settings.retries_max,
        retry_first_seconds=settings.retry_first_seconds,
        retry_max_seconds=settings.retry_max_seconds,
        judge_timeout_seconds=settings.judge_timeout_seconds,
        drain_seconds=settings.drain_seconds,
        repeats_max=settings.repeats_max,
        session_seconds=settings.session_seconds
        or settings.sandbox_limits_max.get("session_seconds", 0.0),
        turn_seconds=settings.turn_seconds or settings.sandbox_limits_max.get("turn_seconds", 0.0),
    )
