"""Everybody at once on a few sessions, from two processes: no deadlock, nothing lost, nothing doubled."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agentstead.clock import SystemClock
from agentstead.errors import LeaseLost
from agentstead.ids import RandomIds
from agentstead.log.event_log import EventLog
from agentstead.log.log import Change, Park
from agentstead.store.pool import Database
from agentstead.store.workspace import DEFAULT_WORKSPACE as WS
from tests.support.sessions import a_session, derived, event, ids, message, parsed, queues, taken

SESSIONS = 4
MESSAGES = 12
"""Per session."""


@pytest.fixture(params=["postgres", "nats"])
async def logs(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[list[EventLog]]:
    nats_url = request.getfixturevalue("nats_url") if request.param == "nats" else None
    databases = [await Database.open(database_url) for _ in range(2)]
    opened = [
        EventLog(
            database, ids=RandomIds(), clock=SystemClock(), lease_seconds=1.0, nats_url=nats_url
        )
        for database in databases
    ]
    for log in opened:
        await log.start()
    yield opened
    for log in opened:
        await log.close()
    for database in databases:
        await database.close()


async def drive(log: EventLog, lease: Any, new: Any) -> None:
    """A turn: take in what there is, answer, park; stay while there is more."""
    seen = (await log.load(lease)).events
    place = seen[-1].seq if seen else 0
    inbox = await log.pending(new.id)
    while True:
        entries = [taken(new, each) for each in inbox] + [event(new)]
        done = await log.append(lease, entries, seen=place, take=ids(inbox), derived=derived(new))
        place = done.events[-1].seq
        if done.inbox:
            inbox = done.inbox
            continue
        idle = event(new, "session.status_idle")
        last = await log.append(
            lease, [idle], seen=place, derived=derived(new, "idle"), park=Park(None)
        )
        if not last.refused:
            return
        inbox = last.inbox
        place = last.events[-1].seq if last.events else place


async def work(log: EventLog, owner: str, sessions: dict[str, Any]) -> None:
    """Claim and drive, with heartbeats, and hand back now and then."""
    turn = 0
    while True:
        leases = await log.claim(owner, 2)
        await log.heartbeat(leases)
        for lease in leases:
            turn += 1
            if turn % 5 == 0:
                await log.release([lease])
                continue
            try:
                await drive(log, lease, sessions[lease.session_id])
            except LeaseLost:
                continue
        if not leases:
            await log.due(0.05)


async def watch(log: EventLog, session_id: str) -> None:
    """Streams that open and close, each without a gap."""
    while True:
        follower = await log.follow(WS, session_id)
        got: list[str] = []
        while len(got) < 20:
            frame = await follower.next(0.05)
            if frame is None:
                break
            payload = parsed(frame)
            if payload["processed_at"] is not None:
                got.append(payload["id"])
        await follower.close()
        rows = (await log.page(WS, session_id)).rows
        order = [json.loads(row)["id"] for row in rows]
        if got:
            first = order.index(got[0])
            assert order[first : first + len(got)] == got


async def retitle(log: EventLog, new: Any) -> None:
    """Change the session while others work on it."""
    while True:
        change = Change({"title": "t"}, (event(new, "session.updated"),))
        await log.change(WS, new.id, lambda row, change=change: change)
        await asyncio.sleep(0.01)


async def say(log: EventLog, new: Any) -> list[str]:
    """Send messages, one after the other."""
    sent = []
    for n in range(MESSAGES):
        entry = message(str(n))
        await log.accept(WS, new.id, [], queues(entry))
        sent.append(entry.id)
        await asyncio.sleep(0.002 * (n % 4))
    return sent


async def is_quiet(log: EventLog, sessions: dict[str, Any]) -> bool:
    rows = [await log.retrieve(WS, session_id) for session_id in sessions]
    return all(
        row.status == "idle" and not row.inbox_count and row.lease_owner is None for row in rows
    )


async def test_everything_at_once(logs: list[EventLog]) -> None:
    sessions = {new.id: new for new in (a_session() for _ in range(SESSIONS))}
    for new in sessions.values():
        await logs[0].create(new)
    background = [
        asyncio.create_task(job)
        for n, log in enumerate(logs)
        for job in (
            work(log, f"worker_{n}", sessions),
            *(watch(log, session_id) for session_id in sessions),
            *(retitle(log, new) for new in list(sessions.values())[:2]),
        )
    ]
    try:
        sent = await asyncio.gather(
            *(say(logs[n % 2], new) for n, new in enumerate(sessions.values()))
        )
        async with asyncio.timeout(25):
            while not await is_quiet(logs[0], sessions):  # noqa: ASYNC110 - rows, not events
                await asyncio.sleep(0.02)
    finally:
        for task in background:
            task.cancel()
        ended = await asyncio.gather(*background, return_exceptions=True)
    assert {type(each) for each in ended} == {asyncio.CancelledError}, ended
    for new, messages in zip(sessions.values(), sent, strict=True):
        rows = await logs[0].database.fetch(
            "select seq, id, type from events where session_id = %s order by seq", (new.id,)
        )
        assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
        assert [row["id"] for row in rows if row["type"] == "user.message"] == messages
