"""A server: API and workers in one process, from its first check to its last connection."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from agentstead.app import checks
from agentstead.app.bootstrap import bootstrap_key
from agentstead.app.database import served_database
from agentstead.app.door import open_door
from agentstead.app.presence import KEY_FILE, announce_presence, withdraw_presence
from agentstead.app.rooms import open_rooms
from agentstead.app.schema import schema_watched
from agentstead.app.stop import asked_to_stop, first_of
from agentstead.app.tidy import tidying
from agentstead.app.workers import workers_at_work
from agentstead.clock import SystemClock
from agentstead.settings import Settings
from agentstead.telemetry import logs
from agentstead.telemetry.metrics import Metrics

log = logs.get("app")


@dataclass(frozen=True, slots=True)
class Served:
    """A server that answers."""

    url: str
    new_key: str | None
    """The key made at the first start; shown once."""
    key_file: Path
    tasks: "tuple[asyncio.Task[None], ...]" = ()
    """Door and workers: they run until the server is stopped."""


async def serve(settings: Settings, ready: Callable[[Served], None]) -> None:
    """Serve until SIGTERM or SIGINT; a second signal ends the process at once."""
    with asked_to_stop() as stop:
        async with serving(settings) as served:
            ready(served)
            await first_of(stop, list(served.tasks))
            log.info("stopping")
    log.info("stopped")


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Served]:
    """A server for as long as the block runs."""
    checks.check_door(settings)
    checks.prepare_data_dir(settings.data_dir)
    checks.check_image(settings)
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(checks.listen(settings))
        port = listener.getsockname()[1]
        checks.check_upstreams(settings, port)
        database = await stack.enter_async_context(served_database(settings, clock))
        rooms = await stack.enter_async_context(open_rooms(settings, database, Metrics()))
        if settings.database_url is None:
            # Stopping the database stops everybody who works here, so sandboxes may rest.
            stack.push_async_callback(rooms.sandbox.rest)
        new_key = await bootstrap_key(settings, database)
        url = url_of(settings, port)
        tidy = await stack.enter_async_context(tidying(rooms))
        schema = await stack.enter_async_context(schema_watched(database, clock))
        leaving = asyncio.Event()
        door = await stack.enter_async_context(open_door(rooms, listener, leaving))
        owners = tuple(rooms.new_owner() for _ in range(settings.workers))
        workers = await stack.enter_async_context(workers_at_work(rooms, owners))
        announce_presence(settings.data_dir, url)
        stack.callback(withdraw_presence, settings.data_dir)
        stack.callback(leaving.set)  # first of all, while the door is open and workers finish steps
        log.info("ready", url=url, workers=settings.workers)
        yield Served(url, new_key, settings.data_dir / KEY_FILE, (door, tidy, schema, *workers))


def url_of(settings: Settings, port: int) -> str:
    """How to reach the server from this machine."""
    scheme = "http" if settings.tls_cert is None else "https"
    host = settings.host.strip("[]")
    if host in {"0.0.0.0", "::", ""}:  # noqa: S104 (compared, not bound)
        host = "127.0.0.1"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
