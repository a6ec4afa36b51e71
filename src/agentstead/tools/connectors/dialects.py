"""The databases that connectors speak to, and how each is held to reading."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import URL


@dataclass(frozen=True, slots=True)
class Dialect:
    """One sort of database."""

    name: str
    """As the parser of statements knows it."""
    title: str
    driver: str
    port: int
    options: frozenset[str]
    """Of an address."""
    begin: Callable[[bool, float], Sequence[str]]
    """What a transaction begins with: (read-only, seconds that a statement may take)."""
    arguments: Callable[[URL, str], Mapping[str, Any]]
    """Of the driver: (address as declared, the checked address to connect to)."""


def _postgres_begin(read_only: bool, seconds: float) -> Sequence[str]:
    mode = "on" if read_only else "off"
    return [
        "select set_config('transaction_read_only', '" + mode + "', true), "
        f"set_config('statement_timeout', '{round(seconds * 1000)}', true)"
    ]


def _postgres_arguments(url: URL, address: str) -> Mapping[str, Any]:
    wanted = {name: url.query[name] for name in POSTGRES.options if name in url.query}
    # the name stays, for TLS; the connection goes to what was checked
    return {"hostaddr": address, "connect_timeout": 10, **wanted}


def _mysql_begin(read_only: bool, seconds: float) -> Sequence[str]:  # noqa: ARG001 - the guard limits it
    return ["start transaction read only" if read_only else "start transaction"]


def _mysql_arguments(url: URL, address: str) -> Mapping[str, Any]:  # noqa: ARG001
    return {"host": address, "connect_timeout": 10, "local_infile": False}


def _sqlite_begin(read_only: bool, seconds: float) -> Sequence[str]:  # noqa: ARG001
    return ["pragma query_only = on"] if read_only else []


POSTGRES = Dialect(
    "postgres", "PostgreSQL", "postgresql+psycopg", 5432,
    frozenset(("sslmode", "application_name", "sslrootcert")), _postgres_begin, _postgres_arguments,
)  # fmt: skip
MYSQL = Dialect(
    "mysql", "MySQL", "mysql+aiomysql", 3306, frozenset(), _mysql_begin, _mysql_arguments
)  # fmt: skip
SQLITE = Dialect(
    "sqlite", "SQLite", "sqlite+aiosqlite", 0, frozenset(), _sqlite_begin, lambda _, __: {}
)  # fmt: skip
DIALECTS: Mapping[str, Dialect] = {
    "postgresql": POSTGRES, "postgres": POSTGRES,
    "mysql": MYSQL, "mariadb": MYSQL, "sqlite": SQLITE,
}  # fmt: skip
"""By the beginning of an address."""
