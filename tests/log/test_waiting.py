"""How many wait, and where one of them is: counted by indexes, up to a bound."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from agentstead.clock import SystemClock
from agentstead.ids import RandomIds
from agentstead.log.event_log import EventLog
from agentstead.log.waiting import Place, by_workspace, counted, place_of
from agentstead.store.pool import Database
from agentstead.store.workspace import DEFAULT_WORKSPACE
from tests.support.sessions import a_session, message

OTHER = "wrkspc_01000000000000000000other"


@pytest.fixture
async def log(database: Database) -> AsyncIterator[EventLog]:
    await database.execute("insert into workspaces values (%s, 'other')", (OTHER,))
    async with EventLog(database, ids=RandomIds(), clock=SystemClock(), sessions_max=7) as opened:
        yield opened


async def test_a_place_is_counted_within_the_workspace(log: EventLog, database: Database) -> None:
    assert len(await log.claim("w", 1)) == 0  # it is there now
    made = [a_session(message()) for _ in range(3)]
    for new in (a_session(message(), workspace=OTHER), *made):
        await log.create(new)
    first = replace(a_session(message()), priority=2)
    await log.create(first)
    workers = frozenset({"w"})
    assert await place_of(database, first.id, workers) == Place(0, 0, 0, 7)
    assert await place_of(database, made[2].id, workers) == Place(3, 0, 0, 7)
    assert await place_of(database, made[2].id, frozenset({"x"})) == Place(3, 0, 0, None)
    assert await place_of(database, "sesn_none", workers) is None
    assert len(await log.claim("w", 2)) == 2
    assert await place_of(database, made[2].id, workers) == Place(2, 1, 2, 7)
    queues = await by_workspace(database)
    assert {name: queue.number for name, queue in queues.items()} == {DEFAULT_WORKSPACE: 3}
    assert queues[DEFAULT_WORKSPACE].oldest_seconds >= 0
    assert await counted(database, DEFAULT_WORKSPACE, 10, 2) == (3, 2)


async def test_a_claim_does_not_read_what_waits_elsewhere(
    log: EventLog, database: Database
) -> None:
    """The plan of the database's own choice, with more waiting than it may read."""
    await database.execute(
        "insert into sessions (id, workspace_id, primary_thread_id, agent_id, agent_version, agent,"
        " environment_id, environment, created_at, updated_at, status, wake_at) select"
        " 'sesn_many' || n, %s, 't', 'a', 1, '{}', 'e', '{}', now(), now(), 'running', now()"
        " from generate_series(1, 3000) n",
        (DEFAULT_WORKSPACE,),
    )
    await log.create(a_session(message(), workspace=OTHER))
    await database.execute("vacuum analyze sessions")
    read = "select sum(idx_tup_fetch + seq_tup_read)::int as rows from pg_stat_xact_user_tables"
    async with database.transaction() as tx:
        before = await tx.fetch_one(read)
        log.leases.database, kept = tx, log.leases.database  # type: ignore[assignment]
        try:
            leases = await log.leases.claim("w", 2)
        finally:
            log.leases.database = kept
        after = await tx.fetch_one(read)
    assert {lease.workspace_id for lease in leases} == {DEFAULT_WORKSPACE, OTHER}
    assert before
    assert after
    assert after["rows"] - before["rows"] < 100
