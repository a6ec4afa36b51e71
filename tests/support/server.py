"""The whole server for a test: a real socket, a real database, and workers where they are wanted.

The model is the scripted one. The hands are a `FakeSandbox` unless a test brings real ones.
"""

import asyncio
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import uvicorn

from agentstead import outgoing, tools
from agentstead.addresses import networks
from agentstead.api.mount import create_app
from agentstead.api.ports import Services
from agentstead.app.connectors import servers_of
from agentstead.app.repositories import checkouts_of, repositories_of
from agentstead.app.rooms import bounds_of, shares_of
from agentstead.clock import SystemClock
from agentstead.ids import WORKER, RandomIds
from agentstead.log.event_log import EventLog
from agentstead.log.pressure import Pressure
from agentstead.providers.catalogue import Catalogue
from agentstead.providers.provider import ModelRequest, Part
from agentstead.providers.scripted import Scripted
from agentstead.providers.scripted.scenario import scenario
from agentstead.resources import ROUTERS, api_keys
from agentstead.resources.budgets.reserving import Reservations
from agentstead.resources.vaults.oauth import Oauth
from agentstead.resources.vaults.variables import VaultVariables
from agentstead.sandbox.bubblewrap import Bubblewrap
from agentstead.sandbox.desk import Secrets, desk
from agentstead.sandbox.sandbox import Limits, Sandbox
from agentstead.settings import Settings
from agentstead.store.blobs import FolderBlobs
from agentstead.store.key_ring import KEY_FILE, KeyRing
from agentstead.store.pool import Database
from agentstead.store.seal import Seal
from agentstead.telemetry.metrics import Metrics
from agentstead.testing.fake_sandbox import FakeSandbox
from agentstead.worker.checkpoints import Checkpoints
from agentstead.worker.checkpoints import Most as CheckpointsMost
from agentstead.worker.files import StoredFiles
from agentstead.worker.handing_over import HandingOver, Most
from agentstead.worker.loop import Worker
from agentstead.worker.skills import StoredSkills
from agentstead.worker.world import (
    NO_CHECKPOINTS,
    NO_PACKAGES,
    Pace,
    SessionPackages,
    World,
)
from tests.support.described import hold

MODEL = "scripted-test"
LOOPBACK = networks(["127.0.0.0/8", "::1"])
LOOPBACK_LISTED = ["127.0.0.0/8", "::1/128"]
"""Where the tests' own servers are."""


class Recorded(Scripted):
    """The scripted provider, which remembers what it was asked."""

    requests: list[ModelRequest]

    async def stream(self, request: ModelRequest) -> AsyncIterator[Part]:
        self.requests.append(request)
        async for part in super().stream(request):
            yield part


class _Server(uvicorn.Server):
    def capture_signals(self) -> Any:
        return nullcontext()


@dataclass
class Running:
    """A server that runs, and how to talk to it."""

    url: str
    key: str
    services: Services
    database: Database
    log: EventLog
    folder: Path
    """Of the blob store."""
    asked: list[ModelRequest]
    """What the model was sent."""
    checkpoints: Checkpoints
    clients: list[Any] = field(default_factory=list)

    def sdk(self, *, strict: bool = True, **more: Any) -> anthropic.AsyncAnthropic:
        """The official SDK, which refuses a response that does not fit its types."""
        client = anthropic.AsyncAnthropic(
            **{"base_url": self.url, "api_key": self.key, "max_retries": 0, **more},
            _strict_response_validation=strict,
        )
        self.clients.append(client)
        return client

    def http(self, **more: Any) -> httpx2.AsyncClient:
        """Plain HTTP with the key."""
        headers = {"x-api-key": self.key, **more.pop("headers", {})}
        client = httpx2.AsyncClient(
            base_url=self.url,
            headers=headers,
            timeout=10,
            event_hooks={"response": [hold]},
            **more,
        )
        self.clients.append(client)
        return client

    async def close(self) -> None:
        """Close the clients that were handed out."""
        for client in self.clients:
            await (client.aclose() if isinstance(client, httpx2.AsyncClient) else client.close())


@asynccontextmanager
async def serving(
    database_url: str,
    *,
    workers: int = 0,
    script: Mapping[str, Any] | None = None,
    sandbox: Sandbox | None = None,
    packages: SessionPackages = NO_PACKAGES,
    **settings: Any,
) -> AsyncIterator[Running]:
    """A server on a free port of the loopback."""
    clock = SystemClock()
    ids = RandomIds(clock)
    folder = Path(tempfile.mkdtemp(prefix="agentstead-test-"))
    own = {"outgoing_private_networks": LOOPBACK_LISTED, "data_dir": folder}
    config = Settings(models={MODEL: "scripted"}, **{**own, **settings})
    scripted = Recorded(scenario(script or {"turns": [{"text": "Done."}]}), clock=clock)
    scripted.requests = []
    catalogue = Catalogue(config, clock, providers={"scripted": scripted})
    database = await Database.open(database_url, connections_max=8)
    log = EventLog(
        database,
        ids=ids,
        clock=clock,
        lease_seconds=config.lease_seconds,
        late_stream_seconds=config.late_stream_seconds,
        stream_rest_seconds=config.stream_rest_seconds,
        shares=shares_of(config),
        sessions_max=config.worker_sessions_max,
    )
    keys = tempfile.TemporaryDirectory()
    seal = Seal(KeyRing(Path(keys.name) / KEY_FILE))
    http = outgoing.client(LOOPBACK, timeout_seconds=5)
    oauth = Oauth(database, seal, http, clock, ids)
    servers = servers_of(config, oauth, Metrics(), log.redactors.keep)
    await log.start()
    blobs = FolderBlobs(folder / "blobs")
    hands = sandbox or FakeSandbox(clock)
    most = Most(config.file_bytes_max, config.outputs_max)
    files = StoredFiles(database, blobs, HandingOver(database, blobs, hands, clock, ids, most))
    variables = VaultVariables(database, seal, log.redactors.keep)
    most_kept = CheckpointsMost(config.checkpoints_kept, config.checkpoint_bytes_max)
    checkpoints = Checkpoints(database, blobs, hands, clock, ids, Metrics(), most_kept)
    budgets = Reservations(database, clock)
    world = World(
        log=log,
        previews=log,
        models=catalogue,
        sandbox=hands,
        tools=tools.load(),
        clock=clock,
        ids=ids,
        limits=Limits(),
        pace=Pace(
            sessions_max=config.worker_sessions_max,
            claim_poll_seconds=0.2,
            drain_seconds=0.0,
            retry_first_seconds=config.retry_first_seconds,
            retry_max_seconds=config.retry_max_seconds,
            judge_timeout_seconds=config.judge_timeout_seconds,
        ),
        servers=servers,
        files=files,
        checkpoints=checkpoints if hasattr(hands, "standing") else NO_CHECKPOINTS,
        judge_model=config.judge_model,
        skills=StoredSkills(database, blobs, folder / "skills"),
        variables=variables,
        packages=packages,
        budgets=budgets,
        repositories=repositories_of(
            hands, database, seal, checkouts_of(config, folder / "checkouts", clock), log
        ),
    )
    services = Services(
        database, log, catalogue, config, clock, ids, seal, http, blobs,
        connectors=servers.connectors, pressure=Pressure(database, clock, bounds_of(config)),
    )  # fmt: skip
    try:
        _, key = await api_keys.create(database, "test", clock=clock, ids=ids)
        async with (
            _desk(hands, variables, ids),
            _listening(services) as url,
            _working(world, workers),
        ):
            running = Running(
                url, key, services, database, log, folder, scripted.requests, checkpoints
            )
            try:
                yield running
            finally:
                await running.close()
    finally:
        await servers.aclose()
        await http.aclose()
        await files.close()
        await checkpoints.close()
        await budgets.close()
        keys.cleanup()
        await log.close()
        await catalogue.close()
        await database.close()
        shutil.rmtree(folder)


def _desk(hands: Sandbox, secrets: Secrets, ids: RandomIds) -> AbstractAsyncContextManager[None]:
    """Where the proxies of real sandboxes ask."""
    return (
        desk(hands.root, secrets, ids.new(WORKER), SystemClock())
        if isinstance(hands, Bubblewrap)
        else nullcontext()
    )


@asynccontextmanager
async def _listening(services: Services) -> AsyncIterator[str]:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    app = create_app(ROUTERS, services)
    server = _Server(
        uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=1,
        )
    )
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started and not task.done():  # noqa: ASYNC110  uvicorn has no event
            await asyncio.sleep(0.005)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        with suppress(asyncio.CancelledError):
            await task
        listener.close()


@asynccontextmanager
async def _working(world: World, number: int) -> AsyncIterator[None]:
    workers = [Worker(world, world.ids.new(WORKER)) for _ in range(number)]
    tasks = [asyncio.create_task(worker.run()) for worker in workers]
    try:
        yield
    finally:
        for worker in workers:
            await worker.stop()
        await asyncio.gather(*tasks)
