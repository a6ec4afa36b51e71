"""The HTTP server around the API: sockets, TLS, and an orderly end."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext

import uvicorn

from agentstead.api.mount import create_app
from agentstead.api.ports import Services
from agentstead.app.metrics_route import metrics_router
from agentstead.app.rooms import Rooms, bounds_of
from agentstead.errors import Misconfigured
from agentstead.log.pressure import Pressure
from agentstead.resources import ROUTERS
from agentstead.settings import Settings
from agentstead.telemetry.requests import CountedApp

START_POLL_SECONDS = 0.005
KEEP_ALIVE_SECONDS = 75
"""Longer than clients and proxies keep an idle connection, so that they close it, not we."""

LEAVING = "This server is stopping; send new requests to another one."
"""What `/readyz` says from the first signal on, for whoever spreads requests over several servers."""


class Server(uvicorn.Server):
    """uvicorn without its signal handlers: who runs it decides when it ends."""

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override, explicit-override]
        """Leave signals alone."""
        return nullcontext()


@asynccontextmanager
async def open_door(
    rooms: Rooms, listener: socket.socket, leaving: asyncio.Event
) -> AsyncIterator["asyncio.Task[None]"]:
    """Answer requests for as long as the block runs; then finish what is open, streams first."""
    services = Services(
        database=rooms.database,
        log=rooms.log,
        catalogue=rooms.catalogue,
        settings=rooms.settings,
        clock=rooms.clock,
        ids=rooms.ids,
        seal=rooms.seal,
        http=rooms.http,
        blobs=rooms.blobs,
        pressure=Pressure(rooms.database, rooms.clock, bounds_of(rooms.settings)),
        connectors=rooms.servers.connectors,
        hands_problems=lambda: [*rooms.sandbox.problems, *([LEAVING] if leaving.is_set() else [])],
    )
    api = create_app((*ROUTERS, metrics_router(rooms.metrics)), services)
    server = Server(configuration(CountedApp(api, rooms.metrics, rooms.clock), rooms.settings))
    task = asyncio.create_task(server.serve(sockets=[listener]), name="door")
    try:
        while not server.started and not task.done():
            await rooms.clock.sleep(START_POLL_SECONDS)
        yield task
    finally:
        server.should_exit = True
        rooms.log.end_streams()
        await task


def configuration(app: CountedApp, settings: Settings) -> uvicorn.Config:
    """How uvicorn serves."""
    config = uvicorn.Config(
        app,
        loop="none",
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=settings.behind_proxy,
        forwarded_allow_ips="*" if settings.behind_proxy else None,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=max(1, round(settings.shutdown_seconds)),
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
    )
    try:
        config.load()
    except ssl.SSLError as error:
        raise Misconfigured(
            f"The TLS certificate or its key cannot be used: {error.reason or error}.\n"
            "--tls-cert takes a PEM certificate chain, --tls-key its unencrypted private key."
        ) from error
    return config
