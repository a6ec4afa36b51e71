"""One embedded PostgreSQL per test process and, from a migrated template, a database per test.

The server forgets all at a power cut, and lives in memory where there is room: nothing here outlives
the run, and the disk is nearly all that a fresh database costs (measured: 300 ms on one, 30 ms
without). What the product starts is durable: tests/store/test_embedded.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from agentstead.store.embedded import EmbeddedPostgres
from agentstead.store.pool import Database
from tests.support.places import memory_dir
from tests.support.prepared import FORGETFUL, TEMPLATE, prepare


class Server:
    """The run's database server."""

    def __init__(self, embedded: EmbeddedPostgres, url: str) -> None:
        self.embedded = embedded
        self.url = url
        self.numbers = itertools.count(1)
        self.connection = psycopg.connect(url, autocommit=True)

    def execute(self, sql: str) -> None:
        """Run a statement that cannot run in a transaction."""
        self.connection.execute(sql.encode())

    def create(self, template: str = TEMPLATE) -> str:
        """A fresh database, migrated unless another template is named; its URL."""
        name = f"test_{next(self.numbers)}"
        self.execute(f"create database {name} template {template} strategy file_copy")
        return make_conninfo(self.url, dbname=name)

    def drop(self, url: str) -> None:
        """Remove it, whoever is still connected."""
        name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
        self.execute(f"drop database if exists {name} with (force)")

    async def stop(self) -> None:
        """End it; nothing of it stays."""
        self.connection.close()
        await self.embedded.stop()


async def _start(folder: Path) -> Server:
    embedded = EmbeddedPostgres(folder / "data", settings=FORGETFUL)
    return Server(embedded, await embedded.start())


@contextmanager
def serving() -> Iterator[Server]:
    """A server with a migrated template."""
    with memory_dir() as folder:
        prepare(folder / "data")
        server = asyncio.run(_start(folder))
        try:
            yield server
        finally:
            asyncio.run(server.stop())


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """The run's server."""
    with serving() as server:
        yield server


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
