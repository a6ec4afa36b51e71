"""Bring a database to this build's schema.

Numbered plain SQL files, applied in order under an advisory lock, one transaction each. Promises:
of two runners at once one applies; a file changed after it was applied is refused, and so is a
database that is newer than this build, unless all that is new in it is marked compatible: builds
from before can go on with it. A `*.notx.sql` file runs outside a transaction, one
statement per `;` at a line's end (for `create index concurrently`). Forward only.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from agentstead.errors import Misconfigured
from agentstead.store.pool import Database, Transaction

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK = 7_023_041
"""Advisory lock of everybody who migrates."""

COMPATIBLE = "-- agentstead: compatible"
"""First line of a file after which the builds of the file before it still work."""

NAME = re.compile(r"(\d{4})_[a-z0-9_]+(\.notx)?\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One file."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """What is remembered of its text."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def compatible(self) -> bool:
        """Builds from before it can go on."""
        return self.sql.startswith(COMPATIBLE + "\n")

    @property
    def alone(self) -> bool:
        """Runs outside a transaction."""
        return self.name.endswith(".notx.sql")


def found(folder: Path) -> list[Migration]:
    """The files in order; Misconfigured on a bad name or a number used twice."""
    migrations: dict[int, Migration] = {}
    for path in sorted(folder.glob("*.sql")):
        match = NAME.fullmatch(path.name)
        if not match:
            raise Misconfigured(f"{path.name}: a migration is named NNNN_subject.sql")
        number = int(match[1])
        if number in migrations:
            raise Misconfigured(f"{path.name} and {migrations[number].name} have the same number")
        migrations[number] = Migration(number, path.name, path.read_text())
    return [migrations[number] for number in sorted(migrations)]


async def migrate(database: Database, folder: Path = MIGRATIONS) -> list[str]:
    """Apply what is missing; the names of the files applied now."""
    migrations = found(folder)
    async with database.connection() as connection:
        session = Transaction(connection)
        await session.execute("select pg_advisory_lock(%s)", (LOCK,))
        try:
            missing = await pending(session, migrations)
            for migration in missing:
                await apply(session, migration)
            if missing:
                await session.execute("analyze")
            return [migration.name for migration in missing]
        finally:
            await session.execute("select pg_advisory_unlock(%s)", (LOCK,))


async def pending(session: Transaction, migrations: list[Migration]) -> list[Migration]:
    """Those not applied yet; Misconfigured when the database does not fit this build."""
    await session.execute(
        "create table if not exists schema_migrations (number integer primary key,"
        " name text not null, checksum text not null, applied_at timestamptz not null default now())"
    )
    await session.execute(
        "alter table schema_migrations add column if not exists compatible boolean"
        " not null default false"
    )
    rows = await session.fetch("select number, name, checksum, compatible from schema_migrations")
    known = {migration.number: migration for migration in migrations}
    for row in rows:
        migration = known.get(row["number"])
        if migration is None and row["compatible"]:
            continue
        if migration is None:
            raise Misconfigured(
                f"The database is newer than this build: it has {row['name']}. "
                "Run the newer Agentstead, or restore a backup made before it."
            )
        if migration.checksum != row["checksum"]:
            raise Misconfigured(
                f"{migration.name} was changed after it was applied to this database. Put the file "
                "back and write a new migration; during development, start with a new data directory."
            )
    applied = {row["number"] for row in rows}
    return [migration for migration in migrations if migration.number not in applied]


async def apply(session: Transaction, migration: Migration) -> None:
    """Run one file and remember it."""
    if migration.alone:
        for statement in re.split(r";\s*\n", migration.sql):
            if statement.strip():
                await session.execute(statement)
        await remember(session, migration)
        return
    async with session.connection.transaction():
        await session.execute(migration.sql)
        await remember(session, migration)


async def remember(session: Transaction, migration: Migration) -> None:
    """Note that it has been applied."""
    await session.execute(
        "insert into schema_migrations (number, name, checksum, compatible)"
        " values (%s, %s, %s, %s)",
        (migration.number, migration.name, migration.checksum, migration.compatible),
    )


async def outdated(database: Database, folder: Path = MIGRATIONS) -> str | None:
    """The first file that a newer build has applied and with which this build cannot go on."""
    known = [migration.number for migration in found(folder)]
    row = await database.fetch_one(
        "select name from schema_migrations where number <> all(%s) and not compatible"
        " order by number limit 1",
        (known,),
    )
    return None if row is None else str(row["name"])
