"""The database of a data directory, for whoever needs it: serving, helping, or one question."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agentstead.clock import Clock
from agentstead.errors import Misconfigured, StoreFault
from agentstead.settings import Settings
from agentstead.store.embedded import EmbeddedPostgres
from agentstead.store.instance import Instance
from agentstead.store.migrate import migrate
from agentstead.store.pool import Database
from agentstead.telemetry import logs

GUARD_SECONDS = 1.0

log = logs.get("app")


@asynccontextmanager
async def served_database(settings: Settings, clock: Clock) -> AsyncIterator[Database]:
    """The database for a server: held alone, started and brought up to date; stopped at the end."""
    if settings.database_url is not None:
        async with opened(settings.database_url, settings.database_connections_max) as database:
            await migrate(database)
            yield database
        return
    async with (
        held(settings, clock) as (postgres, url),
        guarded(postgres, clock),
        opened(url, settings.database_connections_max) as database,
    ):
        await migrate(database)
        yield database


@asynccontextmanager
async def held(settings: Settings, clock: Clock) -> AsyncIterator[tuple[EmbeddedPostgres, str]]:
    """The embedded server of a data directory that nobody else serves, and its URL; stopped at the end."""
    instance = Instance.hold(settings.data_dir)
    try:
        postgres = EmbeddedPostgres(settings.data_dir, clock=clock)
        url = await postgres.start()
        try:
            yield postgres, url
        finally:
            await postgres.stop()
    finally:
        instance.release()


@asynccontextmanager
async def guarded(postgres: EmbeddedPostgres, clock: Clock) -> AsyncIterator[None]:
    """Start the embedded server again whenever it dies under us."""
    task = asyncio.create_task(start_again(postgres, clock), name="database guard")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def start_again(postgres: EmbeddedPostgres, clock: Clock) -> None:
    """Look every second; a start that fails is tried again."""
    while True:
        await clock.sleep(GUARD_SECONDS)
        if postgres.postmaster.running():
            continue
        log.warning("the database has ended; starting it again")
        try:
            await postgres.start()
        except (Misconfigured, OSError) as error:
            log.warning("the database does not start", error=str(error))


@asynccontextmanager
async def attached_database(settings: Settings, clock: Clock) -> AsyncIterator[Database]:
    """The database of a server that runs; Misconfigured when none does."""
    url = settings.database_url
    if url is None:
        url = await EmbeddedPostgres(settings.data_dir, clock=clock).attach()
    async with opened(url, settings.database_connections_max) as database:
        yield database


@asynccontextmanager
async def any_database(settings: Settings, clock: Clock) -> AsyncIterator[Database]:
    """The database, whether its server runs or not; one started for this is stopped again."""
    if settings.database_url is None and not running(settings):
        async with served_database(settings, clock) as database:
            yield database
        return
    async with attached_database(settings, clock) as database:
        await migrate(database)
        yield database


def running(settings: Settings) -> bool:
    """Whether the embedded database of the data directory runs."""
    return EmbeddedPostgres(settings.data_dir).postmaster.running()


@asynccontextmanager
async def opened(url: str, connections_max: int) -> AsyncIterator[Database]:
    """A pool of connections; a database that cannot be reached is the operator's to mend."""
    try:
        database = await Database.open(url, connections_max=connections_max)
    except StoreFault as fault:
        raise Misconfigured(
            f"The database cannot be reached: {first_line(fault.message)}\n"
            "Start it, or correct --database-url (AGENTSTEAD_DATABASE_URL)."
        ) from fault
    try:
        yield database
    finally:
        await database.close()


def first_line(text: str) -> str:
    """The first line of a driver's message."""
    return text.strip().splitlines()[0] if text.strip() else "no reason given"
