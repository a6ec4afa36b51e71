"""The database: a pool of connections and three ways to ask.

Promises: every statement outside of `transaction` commits by itself; a lost or refused connection
is a `StoreFault` of kind `unavailable` (retryable), never a driver's error. Parameters are `%s` or
`%(name)s`. `json` columns come back parsed; who needs the stored bytes selects `column::text`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import psycopg
from psycopg import AsyncConnection, AsyncCursor
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import DictRow, dict_row, tuple_row
from psycopg.types.string import ByteaBinaryLoader
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from agentstead.errors import StoreFault

Params = Sequence[Any] | Mapping[str, Any]
Connection = AsyncConnection[DictRow]

PORT = 5432
"""Where PostgreSQL listens unless told otherwise."""
CONNECT_SECONDS = 10.0
"""For a first or a free connection; beyond it the database counts as unavailable."""
IDLE_SECONDS = 5.0
"""A transaction that is silent for so long is ended by the server: whoever is frozen, or out of reach, in
the middle of one would keep its rows locked for as long, and nobody could take its sessions over."""
LOSSES = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.IdleInTransactionSessionTimeout,
    PoolTimeout,
    PoolClosed,
)


@contextmanager
def faults() -> Iterator[None]:
    """Turn the loss of the database into a StoreFault."""
    try:
        yield
    except LOSSES as error:
        if isinstance(error, psycopg.errors.DiskFull):
            raise StoreFault(
                "The database's disk is full: free some space; nothing was lost, and work goes on "
                "by itself afterwards.",
                kind="full",
                retryable=True,
            ) from error
        if isinstance(error, psycopg.OperationalError) and not lost(error):
            raise
        raise StoreFault(
            f"The database is not available: {error}", kind="unavailable", retryable=True
        ) from error


def lost(error: psycopg.OperationalError) -> bool:
    """Whether it says that the connection is gone (a lock time-out or full disk is none)."""
    state = error.sqlstate
    return state is None or state.startswith(("08", "57P"))


async def bounded(connection: Connection) -> None:
    """Make a new connection give up a transaction in which its process says nothing more."""
    sql = f"set idle_in_transaction_session_timeout = {round(IDLE_SECONDS * 1000)}"
    await connection.execute(sql.encode())


class Transaction:
    """Statements that become true together, or not at all."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def fetch(self, sql: str, params: Params = ()) -> list[dict[str, Any]]:
        """All rows."""
        with faults():
            cursor = await self.connection.execute(sql.encode(), params or None)
            return await cursor.fetchall()

    async def fetch_one(self, sql: str, params: Params = ()) -> dict[str, Any] | None:
        """The first row, None when there is none."""
        with faults():
            cursor = await self.connection.execute(sql.encode(), params or None)
            return await cursor.fetchone()

    async def execute(self, sql: str, params: Params = ()) -> int:
        """Run a statement; how many rows it touched."""
        with faults():
            cursor = await self.connection.execute(sql.encode(), params or None)
            return cursor.rowcount

    async def keep_open(self) -> None:
        """May be silent for long from now on: it waits for something else, and locks nothing others need."""
        await self.execute("set local idle_in_transaction_session_timeout = 0")

    async def ask(self, sql: str, params: Params = ()) -> AsyncCursor[DictRow]:
        """Run a statement whose rows are fetched later: in a pipeline it does not wait."""
        with faults():
            return await self.connection.execute(sql.encode(), params or None)


class Database:
    """A pool of connections to one PostgreSQL database."""

    def __init__(self, url: str, pool: AsyncConnectionPool[Connection]) -> None:
        self.url = url
        self.pool = pool
        self.afterwards: dict[Connection, list[Callable[[], None]]] = {}

    @classmethod
    async def open(cls, url: str, *, connections_max: int = 10) -> "Database":
        """Connect; StoreFault when the database cannot be reached."""
        pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url,
            connection_class=AsyncConnection[DictRow],
            kwargs={"autocommit": True, "row_factory": dict_row, "client_encoding": "utf8"},
            min_size=1,
            max_size=connections_max,
            timeout=CONNECT_SECONDS,
            open=False,
            name="agentstead",
            configure=bounded,
        )
        try:
            with faults():
                await pool.open(wait=True, timeout=CONNECT_SECONDS)
        except StoreFault:
            await pool.close()
            raise
        return cls(url, pool)

    @property
    def places(self) -> list[tuple[str, int]]:
        """Host and port of each server that its URL names; a socket in a folder has none."""
        given = conninfo_to_dict(self.url)
        named = (str(given.get(key) or "").split(",") for key in ("host", "hostaddr"))
        hosts = [host for one in named for host in one if host and not host.startswith("/")]
        ports = [int(one) for one in str(given.get("port") or PORT).split(",")]
        return [(host, port) for host in hosts for port in ports]

    async def close(self) -> None:
        """Close all connections."""
        await self.pool.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """One connection of the pool, in autocommit."""
        with faults():
            async with self.pool.connection() as connection:
                try:
                    yield connection
                except BaseException:
                    self.afterwards.pop(connection, None)
                    raise
                for call in self.afterwards.pop(connection, ()):
                    call()

    def after(self, connection: Connection, call: Callable[[], None]) -> None:
        """Call it once whoever uses this connection of the pool is done; never when that fails."""
        self.afterwards.setdefault(connection, []).append(call)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """One transaction: committed at the end, rolled back by an exception."""
        async with self.connection() as connection, connection.transaction():
            yield Transaction(connection)

    @asynccontextmanager
    async def pipeline(self) -> AsyncIterator[Transaction]:
        """A transaction whose statements travel together: only fetching waits, and the end does.

        `execute` cannot tell the rows touched in it.
        """
        async with (
            self.connection() as connection,
            connection.pipeline(),
            connection.transaction(),
        ):
            yield Transaction(connection)

    async def fetch(self, sql: str, params: Params = ()) -> list[dict[str, Any]]:
        """All rows."""
        async with self.connection() as connection:
            return await Transaction(connection).fetch(sql, params)

    async def fetch_raw(self, sql: str, params: Params = ()) -> list[tuple[Any, ...]]:
        """All rows as tuples, JSON as its stored UTF-8 bytes: for many rows that are passed on.

        In a task of its own: they come in some forty pieces, and each would wake every coroutine
        from the socket up to the door.
        """
        return await asyncio.create_task(self._raw(sql, params))

    async def _raw(self, sql: str, params: Params) -> list[tuple[Any, ...]]:
        async with self.connection() as connection:
            cursor = connection.cursor(binary=True, row_factory=tuple_row)
            cursor.adapters.register_loader("json", ByteaBinaryLoader)
            await cursor.execute(sql.encode(), params or None)
            return await cursor.fetchall()

    async def fetch_one_and_raw(
        self, first: tuple[str, Params], then: tuple[str, Params]
    ) -> tuple[dict[str, Any] | None, list[tuple[Any, ...]]]:
        """A row, and rows that were read after it, as by `fetch_raw`, in one journey."""
        return await asyncio.create_task(self._one_and_raw(first, then))

    async def _one_and_raw(
        self, first: tuple[str, Params], then: tuple[str, Params]
    ) -> tuple[dict[str, Any] | None, list[tuple[Any, ...]]]:
        async with self.connection() as connection, connection.pipeline():
            one = await connection.execute(first[0].encode(), first[1] or None)
            many = connection.cursor(binary=True, row_factory=tuple_row)
            many.adapters.register_loader("json", ByteaBinaryLoader)
            await many.execute(then[0].encode(), then[1] or None)
            return await one.fetchone(), await many.fetchall()

    async def fetch_one(self, sql: str, params: Params = ()) -> dict[str, Any] | None:
        """The first row, None when there is none."""
        async with self.connection() as connection:
            return await Transaction(connection).fetch_one(sql, params)

    async def execute(self, sql: str, params: Params = ()) -> int:
        """Run a statement; how many rows it touched."""
        async with self.connection() as connection:
            return await Transaction(connection).execute(sql, params)
