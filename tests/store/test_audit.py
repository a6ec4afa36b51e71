"""The audit writer: in the transaction, with who acts."""

import pytest

from agentstead.ids import RandomIds
from agentstead.store import audit
from agentstead.store.pool import Database
from agentstead.store.workspace import DEFAULT_WORKSPACE

ENTRY = audit.Entry(
    DEFAULT_WORKSPACE, "thing.do", "thing", "thing_1", 1_900_000_000.5, decision="allow", rule="r",
    detail={"a": 1},
)  # fmt: skip


class Undone(Exception):
    """Rolls back."""


async def test_a_row_says_who_what_and_where_from(database: Database) -> None:
    with audit.acting(audit.Actor("apikey_1", "10.0.0.1")):
        async with database.transaction() as tx:
            await audit.write(tx, RandomIds(), ENTRY)
    async with database.transaction() as tx:
        await audit.write(tx, RandomIds(), ENTRY)
    rows = await database.fetch(
        "select actor, source, action, decision, rule, detail, extract(epoch from at)::float8 as at,"
        " chain_seq, prev_hash, hash, signature from audit order by id"
    )
    assert [(row["actor"], row["source"]) for row in rows] == [
        ("apikey_1", "10.0.0.1"), ("system", None)
    ]  # fmt: skip
    assert (rows[0]["at"], rows[0]["detail"], rows[0]["rule"]) == (ENTRY.at, {"a": 1}, "r")
    assert rows[0]["chain_seq"] is rows[0]["hash"] is None


async def test_it_shares_the_fate_of_its_transaction(database: Database) -> None:
    with pytest.raises(Undone):  # noqa: PT012 - one transaction
        async with database.transaction() as tx:
            await audit.write(tx, RandomIds(), ENTRY)
            raise Undone
    assert await database.fetch("select * from audit") == []
