"""What the door changes: the end of a session clears all that waits, a deleted one leaves no row."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agentstead.clock import SystemClock
from agentstead.errors import LeaseLost, StoreFault
from agentstead.ids import RandomIds
from agentstead.log.event_log import EventLog
from agentstead.log.log import Change
from agentstead.store.pool import Database
from agentstead.store.workspace import DEFAULT_WORKSPACE as WS
from tests.support.sessions import (
    a_session,
    claim_one,
    derived,
    event,
    frames,
    ids,
    incoming,
    message,
    queues,
    turn_over,
)


@pytest.fixture
async def log(database: Database) -> AsyncIterator[EventLog]:
    async with EventLog(database, ids=RandomIds(), clock=SystemClock()) as opened:
        yield opened


async def idle_session(log: EventLog) -> Any:
    """A session whose first turn is over."""
    new = a_session(message())
    await log.create(new)
    await turn_over(log, await claim_one(log), new, 0)
    return new


async def interrupted(log: EventLog, new: Any) -> None:
    """Input that nobody took in yet."""
    await log.accept(WS, new.id, [], queues(incoming("user.interrupt"), starts=False))


async def test_an_end_by_the_door_clears_wake_inbox_and_threads(
    log: EventLog, database: Database
) -> None:
    new = await idle_session(log)
    await interrupted(log, new)
    follower = await log.follow(WS, new.id)
    await frames(follower)
    ended = event(new, "session.status_terminated")
    columns = {"status": "terminated", "archived_at": 1_900_000_000.0, "terminated_at": 1.0}
    row = await log.change(WS, new.id, lambda row: Change(columns, (ended,)))
    assert (row.status, row.wake_at, row.lease_owner, row.inbox_count) == (
        "terminated", None, None, 0
    )  # fmt: skip
    assert (row.asks, row.stop_reason, row.active_since) == ((), None, None)
    assert (row.archived_at, row.terminated_at) == (1_900_000_000.0, 1.0)
    assert await log.claim("w", 5) == []
    threads = await database.fetch("select status from threads where session_id = %s", (new.id,))
    assert threads == [{"status": "terminated"}]
    assert ids(await frames(follower)) == [ended.id]
    with pytest.raises(StopAsyncIteration):
        await follower.next(1)


async def test_a_door_counts_what_was_queued_while_it_waited(
    log: EventLog, database: Database
) -> None:
    new = a_session()
    await log.create(new)
    seen: list[int] = []

    def look(row: Any) -> Change:
        seen.append(row.inbox_count)
        return Change({})

    async with database.transaction() as tx:  # what a send does, slowly
        await tx.execute("select id from sessions for no key update")
        change = asyncio.create_task(log.change(WS, new.id, look))
        await asyncio.sleep(0.1)
        await tx.execute(
            "insert into inbox (session_id, id, workspace_id, type, at, payload)"
            " values (%s, 'sevt_x', %s, 'user.message', now(), '{}')",
            (new.id, WS),
        )
    await change
    assert seen == [1]


async def test_events_on_an_idle_session_wake_nobody(log: EventLog) -> None:
    new = a_session()
    await log.create(new)
    follower = await log.follow(WS, new.id)
    updated = event(new, "session.updated", title="t")
    row = await log.change(WS, new.id, lambda row: Change({"title": "t"}, (updated,)))
    assert (row.title, row.status, row.head_seq, row.wake_at) == ("t", "idle", 1, None)
    assert ids(await frames(follower)) == [updated.id]
    assert await log.claim("w", 5) == []


async def test_a_deleted_session_leaves_no_row_but_its_audit(
    log: EventLog, database: Database
) -> None:
    kept, gone = await idle_session(log), await idle_session(log)
    for new in (kept, gone):
        await interrupted(log, new)
    await log.delete(WS, gone.id, lambda row: None)
    columns = await database.fetch(
        "select table_name, column_name from information_schema.columns"
        " where table_schema = 'public' and column_name in ('session_id', 'id')"
        " and table_name <> 'audit' order by 1, 2"
    )
    found = {}
    for column in columns:
        table, name = column["table_name"], column["column_name"]
        for new in (kept, gone):
            row = await database.fetch_one(
                f"select count(*) as rows from {table} where {name} = %s",
                (new.id,),
            )
            assert row
            found[new.id] = found.get(new.id, 0) + row["rows"]
    assert found[gone.id] == 0
    assert found[kept.id] == 6  # itself, its thread, three events, what is queued


async def test_a_commit_whose_answer_was_lost_is_streamed_all_the_same(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = a_session(message())
    await log.create(new)
    lease = await claim_one(log)
    follower = await log.follow(WS, new.id)
    await frames(follower)
    transact = log.appender.transact

    async def cut(batch: Any) -> None:
        await transact(batch)
        raise StoreFault("The connection is gone.", kind="unavailable", retryable=True)

    monkeypatch.setattr(log.appender, "transact", cut)
    said = event(new)
    with pytest.raises(StoreFault):
        await log.append(lease, [said], seen=0, derived=derived(new))
    monkeypatch.undo()
    assert ids(await frames(follower)) == [said.id]


async def test_the_news_of_an_old_claim_is_forgotten_that_of_a_newer_is_kept(
    log: EventLog,
) -> None:
    new = a_session(message())
    await log.create(new)
    old = await claim_one(log)
    await log.release([old])
    newer = await claim_one(log)
    with pytest.raises(LeaseLost):
        await log.append(old, [event(new)], seen=0, derived=derived(new))
    await log.accept(WS, new.id, [], queues(message()))
    heard = await asyncio.wait_for(log.news(new.id, 0), 2)
    assert heard == (await log.pending(new.id))[-1].arrived
    await log.release([newer])
    assert log.newsroom.latest == {}
    assert log.newsroom.fences == {}
