"""One embedded PostgreSQL per test process and, from a migrated template, a database per test.

The server forgets all at a power cut: nothing here outlives the run, and waiting for the disk is
most of what a fresh database costs. What the product starts is durable: tests/store/test_embedded.
"""

import asyncio
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from agentstead.store.embedded import EmbeddedPostgres
from agentstead.store.migrate import migrate
from agentstead.store.pool import Database

TEMPLATE = "template_agentstead"
FORGETFUL = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
_numbers = itertools.count(1)


def temporary_dir() -> Path:
    """A temporary directory that the database's own user may pass through."""
    folder = Path(tempfile.mkdtemp(prefix="agentstead-test-"))
    if os.geteuid() == 0:
        folder.chmod(0o711)
    return folder


class Server:
    """The run's database server."""

    def __init__(self, embedded: EmbeddedPostgres, url: str) -> None:
        self.embedded = embedded
        self.url = url

    def execute(self, sql: str) -> None:
        """Run a statement that cannot run in a transaction."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql.encode())

    def create(self) -> str:
        """A fresh, migrated database; its URL."""
        name = f"test_{next(_numbers)}"
        self.execute(f"create database {name} template {TEMPLATE}")
        return make_conninfo(self.url, dbname=name)

    def drop(self, url: str) -> None:
        """Remove it, whoever is still connected."""
        name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
        self.execute(f"drop database if exists {name} with (force)")


async def _start(folder: Path) -> Server:
    embedded = EmbeddedPostgres(folder / "data", settings=FORGETFUL)
    server = Server(embedded, await embedded.start())
    server.execute(f"create database {TEMPLATE}")
    database = await Database.open(make_conninfo(server.url, dbname=TEMPLATE), connections_max=1)
    await migrate(database)
    await database.close()
    return server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """The run's server."""
    folder = temporary_dir()
    try:
        server = asyncio.run(_start(folder))
        yield server
        asyncio.run(server.embedded.stop())
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def database_url(postgres: Server) -> Iterator[str]:
    """URL of a fresh, migrated database of this test's own."""
    url = postgres.create()
    yield url
    postgres.drop(url)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A pool on a fresh, migrated database of this test's own."""
    opened = await Database.open(database_url)
    yield opened
    await opened.close()
