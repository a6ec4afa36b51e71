"""One data directory with a migrated database, made once per run and then copied.

To set a database up and migrate it costs seconds of work, a copy in memory a few hundredths. The
first process that needs it makes it, the others wait; the process that started the run removes it.
Nobody has started a platform on it yet: no key, no rows.
"""

import asyncio
import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from agentstead.store.embedded import EmbeddedPostgres
from agentstead.store.migrate import migrate
from agentstead.store.pool import Database
from tests.support.places import MEMORY, roomy, temporary_dir

TEMPLATE = "template_agentstead"
"""The migrated database once more, under a name that nobody connects to."""
FORGETFUL = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
VARIABLE = "AGENTSTEAD_TEST_PREPARED"
OF_ONE_SERVER = ("socket", "postgres.socket", "postgres.log", "postgres.lock")


def pytest_configure(config):
    """Name the place before any process of the run is started."""
    if not hasattr(config, "workerinput"):
        stack = ExitStack()
        stack.enter_context(place())
        config.add_cleanup(stack.close)


@contextmanager
def place() -> Iterator[None]:
    """A place for it, known to all processes that are started from here, and removed at the end."""
    folder = temporary_dir(MEMORY if roomy(MEMORY) else None)
    os.environ[VARIABLE] = str(folder)
    try:
        yield
    finally:
        del os.environ[VARIABLE]
        shutil.rmtree(folder)


def prepare(data_dir: Path) -> None:
    """Put a database that is set up and migrated into a data directory, which may be there already."""
    source = made(Path(os.environ[VARIABLE]))
    data_dir.mkdir(exist_ok=True)
    data_dir.chmod(source.stat().st_mode & 0o777)
    for path in source.iterdir():
        # The programs are only read, so they may be the same files.
        how = (
            "-al"
            if path.name.startswith("postgres-programs") and one_device(path, data_dir)
            else "-a"
        )
        subprocess.run(["cp", how, str(path), str(data_dir / path.name)], check=True)


def one_device(path: Path, other: Path) -> bool:
    """Whether a file can have a second name there."""
    return path.stat().st_dev == other.stat().st_dev


def made(folder: Path) -> Path:
    """The data directory to copy; the first to ask makes it."""
    data = folder / "data"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not data.exists():
            asyncio.run(make(folder / "draft"))
            (folder / "draft").rename(data)
    return data


async def make(data_dir: Path) -> None:
    """Set a server up, migrate its database, stop it."""
    embedded = EmbeddedPostgres(data_dir, settings=FORGETFUL)
    url = await embedded.start()
    database = await Database.open(url, connections_max=1)
    await migrate(database)
    await database.close()
    with psycopg.connect(make_conninfo(url, dbname="template1"), autocommit=True) as connection:
        connection.execute(
            f"create database {TEMPLATE} template postgres strategy file_copy".encode()
        )
    await embedded.stop()
    for name in OF_ONE_SERVER:
        path = data_dir / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
