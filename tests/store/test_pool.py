"""The pool's three ways to ask, and what a lost database looks like."""

import asyncio

import psycopg
import pytest

import agentstead.store.pool as pool_file
from agentstead.errors import StoreFault
from agentstead.store.pool import Database


async def test_rows_come_as_dicts_and_json_parsed(database: Database) -> None:
    assert await database.fetch("select 1 as a, '{\"b\": 2}'::json as j") == [
        {"a": 1, "j": {"b": 2}}
    ]
    assert await database.fetch_one("select %(x)s::int as x", {"x": 3}) == {"x": 3}
    assert await database.fetch_one("select 1 where false") is None


async def test_execute_tells_the_rows_touched(database: Database) -> None:
    await database.execute("create table t (a int)")
    assert await database.execute("insert into t select * from generate_series(1, 3)") == 3
    assert await database.execute("delete from t where a > %s", (1,)) == 2


async def test_a_failed_transaction_leaves_nothing(database: Database) -> None:
    await database.execute("create table t (a int primary key)")
    with pytest.raises(psycopg.errors.UniqueViolation):  # noqa: PT012 - one transaction
        async with database.transaction() as tx:
            await tx.execute("insert into t values (1)")
            await tx.execute("insert into t values (1)")
    assert await database.fetch("select a from t") == []


async def test_a_bad_statement_is_not_a_lost_database(database: Database) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable):
        await database.fetch("select * from nowhere")
    assert await database.fetch_one("select 1 as a") == {"a": 1}


async def test_a_killed_connection_is_a_retryable_fault(database: Database) -> None:
    with pytest.raises(StoreFault) as caught:
        async with database.transaction() as tx:
            await tx.fetch("select pg_terminate_backend(pg_backend_pid())")
    assert (caught.value.kind, caught.value.retryable) == ("unavailable", True)
    assert await database.fetch_one("select 1 as a") == {"a": 1}


async def test_who_falls_silent_in_a_transaction_loses_it_and_its_locks(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_file, "IDLE_SECONDS", 0.05)
    await database.execute("create table t (a int)")
    await database.execute("insert into t values (1)")
    frozen = await Database.open(database.url, connections_max=1)
    try:
        with pytest.raises(StoreFault) as caught:  # noqa: PT012 - one transaction
            async with frozen.transaction() as tx:
                await tx.execute("update t set a = 2")
                assert await database.execute("update t set a = a + 10") == 1  # once it is free
                await tx.execute("update t set a = 3")
        assert (caught.value.kind, caught.value.retryable) == ("unavailable", True)
        assert await database.fetch("select a from t") == [{"a": 11}]
        async with frozen.transaction() as tx:
            await tx.keep_open()
            await tx.execute("update t set a = 4")
            await asyncio.sleep(0.1)
            await tx.execute("update t set a = a + 1")
        assert await database.fetch("select a from t") == [{"a": 5}]
    finally:
        await frozen.close()


async def test_a_full_disk_is_a_retryable_fault_of_its_own(database: Database) -> None:
    with pytest.raises(StoreFault, match="disk is full") as caught:
        await database.execute("do $$ begin raise exception 'x' using errcode = '53100'; end $$")
    assert (caught.value.kind, caught.value.retryable) == ("full", True)
    assert await database.fetch_one("select 1 as a") == {"a": 1}


async def test_nobody_there_is_a_fault(tmp_path: object) -> None:
    before, pool_file.CONNECT_SECONDS = pool_file.CONNECT_SECONDS, 0.3
    try:
        with pytest.raises(StoreFault):
            await Database.open(f"postgresql://x@/postgres?host={tmp_path}")
    finally:
        pool_file.CONNECT_SECONDS = before
