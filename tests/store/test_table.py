"""The kit for plain nouns: workspaces apart, pages without gaps, an audit row for each write."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from agentstead.errors import NotFound
from agentstead.ids import RandomIds
from agentstead.store.pool import Database
from agentstead.store.table import Filter, Slice, Table, Write
from agentstead.store.workspace import DEFAULT_WORKSPACE

things = Table("environments", "environment", missing="environment_not_found")
AT = 1_700_000_000.5


@asynccontextmanager
async def write(
    database: Database, at: float = AT, workspace: str = DEFAULT_WORKSPACE
) -> AsyncIterator[Write]:
    async with database.transaction() as tx:
        yield Write(tx, RandomIds(), at, workspace)


async def insert(database: Database, row_id: str, at: float = AT) -> None:
    async with write(database, at) as to:
        await things.insert(
            to, {"id": row_id, "name": row_id, "config": {"a": [1]}, "metadata": {}}
        )


async def test_a_row_comes_back_with_times_of_the_wire(database: Database) -> None:
    await insert(database, "env_1")
    row = await things.retrieve(database, DEFAULT_WORKSPACE, "env_1")
    assert row["config"] == {"a": [1]}
    assert row["created_at"] == row["updated_at"] == "2023-11-14T22:13:20.500000Z"
    assert row["archived_at"] is None


# A row of another workspace does not exist.
async def test_workspaces_are_apart(database: Database) -> None:
    await insert(database, "env_1")
    with pytest.raises(NotFound) as caught:
        await things.retrieve(database, "wrkspc_b", "env_1")
    assert caught.value.code == "environment_not_found"
    assert await things.list(database, "wrkspc_b", Slice(10)) == ([], False)
    for change in (
        lambda to: things.update(to, "env_1", {"name": "x"}),
        lambda to: things.archive(to, "env_1"),
        lambda to: things.lock(to, "env_1"),
        lambda to: things.delete(to, "env_1"),
    ):
        with pytest.raises(NotFound):
            async with write(database, workspace="wrkspc_b") as to:
                await change(to)
    assert (await things.retrieve(database, DEFAULT_WORKSPACE, "env_1"))["name"] == "env_1"


@pytest.mark.parametrize("descending", [True, False])
async def test_pages_have_no_gaps_even_at_one_moment(database: Database, descending: bool) -> None:
    names = [f"env_{number}" for number in range(5)]
    for number, name in enumerate(names):
        await insert(database, name, AT + number // 2)
    found, after = [], None
    while True:
        rows, more = await things.list(database, DEFAULT_WORKSPACE, Slice(2, descending, after))
        found += [row["id"] for row in rows]
        if not more:
            break
        after = (AT + names.index(found[-1]) // 2, found[-1])
    assert found == sorted(names, reverse=descending)
    rows, _ = await things.list(
        database, DEFAULT_WORKSPACE, Slice(9), [Filter("t.name = %s", ("env_3",))]
    )
    assert [row["id"] for row in rows] == ["env_3"]


async def test_each_write_is_audited_and_archiving_happens_once(database: Database) -> None:
    await insert(database, "env_1")
    async with write(database, AT + 1) as to:
        await things.update(to, "env_1", {"name": "new"})
        first = await things.archive(to, "env_1")
    async with write(database, AT + 2) as to:
        assert await things.archive(to, "env_1") == first
        await things.delete(to, "env_1")
    rows = await database.fetch(
        "select action from audit where target_id = 'env_1' order by at, id"
    )
    assert sorted(row["action"] for row in rows) == sorted(
        ["environment.create", "environment.update", "environment.archive", "environment.delete"]
    )
    with pytest.raises(NotFound):
        async with write(database) as to:
            await things.delete(to, "env_1")


async def test_a_write_that_fails_leaves_nothing(database: Database) -> None:
    async def half_done() -> None:
        async with write(database) as to:
            await things.insert(to, {"id": "env_1", "name": "n", "config": {}})
            raise TimeoutError

    with pytest.raises(TimeoutError):
        await half_done()
    assert await things.find(database, DEFAULT_WORKSPACE, "env_1") is None
    assert await database.fetch("select 1 from audit") == []
