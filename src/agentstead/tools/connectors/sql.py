"""A database as tools: its schema, queries, and where granted statements that change something.

Promises: a query runs in a read-only transaction that is rolled back, whatever the statement says; what
a statement would do is judged before it is sent (`statements`); the address is checked by `targets`, and
files of SQLite lie below the operator's folders; no message names the password.
"""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import URL, CursorResult, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from agentstead.errors import ConnectorFault, Invalid
from agentstead.sandbox.sandbox import Outcome
from agentstead.tools.connectors.connector import (
    OUTPUT_CHARACTERS_MAX,
    ConnectorCall,
    ConnectorTool,
    Declared,
    Means,
)
from agentstead.tools.connectors.dialects import DIALECTS, Dialect
from agentstead.tools.connectors.statements import checked
from agentstead.tools.connectors.tables import tables
from agentstead.tools.tool import Effect

CONNECTIONS_MAX = 4
IDLE_SECONDS = 300
CELL_CHARACTERS_MAX = 10_000
SQL: Mapping[str, Any] = {
    "type": "string",
    "minLength": 1,
    "description": "One statement; values as :name, given in parameters.",
}
PARAMETERS: Mapping[str, Any] = {
    "type": "object",
    "description": "The value of each :name in sql.",
    "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
}


def parsed(connection: str) -> URL:
    """The address; Invalid never repeats it, since it may hold a password."""
    try:
        url = make_url(connection)
    except (ArgumentError, ValueError):
        raise Invalid(
            "config.connection: It cannot be read. Write it as postgresql://user:password@host:port/database,"
            " mysql://… or sqlite:////absolute/path; reserved characters in a password are written %40 and"
            " so on."
        ) from None
    dialect = dialect_of(url)
    if dialect.name == "sqlite":
        if not (url.database or "").startswith("/"):
            raise Invalid("config.connection: A SQLite file needs its whole path: sqlite:////path.")
        return url
    if not url.host or url.host.startswith("/"):
        raise Invalid("config.connection: It must name a host; sockets in a folder are not used.")
    strange = set(url.query) - dialect.options
    if strange:
        known = ", ".join(sorted(dialect.options))
        raise Invalid(
            f"config.connection: The option {min(strange)} is not allowed; there are {known}."
        )
    return url


def dialect_of(url: URL) -> Dialect:
    """What is spoken there; Invalid."""
    found = DIALECTS.get(url.drivername.partition("+")[0])
    if found is None:
        raise Invalid("config.connection: It must begin with postgresql://, mysql:// or sqlite://.")
    return found


@dataclass(slots=True)
class Opened:
    """The pool of connections to one address."""

    address: str
    engine: AsyncEngine


class DatabaseConnector:
    """One database."""

    def __init__(self, declared: Declared, means: Means) -> None:
        self.declared = declared
        self.means = means
        self.url = parsed(declared.secrets["connection"])
        self.dialect = dialect_of(self.url)
        self.rows_max = int(declared.config.get("rows_max", 200))
        self.opened: Opened | None = None

    @property
    def tools(self) -> Sequence[ConnectorTool]:
        """All of it."""
        name, kind = self.declared.name, self.dialect.title
        sql = {"sql": SQL, "parameters": PARAMETERS}
        only = {"type": "array", "items": {"type": "string"}, "description": "Only these."}
        return [
            ConnectorTool(
                f"{name}_schema",
                f"The tables of the {kind} database {name}: columns, keys.",
                _schema({"tables": only}),
                Effect.READ,
            ),
            ConnectorTool(
                f"{name}_query",
                f"Ask the {kind} database {name} with one SELECT; it changes nothing. At most "
                f"{self.rows_max} rows are answered.",
                _schema(sql, "sql"),
                Effect.READ,
            ),
            ConnectorTool(
                f"{name}_execute",
                f"Change the {kind} database {name} with one statement; it is committed. {self._may()}",
                _schema(sql, "sql"),
                Effect.WRITE,
            ),
        ]

    def _may(self) -> str:
        if self.declared.grants(Effect.DELETE):
            return "It may delete."
        return "It may not delete, truncate or drop."

    async def call(self, call: ConnectorCall) -> Outcome:
        """Ask or change."""
        what = call.tool.name.removeprefix(f"{self.declared.name}_")
        if what == "schema":
            async with self._connection(read_only=True) as connection:
                return Outcome.text(await connection.run_sync(tables, call.input.get("tables")))
        writes = what == "execute"
        may = [one for one, granted in self.declared.permissions.items() if granted and writes]
        statement = checked(
            str(call.input["sql"]),
            call.input.get("parameters") or {},
            self.dialect.name,
            may or ["read"],
            self.rows_max,
            self.declared.config.get("functions") or (),
        )
        sql, parameters = text(statement.sql), dict(statement.parameters)
        async with self._connection(read_only=not writes) as connection:
            return self._done(await connection.execute(sql, parameters))

    def _done(self, result: CursorResult[Any]) -> Outcome:
        """What a statement that was carried out tells."""
        if result.returns_rows:
            rows = result.fetchmany(self.rows_max + 1)
            return Outcome.text(shown(list(result.keys()), rows, self.rows_max))
        return Outcome.text(f"Done. Rows: {result.rowcount}." if result.rowcount >= 0 else "Done.")

    async def check(self) -> None:
        """Ask for the number one."""
        async with self._connection(read_only=True) as connection:
            await connection.execute(text("select 1"))

    async def close(self) -> None:
        """Close the connections."""
        opened, self.opened = self.opened, None
        if opened is not None:
            await opened.engine.dispose()

    @asynccontextmanager
    async def _connection(self, *, read_only: bool) -> AsyncIterator[AsyncConnection]:
        """A transaction: rolled back if it is read-only, else committed when the block ends well."""
        engine = await self._engine(read_only=read_only)
        try:
            connection = await engine.connect()
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            raise ConnectorFault(self._said(error), kind="unreachable") from None
        began = False
        try:
            for one in self.dialect.begin(read_only, self.declared.timeout_seconds):
                await connection.execute(text(one))
            began = True
            yield connection
            await (connection.rollback() if read_only else connection.commit())
        except DBAPIError as error:
            lost = error.connection_invalidated
            kind = ("cut" if began else "unreachable") if lost else "refused"
            raise ConnectorFault(self._said(error), kind=kind) from None
        except SQLAlchemyError as error:
            raise ConnectorFault(self._said(error), kind="refused") from None
        finally:
            await connection.close()

    async def _engine(self, *, read_only: bool) -> AsyncEngine:
        """The pool for the address at which the host is now; another one, another pool."""
        if self.dialect.name == "sqlite":
            path = self.means.targets.file(str(self.url.database))
            mode = "ro" if read_only else "rw"
            url = f"sqlite+aiosqlite:///file:{path}?mode={mode}&uri=true"
            return create_async_engine(url, poolclass=NullPool)
        port = self.url.port or self.dialect.port
        address = (await self.means.targets.resolved(str(self.url.host), port))[0]
        if self.opened is None or self.opened.address != address:
            await self.close()
            self.opened = Opened(
                address,
                create_async_engine(
                    self.url.set(drivername=self.dialect.driver, port=port, query={}),
                    connect_args=self.dialect.arguments(self.url, address),
                    pool_size=CONNECTIONS_MAX,
                    max_overflow=0,
                    pool_timeout=self.declared.timeout_seconds,
                    pool_recycle=IDLE_SECONDS,
                    hide_parameters=True,
                ),
            )
        return self.opened.engine

    def _said(self, error: Exception) -> str:
        """The database's words, without the password should it be in them."""
        original = getattr(error, "orig", None) or error
        said = " ".join(str(original).split())[:1000] or type(original).__name__
        password = str(self.url.password or "")
        return said.replace(password, "[password]") if password else said


def _schema(properties: Mapping[str, Any], *required: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


def shown(columns: Sequence[str], rows: Sequence[Any], rows_max: int) -> str:
    """Rows as JSON, as many as fit."""
    kept: list[str] = []
    size = 0
    for row in rows[:rows_max]:
        line = json.dumps([_cell(value) for value in row], ensure_ascii=False, default=str)
        size += len(line)
        if size > OUTPUT_CHARACTERS_MAX:
            break
        kept.append(line)
    body = ",\n".join(kept)
    more = len(rows) > len(kept)
    said = json.dumps(list(columns), ensure_ascii=False)
    return f'{{"columns": {said}, "rows": [\n{body}\n], "more": {"true" if more else "false"}}}'


def _cell(value: Any) -> Any:
    """A value as JSON holds it."""
    if isinstance(value, bytes | bytearray | memoryview):
        return f"[{len(value)} bytes]"
    if isinstance(value, str) and len(value) > CELL_CHARACTERS_MAX:
        return f"{value[:CELL_CHARACTERS_MAX]}[…]"
    return value
