"""The log over a real NATS server: who hears what, who is woken, and what happens when it goes away."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from agentstead.clock import SystemClock
from agentstead.errors import Misconfigured
from agentstead.ids import RandomIds
from agentstead.log import hearing, nats_link
from agentstead.log.event_log import EventLog
from agentstead.store.pool import Database
from agentstead.store.workspace import DEFAULT_WORKSPACE as WS
from tests.support.nats import NatsServer, free_port, nats_server
from tests.support.postgres import Server
from tests.support.sessions import (
    a_session,
    claim_one,
    derived,
    event,
    frames,
    ids,
    message,
    queues,
    turn_over,
)

SOON = 2.0
"""Well before a look-round, which would find it too."""


@pytest.fixture
def server() -> Iterator[NatsServer]:
    """A server that this test may kill."""
    with nats_server() as made:
        yield made


@contextlib.asynccontextmanager
async def opened(database_url: str, nats_url: str) -> AsyncIterator[EventLog]:
    """A process's log."""
    database = await Database.open(database_url)
    try:
        async with EventLog(
            database, ids=RandomIds(), clock=SystemClock(), nats_url=nats_url
        ) as log:
            yield log
    finally:
        await database.close()


@pytest.fixture
async def logs(database_url: str, nats_url: str) -> AsyncIterator[list[EventLog]]:
    """Three processes."""
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(opened(database_url, nats_url)) for _ in range(3)]


async def drained(*logs: EventLog) -> None:
    """Nobody has a ring left from before."""
    for log in logs:
        await log.due(0.3)
        await log.due(0.01)


async def woken(log: EventLog, seconds: float = SOON) -> bool:
    """Whether a worker of this process is told that a session may be due."""
    started = asyncio.get_running_loop().time()
    await log.due(seconds)
    return asyncio.get_running_loop().time() - started < seconds * 0.9


def delta(text: str, event_id: str = "sevt_p") -> dict[str, Any]:
    return {
        "type": "event_delta",
        "event_id": event_id,
        "delta": {"type": "content_delta", "index": 0, "content": {"type": "text", "text": text}},
    }


async def test_events_and_previews_reach_a_stream_of_another_process(logs: list[EventLog]) -> None:
    one, two, _ = logs
    new = a_session(message())
    await one.create(new)
    lease = await claim_one(one)
    follower = await two.follow(WS, new.id, previews=frozenset({"agent.message"}))
    await frames(follower)
    start = {"type": "event_start", "event": {"id": "sevt_p", "type": "agent.message"}}
    one.preview(lease, new.primary_thread_id, start)
    one.preview(lease, new.primary_thread_id, delta("one "))
    one.preview(lease, new.primary_thread_id, delta("two"))
    seen = await frames(follower, seconds=0.5)
    text = [each["delta"]["content"]["text"] for each in seen if each["type"] == "event_delta"]
    assert "".join(text) == "one two"
    done = await turn_over(one, lease, new, 0)
    assert ids(await frames(follower, most=len(done.events), seconds=SOON)) == ids(done.events)
    await follower.close()


async def test_a_wake_goes_to_one_worker_that_has_room(logs: list[EventLog]) -> None:
    api, one, two = logs
    await drained(one, two)
    new = a_session()
    await api.create(new)
    waiting = [asyncio.create_task(woken(log, 1.0)) for log in (one, two)]
    await asyncio.sleep(0.1)
    await api.accept(WS, new.id, [], queues(message()))
    assert sorted([await each for each in waiting]) == [False, True]
    assert len([*await one.claim("w1", 5), *await two.claim("w2", 5)]) == 1


async def test_a_full_worker_leaves_the_wake_to_others(logs: list[EventLog]) -> None:
    api, full, free = logs
    await drained(full, free)
    await asyncio.sleep(1.1)  # its last draw has ended
    await api.create(a_session(message()))
    assert await woken(free)


async def test_what_was_not_committed_is_not_told(logs: list[EventLog]) -> None:
    one, two, _ = logs
    new = a_session()
    await one.create(new)
    heard: asyncio.Queue[str] = asyncio.Queue()
    subject = f"{two.bus.link.prefix}.>"  # type: ignore[attr-defined]

    async def hear(message: Any) -> None:
        heard.put_nowait(message.subject + " " + message.data.decode())

    await two.bus.link.client.subscribe(subject, cb=hear)  # type: ignore[attr-defined]
    await two.bus.link.client.flush()  # type: ignore[attr-defined]
    with contextlib.suppress(ZeroDivisionError):
        async with one.database.transaction() as tx:
            await one.tell(tx, "I never 1")
            raise ZeroDivisionError
    await one.accept(WS, new.id, [], queues(message()))
    async with asyncio.timeout(SOON):
        told = {await heard.get() for _ in range(2)}
    assert all(new.id in each for each in told), told


async def test_platforms_that_share_a_server_do_not_hear_each_other(
    postgres: Server, database_url: str, nats_url: str
) -> None:
    other_url = postgres.create()
    try:
        async with opened(database_url, nats_url) as one, opened(other_url, nats_url) as two:
            await drained(one, two)
            waiting = asyncio.create_task(woken(two, 0.5))
            await one.create(a_session(message()))
            assert not await waiting
    finally:
        postgres.drop(other_url)


async def test_without_the_server_events_come_later_and_none_is_lost(
    database_url: str, server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hearing, "LOOK_SECONDS", 0.2)
    new, gone = a_session(message()), a_session()
    async with opened(database_url, server.url) as one, opened(database_url, server.url) as two:
        for each in (new, gone):
            await one.create(each)
        follower, ends = await two.follow(WS, new.id), await two.follow(WS, gone.id)
        await frames(follower)
        server.kill()
        lease = await claim_one(one)
        done = await turn_over(one, lease, new, 0)
        seen = await frames(follower, most=len(done.events), seconds=SOON)
        assert ids(seen) == ids(done.events)
        later = message()
        await one.accept(WS, new.id, [], queues(later))
        assert ids(await frames(follower, most=1, seconds=SOON)) == [later.id]
        await one.delete(WS, gone.id, lambda row: None)
        assert [each["type"] for each in await frames(ends, most=1, seconds=SOON)] == [
            "session.deleted"
        ]

        # and when it is back, with nothing of what it knew
        monkeypatch.setattr(hearing, "LOOK_SECONDS", 60.0)
        server.start()
        async with asyncio.timeout(10):
            for log, back in ((one, asyncio.Event()), (two, asyncio.Event())):
                log.bus.link.back.append(back.set)  # type: ignore[attr-defined]
                if not log.bus.link.client.is_connected:  # type: ignore[attr-defined]
                    await back.wait()
        lease = await claim_one(one)
        head = (await one.retrieve(WS, new.id)).head_seq
        done = await one.append(lease, [event(new)], seen=head, derived=derived(new))
        assert ids(await frames(follower, most=1, seconds=SOON)) == ids(done.events)
        await drained(two)
        waiting = asyncio.create_task(woken(two))
        await one.create(a_session(message()))
        assert await waiting
        await follower.close()
        await ends.close()


async def test_a_server_that_is_not_there_or_cannot_keep_wakes_is_refused_at_start(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats_link, "CONNECT_SECONDS", 0.4)

    def log(url: str) -> EventLog:
        return EventLog(database, ids=RandomIds(), clock=SystemClock(), nats_url=url)

    with pytest.raises(Misconfigured, match=r"cannot be reached.*\n.*--nats"):
        await log(f"nats://127.0.0.1:{free_port()}").start()
    with (
        nats_server(jetstream=False) as plain,
        pytest.raises(Misconfigured, match=r"no JetStream.*\n.*-js"),
    ):
        await log(plain.url).start()
