"""Migrations: once, in order, under a lock, never edited, never older than the database."""

import asyncio
import hashlib
from pathlib import Path

import psycopg
import pytest

from agentstead.errors import Misconfigured
from agentstead.store.migrate import COMPATIBLE, MIGRATIONS, found, migrate, outdated
from agentstead.store.pool import Database
from tests.support.postgres import Server


@pytest.fixture
async def empty(postgres: Server):
    """A database without any of our tables."""
    postgres.execute("create database empty_one template template0")
    url = psycopg.conninfo.make_conninfo(postgres.url, dbname="empty_one")
    database = await Database.open(url)
    yield database
    await database.close()
    postgres.drop(url)


async def test_files_are_applied_once_in_order(empty: Database, tmp_path: Path) -> None:
    (tmp_path / "0002_b.sql").write_text("alter table a add y int;")
    (tmp_path / "0001_a.sql").write_text("create table a (x int);")
    assert await migrate(empty, tmp_path) == ["0001_a.sql", "0002_b.sql"]
    assert await migrate(empty, tmp_path) == []
    assert await empty.fetch("select x, y from a") == []


async def test_of_two_runners_one_applies(empty: Database) -> None:
    second = await Database.open(empty.url)
    applied = await asyncio.gather(migrate(empty), migrate(second))
    await second.close()
    names = [migration.name for migration in found(MIGRATIONS)]
    assert sorted(applied) == [[], names]


async def test_what_is_compatible_is_no_reason_to_refuse(empty: Database, tmp_path: Path) -> None:
    """A worker of the release before starts, and goes on, beside the new one that has migrated."""
    (tmp_path / "0001_a.sql").write_text("create table a (x int);")
    await migrate(empty, tmp_path)
    newer = tmp_path / "newer"
    newer.mkdir()
    for name, text in (
        ("0001_a.sql", "create table a (x int);"),
        ("0002_b.sql", f"{COMPATIBLE}\nalter table a add y int;"),
    ):
        (newer / name).write_text(text)
    assert await migrate(empty, newer) == ["0002_b.sql"]
    assert await migrate(empty, tmp_path) == []
    assert await outdated(empty, tmp_path) is None
    (newer / "0003_c.sql").write_text("alter table a drop x;")
    assert await migrate(empty, newer) == ["0003_c.sql"]
    assert await outdated(empty, tmp_path) == "0003_c.sql"
    assert await outdated(empty, newer) is None
    with pytest.raises(Misconfigured, match=r"newer than this build: it has 0003_c\.sql"):
        await migrate(empty, tmp_path)


async def test_an_edited_file_is_refused(empty: Database, tmp_path: Path) -> None:
    file = tmp_path / "0001_a.sql"
    file.write_text("create table a (x int);")
    await migrate(empty, tmp_path)
    file.write_text("create table a (x bigint);")
    with pytest.raises(Misconfigured, match=r"0001_a\.sql was changed after"):
        await migrate(empty, tmp_path)


async def test_a_database_newer_than_the_build_is_refused(empty: Database, tmp_path: Path) -> None:
    for name in ("0001_a.sql", "0002_b.sql"):
        (tmp_path / name).write_text("select 1;")
    await migrate(empty, tmp_path)
    (tmp_path / "0002_b.sql").unlink()
    with pytest.raises(Misconfigured, match=r"newer than this build: it has 0002_b\.sql"):
        await migrate(empty, tmp_path)


async def test_a_failing_file_leaves_nothing_and_the_earlier_ones(
    empty: Database, tmp_path: Path
) -> None:
    (tmp_path / "0001_a.sql").write_text("create table a (x int);")
    (tmp_path / "0002_b.sql").write_text("create table b (x int); select 1/0;")
    with pytest.raises(psycopg.errors.DivisionByZero):
        await migrate(empty, tmp_path)
    assert await empty.fetch(
        "select to_regclass('a') is null as a, to_regclass('b') is null as b"
    ) == [{"a": False, "b": True}]
    (tmp_path / "0002_b.sql").write_text("create table b (x int);")
    assert await migrate(empty, tmp_path) == ["0002_b.sql"]


async def test_notx_files_run_outside_a_transaction(empty: Database, tmp_path: Path) -> None:
    (tmp_path / "0001_a.sql").write_text("create table a (x int);")
    (tmp_path / "0002_i.notx.sql").write_text(
        "create index concurrently a_x on a (x);\ncreate index concurrently a_y on a (x desc);\n"
    )
    assert await migrate(empty, tmp_path) == ["0001_a.sql", "0002_i.notx.sql"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("0001_a.sql", "0001_b.sql"), "same number"),
        (("1_a.sql",), "named NNNN_subject.sql"),
        (("0001_A.sql",), "named NNNN_subject.sql"),
    ],
)
def test_bad_names_are_refused(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    for name in names:
        (tmp_path / name).write_text("select 1;")
    with pytest.raises(Misconfigured, match=message):
        found(tmp_path)


def test_the_checksum_is_of_the_text(tmp_path: Path) -> None:
    (tmp_path / "0001_a.sql").write_text("select 1;")
    assert found(tmp_path)[0].checksum == hashlib.sha256(b"select 1;").hexdigest()


async def test_every_table_has_a_workspace(database: Database) -> None:
    rows = await database.fetch(
        "select table_name as name from information_schema.tables t where table_schema = 'public'"
        " and not exists (select from information_schema.columns c where c.table_name = t.table_name"
        " and c.column_name = 'workspace_id')"
    )
    assert sorted(row["name"] for row in rows) == ["schema_migrations", "workers", "workspaces"]
