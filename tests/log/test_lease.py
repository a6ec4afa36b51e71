"""Death is known sooner than the lease, and a lost connection is no death for long."""

import asyncio
import os
import signal
import sys
import textwrap
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from agentstead.clock import SystemClock
from agentstead.errors import StoreFault
from agentstead.ids import RandomIds
from agentstead.log import lease
from agentstead.log.event_log import EventLog
from agentstead.log.lease import LOCK_SPACE
from agentstead.store.pool import Database
from tests.support.sessions import a_session, claim_one, message

LEASE_SECONDS = 20.0
"""Much longer than any test: only presence frees a session here."""

CLAIMER = textwrap.dedent("""
    import asyncio, sys
    from agentstead.clock import SystemClock
    from agentstead.ids import RandomIds
    from agentstead.log.event_log import EventLog
    from agentstead.store.pool import Database

    async def main():
        database = await Database.open(sys.argv[1])
        log = EventLog(database, ids=RandomIds(), clock=SystemClock(), lease_seconds=20.0)
        async with log:
            print(len(await log.claim("doomed", 5)), flush=True)
            await asyncio.Event().wait()

    asyncio.run(main())
""")


@pytest.fixture
async def log(database: Database) -> AsyncIterator[EventLog]:
    async with EventLog(
        database, ids=RandomIds(), clock=SystemClock(), lease_seconds=LEASE_SECONDS
    ) as opened:
        yield opened


async def doomed(url: str) -> asyncio.subprocess.Process:
    """A worker's process that has claimed the one session there is."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CLAIMER, url, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout
    assert (await process.stdout.readline()).strip() == b"1"
    return process


async def until_claimed(log: EventLog, owner: str) -> float:
    """Seconds until a claim finds something, by waiting as a worker does."""
    started = time.monotonic()
    while time.monotonic() - started < 8:
        if await log.claim(owner, 5):
            return time.monotonic() - started
        await log.due(0.5)
    raise AssertionError("nothing was claimed")


async def test_the_sessions_of_a_killed_worker_are_free_soon(
    log: EventLog, database_url: str
) -> None:
    await log.create(a_session(message()))
    process = await doomed(database_url)
    try:
        assert await log.claim("survivor", 5) == []
        os.kill(process.pid, signal.SIGKILL)
        assert await until_claimed(log, "survivor") < 1.5
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_a_frozen_worker_keeps_its_sessions_until_the_lease_ends(
    log: EventLog, database_url: str
) -> None:
    await log.create(a_session(message()))
    process = await doomed(database_url)
    try:
        os.kill(process.pid, signal.SIGSTOP)
        await log.claim("survivor", 5)
        await asyncio.sleep(1.2)
        assert await log.claim("survivor", 5) == []
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_a_worker_that_lost_its_connection_is_present_again(
    log: EventLog, database: Database
) -> None:
    await log.create(a_session(message()))
    await claim_one(log, "lonely")
    before = await database.fetch_one("select number from workers")
    assert await log.presence.connected()
    assert log.presence.connection
    pid = log.presence.connection.info.backend_pid
    await database.execute("select pg_terminate_backend(%s)", (pid,))
    for _ in range(50):
        await asyncio.sleep(0.1)
        locks = await database.fetch(
            "select objid::int as number from pg_locks where locktype = 'advisory' and objsubid = 2"
            " and granted and database = (select oid from pg_database where datname = current_database())"
        )
        if locks:
            break
    assert locks == [before]


async def test_leaving_in_good_order_leaves_no_trace(database: Database) -> None:
    async with EventLog(database, ids=RandomIds(), clock=SystemClock()) as log:
        assert await log.claim("orderly", 1) == []
        assert len(await database.fetch("select owner from workers")) == 1
    assert await database.fetch("select owner from workers") == []


async def test_a_session_that_ended_is_never_claimed(log: EventLog, database: Database) -> None:
    new = a_session(message())
    await log.create(new)
    await database.execute("update sessions set terminated_at = now()")
    assert await log.claim("w", 5) == []


async def test_a_due_session_that_is_locked_for_a_moment_is_claimed_all_the_same(
    log: EventLog, database: Database
) -> None:
    new = a_session(message())
    await log.create(new)
    async with database.transaction() as tx:  # as a stream that opens does
        await tx.execute("select id from sessions for no key update")
        claim = asyncio.create_task(log.claim("w", 5))
        await asyncio.sleep(0.05)
        assert not claim.done()
    assert [lease.session_id for lease in await claim] == [new.id]


async def test_a_session_that_stays_locked_holds_up_nobody(
    log: EventLog, database: Database
) -> None:
    await log.create(a_session(message()))
    async with database.transaction() as tx:
        await tx.execute("select id from sessions for no key update")
        async with asyncio.timeout(2):
            assert await log.claim("w", 5) == []
            other = a_session(message())
            await log.create(other)
            assert [lease.session_id for lease in await log.claim("w", 5)] == [other.id]
    assert len(await log.claim("w", 5)) == 1


async def test_who_falls_silent_in_the_middle_of_a_journey_loses_its_locks(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker frozen inside a pipeline: the server does not count it as idle, and would wait for ever."""
    monkeypatch.setattr(lease, "IDLE_SECONDS", 0.2)
    async with EventLog(
        database, ids=RandomIds(), clock=SystemClock(), lease_seconds=LEASE_SECONDS
    ) as log:
        await log.create(a_session(message()))
        await log.presence.join("another")  # looks from now on
        with pytest.raises(StoreFault) as fault:  # noqa: PT012 - one journey
            async with database.pipeline() as tx:
                await (await tx.ask("select id from sessions for update")).fetchone()
                async with asyncio.timeout(10):
                    while not await log.claim("another", 1):  # noqa: ASYNC110
                        await asyncio.sleep(0.05)
                await tx.fetch("select 1")
        assert fault.value.retryable


async def test_nobody_is_buried_under_a_number_he_no_longer_has(
    log: EventLog, database: Database
) -> None:
    await log.create(a_session(message()))
    lease = await claim_one(log, "alive")
    stale = await database.fetch_one("select number from workers where owner = 'alive'")
    assert stale
    await database.execute("delete from workers where owner = 'alive'")
    await log.presence.register("alive")
    async with EventLog(database, ids=RandomIds(), clock=SystemClock()) as other:
        # its list of workers was read before, and the lock of the old number is free
        assert log.presence.connection
        await log.presence.connection.execute(
            b"select pg_advisory_unlock(%s, %s)", (LOCK_SPACE, stale["number"])
        )
        assert not await other.presence.bury_one("alive", stale["number"])
        assert await other.claim("heir", 5) == []
    assert await log.heartbeat([lease]) == {lease.session_id: True}


async def test_who_is_just_registering_again_is_not_waited_for(
    log: EventLog, database: Database
) -> None:
    """He holds his row and waits for his lock: who held the lock and waited for the row would hang."""
    await database.execute("insert into workers (owner, host, pid) values ('again', 'h', 1)")
    async with database.transaction() as tx:
        await tx.execute("update workers set host = 'i' where owner = 'again'")
        assert not await asyncio.wait_for(log.presence.bury(), 2)
    assert await log.presence.bury()
