"""A worker process beside a server: waits for the database, drives sessions, hands them back."""

from collections.abc import Callable

from agentstead.app import checks
from agentstead.app.database import attached_database
from agentstead.app.rooms import open_rooms
from agentstead.app.schema import schema_watched
from agentstead.app.stop import asked_to_stop, first_of
from agentstead.app.tidy import tidying
from agentstead.app.workers import workers_at_work
from agentstead.clock import Clock, SystemClock
from agentstead.errors import Misconfigured
from agentstead.settings import Settings
from agentstead.store.migrate import migrate
from agentstead.telemetry import logs
from agentstead.telemetry.metrics import Metrics

WAIT_SECONDS = 0.2

log = logs.get("app")


async def work(settings: Settings, ready: Callable[[str], None]) -> None:
    """Work until SIGTERM or SIGINT; a second signal ends the process at once."""
    clock = SystemClock()
    metrics = Metrics()
    with asked_to_stop() as stop:
        await wait_for_database(settings, clock)
        checks.prepare_data_dir(settings.data_dir)
        with metrics.shown_on(settings.metrics_port):
            async with (
                attached_database(settings, clock) as database,
                open_rooms(settings, database, metrics) as rooms,
            ):
                await migrate(database)
                owner = rooms.new_owner()
                async with (
                    tidying(rooms) as tidy,
                    schema_watched(database, clock) as schema,
                    workers_at_work(rooms, (owner,)) as tasks,
                ):
                    ready(owner)
                    log.info("ready", worker=owner)
                    await first_of(stop, [tidy, schema, *tasks])
                    log.info("stopping", worker=owner)
    log.info("stopped")


async def wait_for_database(settings: Settings, clock: Clock) -> None:
    """Give a server that is just starting some time; then say what is wrong."""
    until = clock.monotonic() + settings.database_wait_seconds
    told = False
    while True:
        try:
            async with attached_database(settings, clock):
                return
        except Misconfigured as error:
            hopeless = settings.database_url is None and not settings.data_dir.is_dir()
            if hopeless or clock.monotonic() >= until:
                raise
            if not told:
                log.warning("waiting for the database", reason=error.message.splitlines()[0])
                told = True
        await clock.sleep(WAIT_SECONDS)
