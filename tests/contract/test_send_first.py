"""Clients rules 1 to 3, with two processes on one database: whoever accepts, works, or streams.

A batch that had a stream anywhere since it was accepted is not replayed to a stream opened later;
one that had none is.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agentstead.clock import SystemClock
from agentstead.ids import RandomIds
from agentstead.log.event_log import EventLog
from agentstead.store.pool import Database
from agentstead.store.workspace import DEFAULT_WORKSPACE as WS
from tests.support.sessions import (
    a_session,
    claim_one,
    frames,
    ids,
    message,
    queues,
    turn_over,
)

ROLES = ("one", "two")


@pytest.fixture(params=["postgres", "nats"])
async def logs(
    request: pytest.FixtureRequest, database_url: str
) -> AsyncIterator[dict[str, EventLog]]:
    nats_url = request.getfixturevalue("nats_url") if request.param == "nats" else None
    databases = [await Database.open(database_url) for _ in ROLES]
    opened = [
        EventLog(each, ids=RandomIds(), clock=SystemClock(), nats_url=nats_url)
        for each in databases
    ]
    for log in opened:
        await log.start()
    yield dict(zip(ROLES, opened, strict=True))
    for log in opened:
        await log.close()
    for database in databases:
        await database.close()


async def ended(follower: Any) -> list[dict[str, Any]]:
    """All frames up to the idle that ends the turn."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(10):
        while not found or found[-1]["type"] != "session.status_idle":
            found += await frames(follower, most=1, seconds=5)
    return found


async def turn(accepts: EventLog, works: EventLog, new: Any) -> list[str]:
    """Send a message, have it answered; the ids of the turn."""
    await accepts.accept(WS, new.id, [], queues(message()))
    lease = await claim_one(works)
    head = (await works.retrieve(WS, new.id)).head_seq
    return ids((await turn_over(works, lease, new, head)).events)


# clients rule 1: opened before sending, so the next stream must not see the old end of turn.
@pytest.mark.parametrize("streams", ROLES)
@pytest.mark.parametrize("accepts", ROLES)
@pytest.mark.parametrize("works", ROLES)
async def test_a_turn_streamed_anywhere_is_not_replayed(
    logs: dict[str, EventLog], streams: str, accepts: str, works: str
) -> None:
    new = a_session()
    await logs["one"].create(new)
    for _ in range(3):
        follower = await logs[streams].follow(WS, new.id)
        done = await turn(logs[accepts], logs[works], new)
        got = await ended(follower)
        assert [one["id"] for one in got if one["processed_at"]] == done
        # At once, before anything has had time to settle, and wherever it is opened.
        later = [await log.follow(WS, new.id) for log in logs.values()]
        assert [await frames(each) for each in later] == [[], []]
        for each in (follower, *later):
            await each.close()


# clients rule 1: sent first, so the stream that comes later begins with the message.
@pytest.mark.parametrize("opens", ROLES)
@pytest.mark.parametrize("accepts", ROLES)
async def test_a_turn_that_nobody_streamed_is_replayed_once(
    logs: dict[str, EventLog], opens: str, accepts: str
) -> None:
    new = a_session()
    await logs["one"].create(new)
    gone = await logs[opens].follow(WS, new.id)
    await gone.close()
    done = await turn(logs[accepts], logs["one"], new)
    late = await logs[opens].follow(WS, new.id)
    assert ids(await frames(late)) == done
    for log in logs.values():
        assert await frames(await log.follow(WS, new.id)) == []


async def test_a_stream_of_a_thread_is_no_stream_of_the_session(logs: dict[str, EventLog]) -> None:
    new = a_session()
    await logs["one"].create(new)
    thread = await logs["two"].follow(WS, new.id, thread_id=new.primary_thread_id)
    done = await turn(logs["one"], logs["one"], new)
    assert [one["id"] for one in await ended(thread) if one["processed_at"]] == done
    assert ids(await frames(await logs["one"].follow(WS, new.id))) == done
    again = await logs["one"].follow(WS, new.id, thread_id=new.primary_thread_id)
    assert await frames(again) == []


async def test_a_stream_whose_process_was_deaf_has_seen_the_turn(logs: dict[str, EventLog]) -> None:
    new = a_session()
    await logs["one"].create(new)
    follower = await logs["two"].follow(WS, new.id)
    await logs["one"].database.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and query ilike 'listen%'"
    )
    done = await turn(logs["one"], logs["one"], new)
    got = await ended(follower)
    assert [one["id"] for one in got if one["processed_at"]] == done
    assert await frames(await logs["one"].follow(WS, new.id)) == []


async def test_streams_cost_no_write_while_nobody_sends(logs: dict[str, EventLog]) -> None:
    new = a_session()
    await logs["one"].create(new)
    await turn(logs["one"], logs["one"], new)
    await frames(await logs["one"].follow(WS, new.id))
    before = await row_version(logs["one"], new.id)
    for log in logs.values():
        for _ in range(3):
            follower = await log.follow(WS, new.id)
            await frames(follower, seconds=0.01)
            await follower.close()
    assert await row_version(logs["one"], new.id) == before


async def row_version(log: EventLog, session_id: str) -> Any:
    row = await log.database.fetch_one("select ctid from sessions where id = %s", (session_id,))
    assert row
    return row["ctid"]


# clients rule 2: one transaction, not "eventually".
@pytest.mark.parametrize("reads", ROLES)
async def test_when_send_returns_the_list_ends_with_it_and_the_status_is_running(
    logs: dict[str, EventLog], reads: str
) -> None:
    new = a_session()
    await logs["one"].create(new)
    await turn(logs["one"], logs["one"], new)
    sent = [message("a"), message("b")]
    await logs["one"].accept(WS, new.id, [], queues(*sent))
    page = await logs[reads].page(WS, new.id)
    shown = [json.loads(text) for text in page.rows]
    assert [one["id"] for one in shown[-2:]] == ids(sent)
    assert shown[-3]["type"] == "session.status_idle"
    assert (await logs[reads].retrieve(WS, new.id)).status == "running"
    threads = await logs[reads].database.fetch(
        "select status from threads where session_id = %s", (new.id,)
    )
    assert [one["status"] for one in threads] == ["running"]


# clients rule 3: whoever sees the idle event sees the session idle.
@pytest.mark.parametrize("works", ROLES)
async def test_the_status_is_there_before_the_idle_event_is(
    logs: dict[str, EventLog], works: str
) -> None:
    new = a_session()
    await logs["one"].create(new)
    followers = [await log.follow(WS, new.id) for log in logs.values()]

    async def look(log: EventLog, follower: Any) -> tuple[str, str]:
        await ended(follower)
        page = await log.page(WS, new.id)
        row = await log.retrieve(WS, new.id)
        return row.status, json.loads(page.rows[-1])["type"]

    looks = [
        asyncio.create_task(look(log, follower))
        for log, follower in zip(logs.values(), followers, strict=True)
    ]
    await turn(logs["one"], logs[works], new)
    assert await asyncio.gather(*looks) == [("idle", "session.status_idle")] * 2
