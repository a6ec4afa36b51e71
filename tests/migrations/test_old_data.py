"""What an older build wrote is still there, byte by byte, after every later migration.

`data/NNNN.sql` holds rows as builds of that migration wrote them. A migration that makes a table
adds such a file; one that changes values on purpose says so here.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agentstead.store.migrate import MIGRATIONS, Migration, found, migrate
from agentstead.store.pool import Database
from tests.support.postgres import Server

DATA = Path(__file__).parent / "data"
LEDGER = "schema_migrations"
Rows = dict[str, list[dict[str, str | None]]]


@pytest.fixture
async def empty(postgres: Server) -> AsyncIterator[Database]:
    """A database before the first migration."""
    url = postgres.create("template0")
    database = await Database.open(url)
    yield database
    await database.close()
    postgres.drop(url)


async def tables(database: Database) -> dict[str, list[str]]:
    """Each table's columns, without the migrations' own."""
    rows = await database.fetch(
        "select table_name, array_agg(column_name::text) as columns from information_schema.columns"
        " where table_schema = 'public' and table_name <> %s group by 1 order by 1",
        (LEDGER,),
    )
    return {row["table_name"]: row["columns"] for row in rows}


async def stored(database: Database, of: dict[str, list[str]]) -> Rows:
    """All rows, each value as the text that is stored."""
    found = {}
    for table, columns in of.items():
        asked = ", ".join(f'"{column}"::text' for column in sorted(columns))
        found[table] = await database.fetch(f'select {asked} from "{table}" order by 1, 2, 3')
    return found


async def advance(database: Database, folder: Path, to: Migration) -> None:
    """Apply one more migration, then write what builds of that time wrote."""
    (folder / to.name).write_text(to.sql)
    assert await migrate(database, folder) == [to.name]
    data = DATA / f"{to.number:04}.sql"
    if data.exists():
        await database.execute(data.read_text())


async def changed(database: Database, folder: Path, migration: Migration) -> list[str]:
    """Apply one more migration; the tables whose older rows are no longer what they were."""
    columns = await tables(database)
    before = await stored(database, columns)
    await advance(database, folder, migration)
    after = await stored(database, columns)
    return [table for table, rows in before.items() if any(row not in after[table] for row in rows)]


async def test_old_rows_survive_every_later_migration(empty: Database, tmp_path: Path) -> None:
    for migration in found(MIGRATIONS):
        assert await changed(empty, tmp_path, migration) == [], migration.name


@pytest.mark.parametrize(
    ("sql", "table"),
    [
        ("delete from inbox", "inbox"),
        ("update events set payload = replace(payload::text, ' ', '')::json", "events"),
        ("alter table agents alter updated_at type timestamptz using created_at", "agents"),
    ],
)
async def test_a_migration_that_changes_rows_is_seen(
    empty: Database, tmp_path: Path, sql: str, table: str
) -> None:
    for migration in found(MIGRATIONS):
        await advance(empty, tmp_path, migration)
    planted = Migration(9999, "9999_planted.sql", f"{sql};")
    assert await changed(empty, tmp_path, planted) == [table]


async def test_every_table_has_old_rows(empty: Database, tmp_path: Path) -> None:
    for migration in found(MIGRATIONS):
        await advance(empty, tmp_path, migration)
    bare = [table for table, rows in (await stored(empty, await tables(empty))).items() if not rows]
    assert bare == [], "add rows of these tables to tests/migrations/data/NNNN.sql"
