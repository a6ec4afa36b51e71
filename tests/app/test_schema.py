"""A newer build migrates while this one works: it goes on, or stops with the reason."""

import asyncio
from pathlib import Path

import pytest

from agentstead.app.schema import schema_watched
from agentstead.app.work import work
from agentstead.clock import SystemClock
from agentstead.errors import Misconfigured
from agentstead.ids import RandomIds
from agentstead.log.event_log import EventLog
from agentstead.settings import Settings
from agentstead.store.pool import Database
from tests.support.sessions import a_session, claim_one, message, turn_over

NEWER = "insert into schema_migrations (number, name, checksum, compatible) values (%s, %s, '', %s)"


async def test_a_build_that_is_too_old_claims_nothing_and_finishes_what_it_has(
    database: Database,
) -> None:
    async with EventLog(database, ids=RandomIds(), clock=SystemClock()) as log:
        first, second = a_session(message()), a_session(message())
        await log.create(first)
        lease = await claim_one(log)
        await database.execute(NEWER, (9001, "9001_more.sql", True))
        await log.create(second)
        assert [each.session_id for each in await log.claim("w", 5)] == [second.id]
        await database.execute(NEWER, (9002, "9002_other.sql", False))
        await log.create(a_session(message()))
        assert await log.claim("w", 5) == []
        assert await log.heartbeat([lease]) == {first.id: True}
        answer = await turn_over(log, lease, first, 0)
        assert not answer.refused


async def test_it_is_told_once_it_is_too_old(database: Database) -> None:
    async with schema_watched(database, SystemClock(), look_seconds=0.02) as task:
        await database.execute(NEWER, (9001, "9001_more.sql", True))
        await asyncio.sleep(0.1)
        assert not task.done()
        await database.execute(NEWER, (9002, "9002_other.sql", False))
        with pytest.raises(Misconfigured, match=r"migrated the database \(9002_other\.sql\)"):
            await asyncio.wait_for(asyncio.shield(task), 5)


async def test_a_worker_stops_with_the_reason(database: Database, tmp_path: Path) -> None:
    ready: asyncio.Queue[str] = asyncio.Queue()
    settings = Settings(database_url=database.url, data_dir=tmp_path, sandbox_network="none")
    working = asyncio.create_task(work(settings, ready.put_nowait))
    await asyncio.wait_for(ready.get(), 20)
    await database.execute(NEWER, (9002, "9002_other.sql", False))
    with pytest.raises(Misconfigured, match="start the new version"):
        await asyncio.wait_for(working, 20)
    assert await database.fetch("select owner from workers") == []
