"""Going on after an event: from anywhere in the log, neither gap nor duplicate, then live."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agentstead.clock import SystemClock
from agentstead.errors import Invalid
from agentstead.ids import RandomIds
from agentstead.log import backlog, follow
from agentstead.log.backlog import Backlog
from agentstead.log.event_log import EventLog
from agentstead.log.log import ThreadRow
from agentstead.store.pool import Database
from agentstead.store.workspace import DEFAULT_WORKSPACE as WS
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


@pytest.fixture
async def log(database: Database) -> AsyncIterator[EventLog]:
    async with EventLog(database, ids=RandomIds(), clock=SystemClock()) as opened:
        yield opened


@pytest.fixture(params=[3, 500], ids=["page by page", "at once"])
def page(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many events are replayed at once."""
    for room in (follow, backlog):
        monkeypatch.setattr(room, "REPLAY_MAX", request.param)
    return int(request.param)


async def session_of_turns(log: EventLog, turns: int) -> tuple[Any, list[str]]:
    """A session with some turns behind it, and the ids of its log."""
    new = a_session()
    await log.create(new)
    for _ in range(turns):
        await log.accept(WS, new.id, [], queues(message()))
        lease = await claim_one(log)
        row = await log.retrieve(WS, new.id)
        await turn_over(log, lease, new, row.head_seq)
    record = await log.page(WS, new.id)
    return new, [json.loads(text)["id"] for text in record.rows]


async def test_every_event_can_be_gone_on_after(log: EventLog, page: int) -> None:
    new, order = await session_of_turns(log, 3)
    for place, event_id in enumerate(order):
        follower = await log.follow(WS, new.id, after=event_id)
        assert isinstance(follower, Backlog) == (len(order) - place - 1 > page)
        assert ids(await frames(follower, len(order) - place - 1)) == order[place + 1 :]
        await follower.close()
    assert not log.hub.channels


async def test_it_goes_live_after_the_replay(log: EventLog, page: int) -> None:
    del page
    new, order = await session_of_turns(log, 2)
    follower = await log.follow(WS, new.id, after=order[0])
    assert ids(await frames(follower)) == order[1:]
    sent = message()
    await log.accept(WS, new.id, [], queues(sent))
    done = await turn_over(log, await claim_one(log), new, len(order))
    got = await frames(follower)
    assert ids(got) == [sent.id, *ids(done.events)]
    assert got[0]["processed_at"] is None


async def test_nothing_is_missed_while_others_write(log: EventLog, page: int) -> None:
    del page
    new, order = await session_of_turns(log, 1)
    await log.accept(WS, new.id, [], queues(message()))
    lease = await claim_one(log)
    followers: list[Any] = []

    async def write() -> None:
        for seen in range(len(order), len(order) + 60):
            await log.append(lease, [event(new)], seen=seen, derived=derived(new))

    async def resume() -> None:
        for _ in range(8):
            followers.append(await log.follow(WS, new.id, after=order[0]))
            await asyncio.sleep(0.005)

    await asyncio.gather(write(), resume())
    logged = [each.id for each in (await log.load(lease)).events]
    for follower in followers:
        got = [one["id"] for one in await frames(follower) if one["processed_at"] is not None]
        assert got == logged[1:]
        await follower.close()


async def test_what_is_still_queued_comes_again_last(log: EventLog) -> None:
    new, order = await session_of_turns(log, 1)
    first, second = message("first"), message("second")
    await log.accept(WS, new.id, [], queues(first, second))
    follower = await log.follow(WS, new.id, after=order[-1])
    got = await frames(follower)
    assert ids(got) == [first.id, second.id]
    assert [one["processed_at"] for one in got] == [None, None]
    done = await turn_over(log, await claim_one(log), new, len(order))
    assert ids(await frames(follower)) == ids(done.events)


async def test_after_queued_input_comes_what_is_behind_it(log: EventLog) -> None:
    new, order = await session_of_turns(log, 1)
    first, second = message("first"), message("second")
    await log.accept(WS, new.id, [], queues(first, second))
    follower = await log.follow(WS, new.id, after=first.id)
    assert ids(await frames(follower)) == [second.id]
    done = await turn_over(log, await claim_one(log), new, len(order))
    assert ids(await frames(follower)) == ids(done.events)
    # Now that it has its place in the log, only what comes after it.
    assert ids(await frames(await log.follow(WS, new.id, after=first.id))) == ids(done.events)[1:]


async def test_an_event_of_nowhere_is_refused_by_name(log: EventLog) -> None:
    new, _ = await session_of_turns(log, 1)
    _, elsewhere = await session_of_turns(log, 1)
    for strange in ("sevt_nowhere", elsewhere[0]):
        with pytest.raises(Invalid, match=strange):
            await log.follow(WS, new.id, after=strange)
    assert not log.hub.channels


async def test_who_goes_on_has_seen_the_turn(log: EventLog) -> None:
    new, order = await session_of_turns(log, 1)
    assert ids(await frames(await log.follow(WS, new.id, after=order[0]))) == order[1:]
    assert await frames(await log.follow(WS, new.id)) == []


async def test_a_late_stream_of_a_long_turn_reads_it_page_by_page(log: EventLog, page: int) -> None:
    new = a_session(message())
    await log.create(new)
    lease = await claim_one(log)
    for seen in range(9):
        await log.append(lease, [event(new)], seen=seen, derived=derived(new))
    await turn_over(log, lease, new, 9)
    record = await log.load(await again(log, new))
    began = [each.id for each in record.events].index(new.incoming[0].id)
    late = await log.follow(WS, new.id)
    assert ids(await frames(late)) == ids(record.events)[began:]
    assert page


async def again(log: EventLog, new: Any) -> Any:
    """A claim by force."""
    await log.database.execute("update sessions set wake_at = now() where id = %s", (new.id,))
    return await claim_one(log)


async def test_a_threads_stream_goes_on_after_any_event_of_the_session(
    log: EventLog, page: int
) -> None:
    del page
    new, order = await session_of_turns(log, 1)
    await log.accept(WS, new.id, [], queues(message()))
    lease = await claim_one(log)
    both = derived(new)
    child = ThreadRow("sthr_child", "running", None, None)
    both = type(both)(
        "running", None, (), both.usage, both.stats, 1.0, (*both.threads, child)
    )  # fmt: skip
    entries = [event(new, thread_id="sthr_child", primary=False) for _ in range(5)]
    mixed = [each for one in entries for each in (event(new), one)]
    await log.append(lease, mixed, seen=len(order), derived=both)
    stream = await log.follow(WS, new.id, thread_id="sthr_child", after=order[0])
    assert ids(await frames(stream)) == ids(entries)
    stream = await log.follow(WS, new.id, thread_id="sthr_child", after=entries[1].id)
    assert ids(await frames(stream)) == ids(entries)[2:]


async def test_previews_are_never_replayed(log: EventLog, page: int) -> None:
    del page
    new, order = await session_of_turns(log, 2)
    await log.accept(WS, new.id, [], queues(message()))
    lease = await claim_one(log)
    started = {"type": "event_start", "event": {"id": "sevt_p", "type": "agent.message"}}
    delta = {
        "type": "event_delta", "event_id": "sevt_p",
        "delta": {"type": "content_delta", "index": 0, "content": {"type": "text", "text": "x"}},
    }  # fmt: skip
    log.preview(lease, new.primary_thread_id, started)
    wanted = frozenset({"agent.message"})
    follower = await log.follow(WS, new.id, previews=wanted, after=order[0])
    replayed = await frames(follower)
    log.preview(lease, new.primary_thread_id, delta)
    assert not any(one["type"].startswith("event_") for one in replayed)
    assert await frames(follower) == []


async def test_a_session_deleted_while_one_catches_up_ends_the_stream(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    for room in (follow, backlog):
        monkeypatch.setattr(room, "REPLAY_MAX", 2)
    new, order = await session_of_turns(log, 2)
    follower = await log.follow(WS, new.id, after=order[0])
    assert len(await frames(follower, 2)) == 2
    await log.delete(WS, new.id, lambda row: None)
    await frames(follower)
    with pytest.raises(StopAsyncIteration):
        await follower.next(1)


async def test_the_replay_of_an_ended_session_ends(log: EventLog, page: int) -> None:
    del page
    new, order = await session_of_turns(log, 2)
    lease = await again(log, new)
    end = event(new, "session.status_terminated")
    await log.append(lease, [end], seen=len(order), derived=derived(new, "terminated"))
    follower = await log.follow(WS, new.id, after=order[0])
    assert ids(await frames(follower)) == [*order[1:], end.id]
    with pytest.raises(StopAsyncIteration):
        await follower.next(1)


async def test_a_frame_of_the_log_carries_its_id_and_others_do_not(log: EventLog) -> None:
    new, order = await session_of_turns(log, 1)
    follower = await log.follow(WS, new.id, after=order[0])
    assert (await follower.next(1) or b"").startswith(f"id: {order[1]}\nevent: ".encode())
    await frames(follower)
    await log.accept(WS, new.id, [], queues(message()))
    assert (await follower.next(1) or b"").startswith(b"event: user.message\n")
