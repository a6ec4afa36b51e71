"""Streams: neither gap nor duplicate, late openers, queued frames, the slow, and the end."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agentstead.clock import SystemClock
from agentstead.errors import NotFound
from agentstead.ids import RandomIds
from agentstead.log import tail
from agentstead.log.event_log import EventLog
from agentstead.log.log import Change, Park
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
    taken,
    turn_over,
)


def a_log(database: Database, **options: Any) -> EventLog:
    return EventLog(database, ids=RandomIds(), clock=SystemClock(), **options)


@pytest.fixture
async def log(database: Database) -> AsyncIterator[EventLog]:
    async with a_log(database) as opened:
        yield opened


@pytest.fixture
async def other(database: Database) -> AsyncIterator[EventLog]:
    """Another process, as far as the bus is concerned."""
    async with a_log(database) as opened:
        yield opened


async def begun(log: EventLog) -> tuple[Any, Any]:
    """A session that was opened, asked and claimed, with a stream of its first turn."""
    new = a_session()
    await log.create(new)
    return new, await sent(log, new)


async def sent(log: EventLog, new: Any, *entries: Any) -> Any:
    await log.accept(WS, new.id, [], queues(*(entries or (message(),))))
    return await claim_one(log)


async def test_a_stream_gets_what_is_appended_after_it_was_opened(log: EventLog) -> None:
    new = a_session()
    await log.create(new)
    follower = await log.follow(WS, new.id)
    lease = await sent(log, new)
    done = await turn_over(log, lease, new, 0)
    got = await frames(follower)
    assert ids(got) == [done.events[0].id, *ids(done.events)]
    assert got[0]["processed_at"] is None
    assert got[1]["processed_at"] is not None
    await follower.close()


async def test_the_queued_form_comes_before_the_worker_has_it(log: EventLog) -> None:
    new = a_session()
    await log.create(new)
    follower = await log.follow(WS, new.id)
    first = message()
    await log.accept(WS, new.id, [], queues(first))
    assert await frames(follower) == [first.payload]
    await follower.close()


async def test_interrupts_and_results_come_once(log: EventLog) -> None:
    new = a_session()
    await log.create(new)
    follower = await log.follow(WS, new.id)
    entries = [
        incoming("user.interrupt"),
        incoming("user.custom_tool_result", custom_tool_use_id="x"),
    ]
    lease = await sent(log, new, *entries)
    assert await frames(follower) == []
    await turn_over(log, lease, new, 0)
    assert ids(await frames(follower))[:2] == ids(entries)
    await follower.close()


async def test_nothing_is_missed_and_nothing_doubled_while_streams_open(log: EventLog) -> None:
    new, lease = await begun(log)
    followers: list[Any] = []

    async def write() -> None:
        for seen in range(40):
            await log.append(lease, [event(new)], seen=seen, derived=derived(new))

    async def open_streams() -> None:
        for _ in range(15):
            followers.append(await log.follow(WS, new.id))

    await asyncio.gather(write(), open_streams())
    page = await log.page(WS, new.id)
    logged = ids([tail_payload(text) for text in page.rows])[:-1]  # the message is still queued
    for follower in followers:
        got = [each["id"] for each in await frames(follower) if each["type"] == "agent.message"]
        assert got == logged[len(logged) - len(got) :]
        await follower.close()


def tail_payload(text: bytes) -> Any:
    import json

    return json.loads(text)


async def test_a_late_opener_gets_the_turn_that_is_over(log: EventLog) -> None:
    new, lease = await begun(log)
    done = await turn_over(log, lease, new, 0)
    late = await log.follow(WS, new.id)
    assert ids(await frames(late)) == ids(done.events)
    second = await log.follow(WS, new.id)
    assert await frames(second) == []


async def test_a_late_opener_gets_the_running_turn_from_its_message_on(log: EventLog) -> None:
    new, lease = await begun(log)
    first = await turn_over(log, lease, new, 0)
    seen = first.events[-1].seq
    await log.accept(WS, new.id, [], queues(message("second"), message("third")))
    lease = await claim_one(log)
    pending = await log.pending(new.id)
    await log.append(
        lease, [taken(new, pending[0])], seen=seen, take=[pending[0].id], derived=derived(new)
    )
    late = await log.follow(WS, new.id)
    got = await frames(late)
    assert ids(got) == ids(pending)
    assert [each["processed_at"] is None for each in got] == [False, True]
    answer = event(new)
    await log.append(
        lease, [taken(new, pending[1]), answer], seen=seen + 1, take=[pending[1].id],
        derived=derived(new),
    )  # fmt: skip
    assert ids(await frames(late)) == [pending[1].id, answer.id]


async def test_a_stream_open_at_sending_takes_the_turn_from_later_ones(log: EventLog) -> None:
    new = a_session()
    await log.create(new)
    early = await log.follow(WS, new.id)
    lease = await sent(log, new)
    await turn_over(log, lease, new, 0)
    assert len(await frames(early)) > 2
    assert await frames(await log.follow(WS, new.id)) == []


async def test_a_listed_end_is_not_streamed_again(log: EventLog) -> None:
    for descending in (False, True):
        new, lease = await begun(log)
        await turn_over(log, lease, new, 0)
        page = await log.page(WS, new.id, descending=descending, limit=3 if not descending else 1)
        assert any(b"session.status_idle" in text for text in page.rows)
        assert await frames(await log.follow(WS, new.id)) == []


async def test_a_list_without_the_end_leaves_it_to_the_stream(log: EventLog) -> None:
    new, lease = await begun(log)
    await turn_over(log, lease, new, 0)
    await log.page(WS, new.id, limit=1)
    await log.page(WS, new.id, types=["agent.message"])
    assert len(await frames(await log.follow(WS, new.id))) == 3


async def test_an_old_turn_is_not_replayed(database: Database) -> None:
    for late_stream_seconds in (0.1, 0.0):
        async with a_log(database, late_stream_seconds=late_stream_seconds) as log:
            new, lease = await begun(log)
            await turn_over(log, lease, new, 0)
            await asyncio.sleep(0.15)
            assert await frames(await log.follow(WS, new.id)) == []


async def test_a_threads_stream_shows_that_thread_only(log: EventLog) -> None:
    new, lease = await begun(log)
    main = await log.follow(WS, new.id)
    await frames(main)
    both = event(new, "session.thread_status_idle", thread_id="sthr_child", primary=True)
    child = event(new, "agent.message", thread_id="sthr_child", primary=False)
    own = event(new)
    threads = (
        *derived(new).threads,
        type(derived(new).threads[0])("sthr_child", "running", None, None),
    )
    with_child = derived(new)
    with_child = type(with_child)(
        "running", None, (), with_child.usage, with_child.stats, 1.0, threads
    )
    await log.append(lease, [own], seen=0, derived=with_child)
    stream = await log.follow(WS, new.id, thread_id="sthr_child")
    await log.append(lease, [child, both], seen=1, derived=with_child)
    assert ids(await frames(main)) == [own.id, both.id]
    assert ids(await frames(stream))[-2:] == [child.id, both.id]
    assert own.id not in ids(await frames(await log.follow(WS, new.id, thread_id="sthr_child")))
    page = await log.page(WS, new.id, thread_id="sthr_child")
    assert len(page.rows) == 2
    with pytest.raises(NotFound):
        await log.follow(WS, new.id, thread_id="sthr_nowhere")


async def test_other_processes_stream_the_same(log: EventLog, other: EventLog) -> None:
    new = a_session()
    await log.create(new)
    follower = await other.follow(WS, new.id)
    lease = await sent(log, new)
    assert [each["processed_at"] for each in await frames(follower)] == [None]
    done = await turn_over(log, lease, new, 0)
    assert ids(await frames(follower)) == ids(done.events)
    row = await log.retrieve(WS, new.id)
    await other.change(
        WS, new.id, lambda row: Change({"title": "t"}, (event(new, "session.updated", title="t"),))
    )
    assert [each["type"] for each in await frames(follower)] == ["session.updated"]
    assert row.head_seq + 1 == (await log.retrieve(WS, new.id)).head_seq


async def test_a_stream_survives_a_lost_bus(
    log: EventLog, other: EventLog, database: Database
) -> None:
    new, lease = await begun(log)
    follower = await other.follow(WS, new.id)
    await frames(follower)
    await database.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and query ilike 'listen%'"
    )
    sent_while_deaf = event(new)
    await log.append(lease, [sent_while_deaf], seen=0, derived=derived(new))
    assert ids(await frames(follower, most=1, seconds=3)) == [sent_while_deaf.id]


async def test_a_strange_notice_makes_nobody_deaf(
    log: EventLog, other: EventLog, database: Database
) -> None:
    new = a_session()
    await log.create(new)
    follower = await other.follow(WS, new.id)
    for strange in ("", "x", f"x\nL {new.id} many", "x\nP {", "x\nP {}", "x\nQ new kind"):
        await database.execute("select pg_notify('agentstead', %s)", (strange,))
    await log.accept(WS, new.id, [], queues(message()))
    assert len(await frames(follower, most=1, seconds=3)) == 1


async def test_deleting_ends_streams_with_a_frame(log: EventLog, other: EventLog) -> None:
    new = a_session()
    await log.create(new)
    followers = [await log.follow(WS, new.id), await other.follow(WS, new.id)]
    await log.delete(WS, new.id, lambda row: None)
    last = [await frames(follower, seconds=2) for follower in followers]
    assert [[each["type"] for each in got] for got in last] == [["session.deleted"]] * 2
    assert last[0] == last[1]
    for follower in followers:
        with pytest.raises(StopAsyncIteration):
            await follower.next(1)
    with pytest.raises(NotFound):
        await log.follow(WS, new.id)


async def test_a_session_deleted_while_the_bus_was_lost_ends_its_streams(
    log: EventLog, other: EventLog
) -> None:
    new, kept = a_session(), a_session()
    for each in (new, kept):
        await log.create(each)
    gone, stays = [await other.follow(WS, each.id) for each in (new, kept)]
    await other.bus.close()  # deaf
    await log.delete(WS, new.id, lambda row: None)
    assert await frames(gone) == []
    other.hearing.resync()
    assert [each["type"] for each in await frames(gone, seconds=2)] == ["session.deleted"]
    with pytest.raises(StopAsyncIteration):
        await gone.next(1)
    assert await frames(stays) == []
    await stays.close()


async def test_the_end_of_a_session_ends_its_streams(log: EventLog) -> None:
    new, lease = await begun(log)
    follower = await log.follow(WS, new.id)
    await frames(follower)
    pending = await log.pending(new.id)
    await log.append(
        lease,
        [*(taken(new, each) for each in pending), event(new, "session.status_terminated")],
        seen=0, take=ids(pending), derived=derived(new, "terminated"), park=Park(None),
    )  # fmt: skip
    assert [each["type"] for each in await frames(follower)][-1] == "session.status_terminated"
    with pytest.raises(StopAsyncIteration):
        await follower.next(1)
    with pytest.raises(StopAsyncIteration):
        await (await log.follow(WS, new.id)).next(1)


async def test_the_slow_are_dropped_and_hold_up_nobody(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "QUEUE_FRAMES_MAX", 10)
    new, lease = await begun(log)
    slow = await log.follow(WS, new.id)
    quick = await log.follow(WS, new.id)
    await frames(slow)
    got: list[Any] = []
    for seen in range(20):
        await log.append(lease, [event(new)], seen=seen, derived=derived(new))
        got += await frames(quick, most=1)
    assert len(got) == 20
    with pytest.raises(StopAsyncIteration):
        await slow.next(1)


async def test_previews_reach_who_asked_and_stop_at_the_event(
    log: EventLog, other: EventLog
) -> None:
    new, lease = await begun(log)
    wanted = frozenset({"agent.message"})
    here = await log.follow(WS, new.id, previews=wanted)
    there = await other.follow(WS, new.id, previews=wanted)
    plain = await log.follow(WS, new.id)
    for follower in (here, there, plain):
        await frames(follower)
    final = event(new, content=[{"type": "text", "text": "Hello"}])
    thread_id = new.primary_thread_id

    def delta(text: str) -> dict[str, Any]:
        return {
            "type": "event_delta", "event_id": final.id,
            "delta": {"type": "content_delta", "index": 0, "content": {"type": "text", "text": text}},
        }  # fmt: skip

    log.preview(lease, thread_id, delta("too early"))
    start = {"type": "event_start", "event": {"type": "agent.message", "id": final.id}}
    log.preview(lease, thread_id, start)
    for text in "Hello":
        log.preview(lease, thread_id, delta(text))
    await asyncio.sleep(0.2)
    await log.append(lease, [final], seen=0, derived=derived(new))
    log.preview(lease, thread_id, delta("too late"))
    for follower in (here, there):
        got = await frames(follower, seconds=0.3)
        assert got[0] == start
        assert got[-1]["id"] == final.id
        texts = [each["delta"]["content"]["text"] for each in got[1:-1]]
        assert "".join(texts) == "Hello"
    assert ids(await frames(plain)) == [final.id]


async def test_another_workspace_cannot_follow(log: EventLog) -> None:
    new = a_session()
    await log.create(new)
    with pytest.raises(NotFound):
        await log.follow("wrkspc_other", new.id)
    assert log.hub.channels == {}


async def test_a_stream_that_waits_for_an_append_misses_nothing_of_its_turn(
    log: EventLog, database: Database
) -> None:
    new = a_session(message())
    await log.create(new)
    async with database.transaction() as tx:  # what an append does, slowly
        await tx.execute("select id from sessions for no key update")
        opening = asyncio.create_task(log.follow(WS, new.id))
        await asyncio.sleep(0.1)
        assert not opening.done()
        entry = new.incoming[0]
        await tx.execute(
            "insert into events (session_id, seq, id, workspace_id, thread_id, type, primary_view,"
            " at, fence, payload) values (%s, 1, %s, %s, %s, %s, true, now(), 1, %s)",
            (new.id, entry.id, WS, new.primary_thread_id, entry.type, json.dumps(entry.payload)),
        )
        await tx.execute("delete from inbox")
        await tx.execute("update sessions set head_seq = 1")
    assert ids(await frames(await opening)) == [entry.id]


async def test_queued_input_of_all_processes_comes_whatever_the_order_of_notices(
    log: EventLog, other: EventLog
) -> None:
    new = a_session()
    await log.create(new)
    follower = await log.follow(WS, new.id)
    await log.bus.close()
    theirs, mine = message("theirs"), message("mine")
    await other.accept(WS, new.id, [], queues(theirs))
    await log.accept(WS, new.id, [], queues(mine))
    assert ids(await frames(follower)) == [mine.id]
    (pending,) = [each for each in await log.pending(new.id) if each.id == theirs.id]
    log.hearing.hear("I", f"{new.id} {pending.arrived}")  # the notice comes late
    assert ids(await frames(follower)) == [theirs.id]
    log.hearing.hear("I", f"{new.id} {pending.arrived}")
    assert await frames(follower) == []


async def test_input_queued_while_the_bus_was_lost_is_streamed(
    log: EventLog, other: EventLog, database: Database
) -> None:
    new = a_session()
    await log.create(new)
    follower = await other.follow(WS, new.id)
    await database.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and query ilike 'listen%'"
    )
    while_deaf = message()
    await log.accept(WS, new.id, [], queues(while_deaf))
    assert ids(await frames(follower, most=1, seconds=3)) == [while_deaf.id]


async def test_input_that_waited_before_a_stream_opened_is_not_streamed_as_new(
    log: EventLog, other: EventLog
) -> None:
    new = a_session()
    await log.create(new)
    early = await log.follow(WS, new.id)
    await log.accept(WS, new.id, [], queues(message("before")))
    await frames(early)
    late = await log.follow(WS, new.id)
    after = message("after")
    await other.accept(WS, new.id, [], queues(after))
    assert ids(await frames(late, most=1, seconds=2)) == [after.id]
    assert await frames(late) == []
