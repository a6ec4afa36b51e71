"""What an append does beyond the contract: times, masks, audit, one commit for many."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from agentstead.clock import SystemClock, from_rfc3339
from agentstead.errors import LeaseLost, StoreFault
from agentstead.ids import RandomIds
from agentstead.log.event_log import EventLog
from agentstead.log.log import Change, Decision, Desk
from agentstead.store.audit import Actor, acting
from agentstead.store.pool import Database
from agentstead.store.workspace import DEFAULT_WORKSPACE as WS
from tests.support.sessions import (
    a_session,
    claim_one,
    derived,
    event,
    message,
    queues,
    turn_over,
)

SECRET = 'a "quoted" secret/ä'


@pytest.fixture
async def log(database: Database) -> AsyncIterator[EventLog]:
    async with EventLog(database, ids=RandomIds(), clock=SystemClock(), secrets=[SECRET]) as opened:
        yield opened


async def begun(log: EventLog) -> tuple[Any, Any]:
    new = a_session(message())
    await log.create(new)
    return new, await claim_one(log)


async def test_time_never_runs_backwards_within_a_session(log: EventLog) -> None:
    new, lease = await begun(log)
    times = [2_000_000_000.25, 1_999_999_000.0, 2_000_000_001.5]
    done = await log.append(
        lease, [event(new, at=at) for at in times], seen=0, derived=derived(new)
    )
    assert [each.at for each in done.events] == [times[0], times[0], times[2]]
    assert from_rfc3339(done.events[1].payload["processed_at"]) == times[0]
    late = await log.append(lease, [event(new, at=5.0)], seen=3, derived=derived(new))
    assert late.events[0].at == times[2]
    assert [each.at for each in (await log.load(lease)).events] == [
        times[0], times[0], times[2], times[2]
    ]  # fmt: skip


async def test_secrets_reach_neither_row_nor_reader(log: EventLog, database: Database) -> None:
    new, lease = await begun(log)
    key = "sk-ant-api03-" + "A1b2" * 10
    sent = event(new, "agent.tool_result", content=[{"type": "text", "text": f"{SECRET} {key}"}])
    call = event(new, "agent.tool_use", input={"command": f"use {key} and {SECRET}"})
    done = await log.append(lease, [sent, call], seen=0, derived=derived(new))
    assert done.events[0].payload["content"][0]["text"] == "[redacted] [redacted]"
    assert done.events[1].payload["input"]["command"] == f"use {key} and [redacted]"
    rows = await database.fetch("select payload::text as text from events order by seq")
    assert not any("quoted" in row["text"] for row in rows)
    assert key not in rows[0]["text"]


async def test_secrets_in_input_reach_neither_inbox_nor_echo(
    log: EventLog, database: Database
) -> None:
    new = a_session(message(SECRET))
    await log.create(new)

    def decide(_: Desk) -> Decision:
        sent = message(f"again {SECRET}")
        return Decision((sent,), starts_work=False, echoes=(sent.payload,))

    follower = await log.follow(WS, new.id)
    decision = await log.accept(WS, new.id, (), decide)
    assert decision.echoes[0]["content"][0]["text"] == "again [redacted]"
    rows = await database.fetch("select payload::text as text from inbox order by arrived")
    assert ["[redacted]" in row["text"] for row in rows] == [True, True]
    page = await log.page(WS, new.id)
    shown = [*(text.decode() for text in page.rows), *(row["text"] for row in rows)]
    for _ in range(2):  # the batch that a late stream gets, and what is queued
        shown.append(str(await follower.next(5)))
    assert not any("quoted" in text for text in shown)
    await follower.close()


async def test_secrets_do_not_hide_in_what_is_private(log: EventLog, database: Database) -> None:
    new, lease = await begun(log)
    sent = replace(event(new), private={"layout": [{"text": f"x {SECRET}"}]})
    await log.append(lease, [sent], seen=0, derived=derived(new))
    row = await database.fetch_one("select private::text as text from events")
    assert row is not None
    assert json.loads(row["text"]) == {"layout": [{"text": "x [redacted]"}]}
    assert (await log.load(lease)).events[0].private == {"layout": [{"text": "x [redacted]"}]}


async def test_appends_that_are_ready_together_are_one_commit(
    log: EventLog, database: Database
) -> None:
    sessions = [a_session(message()) for _ in range(30)]
    for new in sessions:
        await log.create(new)
    by_id = {new.id: new for new in sessions}
    leases = await log.claim("w", 50)
    await asyncio.gather(*(
        log.append(lease, [event(by_id[lease.session_id])], seen=0,
                   derived=derived(by_id[lease.session_id]))
        for lease in leases
    ))  # fmt: skip
    row = await database.fetch_one(
        "select count(distinct xmin::text) as n, count(*) as m from events"
    )
    assert row == {"n": 1, "m": 30}


async def test_a_worker_of_an_archived_session_writes_nothing_more(log: EventLog) -> None:
    new, lease = await begun(log)
    await log.change(WS, new.id, lambda row: Change({"status": "terminated", "archived_at": 1.0}))
    with pytest.raises(LeaseLost):
        await log.append(lease, [event(new)], seen=0, derived=derived(new))
    assert await log.heartbeat([lease]) == {}
    row = await log.retrieve(WS, new.id)
    assert (row.status, row.lease_owner, row.wake_at) == ("terminated", None, None)


async def test_what_waits_when_the_log_closes_is_told(database: Database) -> None:
    log = EventLog(database, ids=RandomIds(), clock=SystemClock())
    await log.start()
    new, lease = await begun(log)
    waiting = asyncio.create_task(log.append(lease, [event(new)], seen=0, derived=derived(new)))
    await asyncio.sleep(0)
    await log.close()
    with pytest.raises(StoreFault):
        await waiting


async def test_a_cancelled_append_does_not_harm_the_next(log: EventLog) -> None:
    new, lease = await begun(log)
    cancelled = asyncio.create_task(log.append(lease, [event(new)], seen=0, derived=derived(new)))
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)
    done = await log.append(lease, [event(new)], seen=0, derived=derived(new))
    assert [each.seq for each in done.events] == list(range(1, len(done.events) + 1))


async def test_routes_leave_an_audit_row_with_who_did_it(log: EventLog, database: Database) -> None:
    new = a_session()
    with acting(Actor("apikey_1", "10.0.0.9")):
        await log.create(new)
        await log.accept(WS, new.id, [], queues(message()))
        await log.change(WS, new.id, lambda row: Change({"title": "t"}))
        await log.delete(WS, new.id, lambda row: None)
    rows = await database.fetch(
        "select action, actor, source, target_id, hash from audit order by id"
    )
    assert [row.pop("action") for row in rows] == [
        "session.create", "session.send", "session.update", "session.delete"
    ]  # fmt: skip
    expected = {"actor": "apikey_1", "source": "10.0.0.9", "target_id": new.id, "hash": None}
    assert rows == [expected] * 4


async def test_a_finished_turn_says_so_before_anybody_sees_its_idle(log: EventLog) -> None:
    new = a_session(message())
    await log.create(new)
    follower = await log.follow(WS, new.id)
    lease = await claim_one(log)
    turn = asyncio.create_task(turn_over(log, lease, new, 0))
    while frame := await follower.next(2):
        if b"session.status_idle" in frame:
            break
    assert (await log.retrieve(WS, new.id)).status == "idle"
    await turn
    await follower.close()
