"""Pages: log order, queued input last, both directions, filters and cursors."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agentstead.clock import SystemClock
from agentstead.errors import NotFound
from agentstead.ids import RandomIds
from agentstead.log.event_log import EventLog
from agentstead.store.pool import Database
from agentstead.store.workspace import DEFAULT_WORKSPACE as WS
from tests.support.sessions import a_session, claim_one, derived, event, ids, message, queues, taken


@pytest.fixture
async def log(database: Database) -> AsyncIterator[EventLog]:
    async with EventLog(database, ids=RandomIds(), clock=SystemClock()) as opened:
        yield opened


async def filled(log: EventLog) -> tuple[Any, list[str]]:
    """Seven events a second apart, then three queued messages; their ids in list order."""
    new = a_session(*(message(str(n)) for n in range(3)))
    await log.create(new)
    lease = await claim_one(log)
    events = [
        event(new, "agent.message" if n % 2 else "agent.thinking", at=1_900_000_000.0 + n)
        for n in range(7)
    ]
    hidden = event(new, "agent.message", primary=False, thread_id="sthr_child", at=1_900_000_007.0)
    await log.append(lease, [*events, hidden], seen=0, derived=derived(new))
    return new, ids(events) + ids(new.incoming)


async def walked(log: EventLog, session_id: str, limit: int, **options: Any) -> list[str]:
    """All pages, one after the other."""
    found: list[str] = []
    after = None
    while True:
        page = await log.page(WS, session_id, limit=limit, after=after, **options)
        found += [json.loads(text)["id"] for text in page.rows]
        assert len(page.rows) <= limit
        if not page.more:
            return found
        after = page.last


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 10, 1000])
async def test_pages_follow_each_other_without_gap_or_repeat(log: EventLog, limit: int) -> None:
    new, order = await filled(log)
    assert await walked(log, new.id, limit) == order
    assert await walked(log, new.id, limit, descending=True) == order[::-1]


async def test_types_and_times_filter(log: EventLog) -> None:
    new, order = await filled(log)
    assert await walked(log, new.id, 2, types=["agent.message"]) == order[1:7:2]
    assert await walked(log, new.id, 2, types=["user.message"]) == order[7:]
    early = {"gte": 1_900_000_002.0, "lt": 1_900_000_004.0}
    assert await walked(log, new.id, 5, created=early) == order[2:4]
    late = {"gt": 1_900_000_002.0, "lte": 1_900_000_004.0}
    assert await walked(log, new.id, 5, created=late) == order[3:5]
    assert await walked(log, new.id, 5, created={"gt": 0.0}) == order[:7]


async def test_rows_are_the_stored_bytes(log: EventLog) -> None:
    new = a_session(message())
    await log.create(new)
    lease = await claim_one(log)
    sent = event(new, "agent.tool_result", content="a\u0000b", order={"z": 1, "a": [1.50, "ä"]})
    await log.append(lease, [sent], seen=0, derived=derived(new))
    page = await log.page(WS, new.id)
    text = json.dumps(sent.payload, ensure_ascii=False, separators=(",", ":"))
    assert page.rows[0] == text.encode()


async def test_what_was_sent_is_listed_last_when_send_returns(log: EventLog) -> None:
    new, order = await filled(log)
    one = message("one more")
    await log.accept(WS, new.id, [], queues(one))
    assert await walked(log, new.id, 1000) == [*order, one.id]


async def test_an_empty_session_has_an_empty_page(log: EventLog) -> None:
    new = a_session()
    await log.create(new)
    page = await log.page(WS, new.id)
    assert (page.rows, page.last, page.more) == ((), None, False)
    with pytest.raises(NotFound):
        await log.page("wrkspc_other", new.id)


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
@pytest.mark.parametrize("descending", [False, True])
async def test_input_taken_in_between_two_pages_is_neither_missed_nor_shown_twice(
    log: EventLog, limit: int, *, descending: bool
) -> None:
    new, order = await filled(log)
    more = [message(str(n)) for n in range(4)]
    await log.accept(WS, new.id, [], queues(*more))
    order += ids(more)
    lease = await again(log, new)
    found: list[str] = []
    after = None
    for turn in range(100):
        page = await log.page(WS, new.id, limit=limit, after=after, descending=descending)
        found += [json.loads(text)["id"] for text in page.rows]
        after = page.last
        if not page.more:
            break
        if turn < 12:  # a worker takes in and answers, a client sends
            await step(log, lease, new)
    assert len(set(found)) == len(found)
    assert [one for one in found if one in order] == sorted(
        order, key=found.index
    )  # every event there was when the list began
    assert set(order) <= set(found)
    if not descending:
        whole = await walked(log, new.id, 1000)
        assert set(found) == set(whole)


async def again(log: EventLog, new: Any) -> Any:
    """Another claim of a session that is being worked on."""
    await log.database.execute(
        "update sessions set lease_owner = null, lease_until = null where id = %s", (new.id,)
    )
    return await claim_one(log)


async def step(log: EventLog, lease: Any, new: Any) -> None:
    """Take the first input in and answer it; something new is sent."""
    pending = (await log.pending(new.id))[:1]
    entries = [*(taken(new, each) for each in pending), event(new)]
    seen = (await log.retrieve(WS, new.id)).head_seq
    await log.append(lease, entries, seen=seen, take=ids(pending), derived=derived(new))
    if len(await log.pending(new.id)) < 4:
        await log.accept(WS, new.id, [], queues(message("new")))
