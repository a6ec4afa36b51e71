"""Databases as tools: what each permission lets through, against real servers and files."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url

from agentstead.errors import Invalid
from agentstead.tools.connectors.targets import Targets
from tests.support.relay import on_a_port
from tests.tools.connectors.declaring import Place, place, said

MADE = """
    create table people (id int primary key, name text not null);
    insert into people values (1, 'Ada'), (2, 'Bob');
    create function wipe() returns int language sql as 'delete from people returning 1';
"""
READS = [
    ("select id from people order by id desc limit 1", {}, "[2]"),
    ("(select id from people) order by id limit 5000", {}, "[2]"),
    ("select name from people where id = :id", {"id": 1}, '["Ada"]'),
    ("with p as (select * from people) select count(*) from p", {}, "[2]"),
    ("select name || ' 12:30 :x %s' from people order by 1 limit 1", {}, "Ada 12:30 :x %s"),
    ("select 1 union select 2", {}, "[2]"),
    ("values (1), (2)", {}, "[2]"),
    ("select id::text, to_char(now(), 'YYYY') is not null from people limit 1", {}, '["1", true]'),
]
NEVER = [
    "select 1; delete from people",
    "with gone as (delete from people returning *) select * from gone",
    "with more as (insert into people values (3, 'Eve') returning *) select * from more",
    "update people set name = 'x'",
    "insert into people values (3, 'Eve')",
    "delete from people",
    "truncate people",
    "drop table people",
    "create table other (id int)",
    "alter table people drop column name",
    "select * into other from people",
    "select wipe()",
    "select * from people for update",
    "select pg_read_file('/etc/passwd')",
    "select pg_terminate_backend(pid) from pg_stat_activity",
    "select lo_export(1, '/tmp/x')",
    "select set_config('transaction_read_only', 'off', false)",
    "set transaction read write",
    "set role postgres",
    "copy people to stdout",
    "copy people to program 'sh'",
    "do $$ begin delete from people; end $$",
    "call wipe()",
    "begin",
    "commit",
    "explain analyze delete from people",
    "prepare x as delete from people",
    "execute x",
    "listen x",
    "notify x",
    "vacuum",
    "lock table people",
    "grant all on people to public",
    "create function f() returns int language sql as 'delete from people returning 1'",
    "merge into people using people q on people.id = q.id when matched then delete",
    "select query_to_xml('delete from people', true, true, '')",
    "select dblink_exec('dbname=postgres', 'delete from people')",
    "refresh materialized view x",
    "select nextval('x')",
    "/* */ delete from people -- select",
]
"""None of them is let through where only `read` is granted."""


@pytest.fixture
async def people(database_url: str) -> AsyncIterator[str]:
    """The address of a database of people, on a port of the loopback."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute(MADE.encode())
    async with on_a_port(database_url) as url:
        yield url


@pytest.fixture
async def here(people: str) -> AsyncIterator[Place]:
    async with place() as found:
        yield found


def a_database(here: Place, url: str, **permissions: bool) -> Any:
    return here.declared("users", {"type": "database", "connection": url}, **permissions)


async def names(url: str) -> list[str]:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        rows = await (await connection.execute("select name from people order by id")).fetchall()
    return [row[0] for row in rows]


@pytest.mark.parametrize(("sql", "parameters", "answer"), READS)
async def test_what_reads_is_answered(
    here: Place, people: str, sql: str, parameters: dict[str, Any], answer: str
) -> None:
    outcome = await here.call(
        a_database(here, people, read=True), "query", sql=sql, parameters=parameters
    )
    assert not outcome.is_error, said(outcome)
    assert answer in said(outcome)


async def test_nothing_but_reading_gets_through(here: Place, people: str) -> None:
    declared = a_database(here, people, read=True)
    for sql in NEVER:
        outcome = await here.call(declared, "query", sql=sql)
        assert outcome.is_error, sql
        assert said(outcome).startswith(("permission denied", "invalid input")), said(outcome)
        refused = await here.call(declared, "execute", sql=sql)
        assert said(refused) == "permission denied: users is read-only."
    assert await names(people) == ["Ada", "Bob"]


async def test_the_transaction_itself_is_read_only(here: Place, people: str) -> None:
    """Should the parser be fooled: `wipe` is let through by the declaration, and may not delete."""
    config = {"type": "database", "connection": people, "functions": ["wipe"]}
    outcome = await here.call(
        here.declared("users", config, read=True), "query", sql="select wipe()"
    )
    assert "read-only transaction" in said(outcome)
    assert await names(people) == ["Ada", "Bob"]


@pytest.mark.parametrize(
    "sql",
    [
        "delete from people",
        "truncate people",
        "drop table people",
        "alter table people drop column name",
        "with gone as (delete from people returning *) select * from gone",
        "insert into people select 3, 'x' from people; delete from people",
        "merge into people using people q on people.id = q.id when matched then delete",
        "create or replace view people as select 1",
        "create trigger x after insert on people execute function wipe()",
    ],
)
async def test_writing_does_not_mean_deleting(here: Place, people: str, sql: str) -> None:
    declared = a_database(here, people, read=True, write=True)
    outcome = await here.call(declared, "execute", sql=sql)
    assert said(outcome).startswith("permission denied"), said(outcome)
    assert await names(people) == ["Ada", "Bob"]


async def test_what_is_granted_is_done_and_kept(here: Place, people: str) -> None:
    declared = a_database(here, people, read=True, write=True, delete=True)
    insert = "insert into people values (:id, :name) returning id"
    given = {"id": 3, "name": "Robert'); drop table people; --"}
    assert "[3]" in said(await here.call(declared, "execute", sql=insert, parameters=given))
    assert (await names(people))[2] == given["name"]
    deleted = await here.call(declared, "execute", sql="delete from people where id > 1")
    assert said(deleted) == "Done. Rows: 2."
    assert await names(people) == ["Ada"]
    assert "id INTEGER primary key" in said(await here.call(declared, "schema", tables=["people"]))


async def test_a_lot_is_cut_and_said_to_be(here: Place, people: str) -> None:
    config = {
        "type": "database",
        "connection": people,
        "rows_max": 2,
        "functions": ["generate_series"],
    }
    declared = here.declared("users", config, read=True)
    outcome = await here.call(declared, "query", sql="select n from generate_series(1, 100000) n")
    assert said(outcome).endswith('"more": true}')
    assert said(outcome).count("[") == 4


async def test_a_statement_ends_in_time(here: Place, people: str) -> None:
    config = {"type": "database", "connection": people, "functions": ["pg_sleep"]}
    declared = here.declared("users", config, read=True, timeout_seconds=0.3)
    outcome = await here.call(declared, "query", sql="select pg_sleep(20)")
    assert said(outcome).startswith(("no answer", "refused: canceling statement"))


async def test_what_is_not_listed_is_not_reached(people: str, tmp_path: Path) -> None:
    async with place(Targets()) as nowhere:
        outcome = await nowhere.call(
            a_database(nowhere, people, read=True), "query", sql="select 1"
        )
        assert "AGENTSTEAD_CONNECTOR_PRIVATE_HOSTS" in said(outcome)
        assert (make_url(people).password or "?") not in said(outcome)
    port = int(people.rpartition(":")[2].partition("/")[0])
    own = Targets.listed(["127.0.0.1"], own_places=[("localhost", port)])
    async with place(own) as here:
        outcome = await here.call(a_database(here, people, read=True), "query", sql="select 1")
        assert "the platform's own" in said(outcome)


async def test_files_lie_where_the_operator_says(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    for folder in ("open", "."):
        with sqlite3.connect(tmp_path / folder / "a.db") as connection:
            connection.executescript("create table t (a); insert into t values (1), (2)")
    (tmp_path / "open" / "link.db").symlink_to(tmp_path / "a.db")
    targets = Targets.listed([], [str(tmp_path / "open")], own_files=[tmp_path / "open" / "own"])
    async with place(targets) as here:

        async def ask(path: str, tool: str = "query", sql: str = "select a from t") -> str:
            config = {"type": "database", "connection": f"sqlite:///{tmp_path}/{path}"}
            return said(
                await here.call(here.declared("f", config, read=True, write=True), tool, sql=sql)
            )

        assert "[1],\n[2]" in await ask("open/a.db")
        assert "Rows: 1" in await ask("open/a.db", "execute", "insert into t values (3)")
        for outside in ("a.db", "open/../a.db", "open/link.db"):
            assert "AGENTSTEAD_CONNECTOR_SQLITE_ROOTS" in await ask(outside)
        assert "the platform's own" in await ask("open/own/x.db")
        for sql in (
            "attach database '/etc/x' as y",
            "pragma journal_mode = wal",
            "vacuum into '/tmp/x'",
        ):
            assert (await ask("open/a.db", "execute", sql)).startswith(
                ("permission denied", "invalid")
            )
        assert "There is no file" in await ask("open/none.db")
        assert not (tmp_path / "open" / "none.db").exists()


@pytest.mark.parametrize(
    ("connection", "words"),
    [
        ("nonsense:secret@", "cannot be read"),
        ("oracle://user:secret@host/x", "must begin with"),
        ("postgresql:///x?host=/run/secret", "must name a host"),
        ("postgresql://user:secret@host/x?options=-c", "option options"),
        ("sqlite://secret", "whole path"),
        ("postgresql://user:se@cret:x@host:port/x", "cannot be read"),
    ],
)
async def test_an_address_that_is_wrong_is_never_repeated(
    here: Place, connection: str, words: str
) -> None:
    with pytest.raises(Invalid, match=r"^config\.connection: ") as caught:
        a_database(here, connection, read=True)
    assert words in caught.value.message
    assert "secret" not in caught.value.message
