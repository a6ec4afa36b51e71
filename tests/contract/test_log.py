"""What every log promises its workers: PostgreSQL's and the one in memory, one suite."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from agentstead.clock import SystemClock
from agentstead.errors import Invalid, LeaseLost, NotFound
from agentstead.ids import STOP, RandomIds
from agentstead.log.event_log import EventLog
from agentstead.log.log import Ask, Change, Decision, Park, Stop
from agentstead.store.pool import Database
from agentstead.store.workspace import DEFAULT_WORKSPACE
from agentstead.testing.memory_log import MemoryLog
from tests.support.sessions import (
    a_session,
    claim_one,
    derived,
    event,
    ids,
    incoming,
    message,
    queues,
    taken,
    turn_over,
)

LEASE_SECONDS = 0.4
NO_JSON: Any = {"what": object()}
OTHER_WORKSPACE = "wrkspc_01000000000000000000other"


@pytest.fixture(params=["postgres", "memory"])
def url(request: pytest.FixtureRequest) -> str | None:
    """Of a fresh database; None: in memory."""
    return request.getfixturevalue("database_url") if request.param == "postgres" else None


@pytest.fixture
async def log(url: str | None) -> AsyncIterator[Any]:
    if url is None:
        yield MemoryLog(SystemClock(), lease_seconds=LEASE_SECONDS)
        return
    database = await Database.open(url)
    await database.execute("insert into workspaces values (%s, 'other')", (OTHER_WORKSPACE,))
    async with EventLog(
        database, ids=RandomIds(), clock=SystemClock(), lease_seconds=LEASE_SECONDS
    ) as opened:
        yield opened
    await database.close()


async def begun(log: Any, *first: Any) -> tuple[Any, Any]:
    """A session with input, claimed."""
    new = a_session(*(first or (message(),)))
    await log.create(new)
    return new, await claim_one(log)


async def test_a_session_without_input_is_idle_and_not_due(log: Any) -> None:
    new = a_session()
    await log.create(new)
    assert await log.claim("w", 5) == []
    row = await log.retrieve(DEFAULT_WORKSPACE, new.id)
    assert (row.status, row.head_seq, row.wake_at, row.inbox_count) == ("idle", 0, None, 0)


async def test_a_session_with_input_is_running_and_due(log: Any) -> None:
    new, lease = await begun(log)
    row = await log.retrieve(DEFAULT_WORKSPACE, new.id)
    assert (row.status, row.inbox_count, row.lease_owner) == ("running", 1, lease.owner)
    assert row.active_since == pytest.approx(new.created_at, abs=1)
    record = await log.load(lease)
    assert (record.session_id, record.events, record.attempts) == (new.id, (), 1)
    assert ids(record.inbox) == ids(new.incoming)
    assert record.inbox[0].payload == new.incoming[0].payload


async def thread_status(log: Any, new: Any) -> str:
    """What the threads row says, as the door reads it."""
    seen: list[str] = []

    def look(desk: Any) -> Decision:
        seen.append(desk.threads[new.primary_thread_id])
        return Decision((), starts_work=False)

    await log.accept(DEFAULT_WORKSPACE, new.id, [], look)
    return seen[0]


async def test_the_thread_runs_as_soon_as_its_session_does(log: Any) -> None:
    new = a_session()
    await log.create(new)
    assert await thread_status(log, new) == "idle"
    await log.accept(DEFAULT_WORKSPACE, new.id, [], queues(message()))
    assert await thread_status(log, new) == "running"
    lease = await claim_one(log)
    await turn_over(log, lease, new, 0)
    assert await thread_status(log, new) == "idle"
    at_once, _ = await begun(log)
    assert await thread_status(log, at_once) == "running"


async def test_a_worker_that_says_idle_again_is_believed(log: Any) -> None:
    new, lease = await begun(log)
    idle = derived(new, "idle")
    (first,) = new.incoming
    await log.append(lease, [taken(new, first)], seen=0, take=[first.id], derived=idle)
    more = message()
    await log.accept(DEFAULT_WORKSPACE, new.id, [], queues(more))
    assert await thread_status(log, new) == "running"
    await log.append(lease, [taken(new, more)], seen=1, take=[more.id], derived=idle)
    assert await thread_status(log, new) == "idle"


async def test_a_session_ended_by_the_door_is_nobodys(log: Any) -> None:
    new, lease = await begun(log)
    end = Change(
        {"status": "terminated", "terminated_at": time.time()},
        (event(new, "session.status_terminated"),),
    )
    row = await log.change(DEFAULT_WORKSPACE, new.id, lambda row: end)
    assert (row.status, row.lease_owner, row.wake_at, row.inbox_count) == (
        "terminated", None, None, 0,
    )  # fmt: skip
    assert await thread_status(log, new) == "terminated"
    with pytest.raises(LeaseLost):
        await log.append(lease, [event(new)], seen=1, derived=derived(new))
    with pytest.raises(LeaseLost):
        await log.load(lease)
    assert await log.heartbeat([lease]) == {}
    assert await log.claim("w", 5) == []


async def test_another_workspace_sees_nothing(log: Any) -> None:
    new = a_session()
    await log.create(new)
    with pytest.raises(NotFound):
        await log.retrieve(OTHER_WORKSPACE, new.id)
    with pytest.raises(NotFound):
        await log.accept(OTHER_WORKSPACE, new.id, [], queues(message()))


async def test_taking_in_keeps_the_id_and_gives_a_place(log: Any) -> None:
    new, lease = await begun(log, message("one"), message("two"))
    first, second = new.incoming
    done = await log.append(
        lease, [taken(new, first), event(new)], seen=0, take=[first.id], derived=derived(new)
    )
    assert [each.seq for each in done.events] == [1, 2]
    assert done.events[0].id == first.id
    assert ids(done.inbox) == [second.id]
    record = await log.load(lease)
    assert ids(record.events) == ids(done.events)
    assert ids(record.inbox) == [second.id]


async def test_seq_is_gapless_whoever_appends_at_once(log: Any) -> None:
    new, lease = await begun(log)
    sizes = [1, 2, 3] * 10
    await asyncio.gather(*(
        log.append(lease, [event(new) for _ in range(size)], seen=0, derived=derived(new))
        for size in sizes
    ))  # fmt: skip
    record = await log.load(lease)
    assert [each.seq for each in record.events] == list(range(1, sum(sizes) + 1))


async def test_many_sessions_append_at_once_and_stay_apart(log: Any) -> None:
    sessions = [a_session(message()) for _ in range(12)]
    for new in sessions:
        await log.create(new)
    leases = {lease.session_id: lease for lease in await log.claim("w", 50)}

    async def steps(new: Any) -> None:
        seen = 0
        for _ in range(5):
            done = await log.append(
                leases[new.id], [event(new), event(new)], seen=seen, derived=derived(new)
            )
            assert [each.seq for each in done.events] == [seen + 1, seen + 2]
            seen += 2

    await asyncio.gather(*(steps(new) for new in sessions))


async def test_a_stale_fence_is_lost_everywhere(log: Any) -> None:
    new, old = await begun(log)
    await asyncio.sleep(LEASE_SECONDS + 0.05)
    newer = await claim_one(log, "worker_2")
    assert (newer.session_id, newer.fence) == (old.session_id, old.fence + 1)
    with pytest.raises(LeaseLost):
        await log.append(old, [event(new)], seen=0, derived=derived(new))
    with pytest.raises(LeaseLost):
        await log.load(old)
    assert await log.heartbeat([old]) == {}
    await log.release([old])
    record = await log.load(newer)
    assert (record.events, record.attempts) == ((), 2)


async def test_an_append_after_the_lease_ran_out_but_before_a_claim_still_counts(log: Any) -> None:
    new, lease = await begun(log)
    await asyncio.sleep(LEASE_SECONDS + 0.05)
    done = await log.append(lease, [event(new)], seen=0, derived=derived(new))
    assert len(done.events) == 1


async def test_failures_stay_alone_in_a_batch(log: Any) -> None:
    new, lease = await begun(log)
    other, theirs = await begun(log)
    stale = type(lease)(other.id, theirs.workspace_id, theirs.fence - 1, theirs.owner)
    once = event(new)
    outcomes = await asyncio.gather(
        log.append(lease, [once], seen=0, derived=derived(new)),
        log.append(stale, [event(other)], seen=0, derived=derived(other)),
        log.append(lease, [event(new)], seen=0, take=["sevt_nowhere"], derived=derived(new)),
        log.append(lease, [event(new)], seen=0, derived=derived(new), park=Park(None)),
        log.append(lease, [once], seen=0, derived=derived(new)),
        log.append(theirs, [event(other)], seen=0, derived=derived(other)),
        log.append(theirs, [event(other)], seen=0, derived=replace(derived(other), usage=NO_JSON)),
        log.append(theirs, [event(other)], seen=0, derived=replace(derived(other), stats=NO_JSON)),
        log.append(theirs, [event(other, content=object())], seen=0, derived=derived(other)),
        return_exceptions=True,
    )
    assert len(outcomes[0].events) == 1
    assert isinstance(outcomes[1], LeaseLost)
    assert isinstance(outcomes[2], AssertionError)
    assert outcomes[3].refused
    assert isinstance(outcomes[4], Exception)  # an id is written once
    assert len(outcomes[5].events) == 1
    assert [type(outcome) for outcome in outcomes[6:]] == [TypeError] * 3
    assert len((await log.load(lease)).events) == 1
    assert len((await log.load(theirs)).events) == 1


async def test_a_park_over_unknown_input_writes_nothing(log: Any) -> None:
    new, lease = await begun(log)
    answer = await log.append(
        lease, [event(new)], seen=0, derived=derived(new, "idle"), park=Park(None)
    )
    assert answer.refused
    assert (answer.events, ids(answer.inbox)) == ((), ids(new.incoming))
    row = await log.retrieve(DEFAULT_WORKSPACE, new.id)
    assert (row.status, row.head_seq) == ("running", 0)
    known = Park(None, frozenset(ids(new.incoming)))
    answer = await log.append(lease, [], seen=0, derived=derived(new, "idle"), park=known)
    assert not answer.refused
    assert (await log.retrieve(DEFAULT_WORKSPACE, new.id)).status == "idle"


async def test_a_park_gives_the_lease_back_and_input_wakes_again(log: Any) -> None:
    new, lease = await begun(log)
    await turn_over(log, lease, new, 0)
    row = await log.retrieve(DEFAULT_WORKSPACE, new.id)
    assert (row.status, row.lease_owner, row.wake_at, row.attempts) == ("idle", None, None, 0)
    assert row.stop_reason == {"type": "end_turn"}
    with pytest.raises(LeaseLost):
        await log.append(lease, [event(new)], seen=0, derived=derived(new))
    assert await log.claim("w", 5) == []
    await log.accept(DEFAULT_WORKSPACE, new.id, [], queues(message("again")))
    row = await log.retrieve(DEFAULT_WORKSPACE, new.id)
    assert (row.status, row.stop_reason, row.inbox_count) == ("running", None, 1)
    again = await claim_one(log)
    assert again.fence == lease.fence + 1


async def test_a_timed_park_is_due_at_its_time(log: Any) -> None:
    new, lease = await begun(log)
    (first,) = ids(new.incoming)
    await log.append(
        lease,
        [taken(new, new.incoming[0])],
        seen=0,
        take=[first],
        derived=derived(new, "rescheduling"),
        park=Park(time.time() + 0.3),
    )
    assert await log.claim("w", 1) == []
    await asyncio.sleep(0.35)
    assert (await claim_one(log)).session_id == new.id


async def test_input_before_the_time_wakes_at_once(log: Any) -> None:
    new, lease = await begun(log)
    known = frozenset(ids(new.incoming))
    wake = Park(time.time() + 60, known)
    await log.append(lease, [], seen=0, derived=derived(new, "rescheduling"), park=wake)
    assert await log.claim("w", 1) == []
    await log.accept(
        DEFAULT_WORKSPACE, new.id, [], queues(incoming("user.interrupt"), starts=False)
    )
    assert (await claim_one(log)).session_id == new.id


async def test_claims_take_turns_between_workspaces(log: Any) -> None:
    for _ in range(6):
        await log.create(a_session(message()))
    for _ in range(2):
        await log.create(a_session(message(), workspace=OTHER_WORKSPACE))
    leases = await log.claim("w", 4)
    workspaces = [lease.workspace_id for lease in leases]
    assert workspaces.count(DEFAULT_WORKSPACE) == workspaces.count(OTHER_WORKSPACE) == 2
    assert len(await log.claim("w", 10)) == 4


async def test_claims_at_once_never_share_a_session(log: Any) -> None:
    for _ in range(20):
        await log.create(a_session(message()))
    claims = await asyncio.gather(*(log.claim(f"w{n}", 5) for n in range(6)))
    got = [lease.session_id for leases in claims for lease in leases]
    assert len(got) == len(set(got))
    assert len(got) + len(await log.claim("w9", 20)) == 20


async def test_a_heartbeat_keeps_the_lease_and_tells_of_input(log: Any) -> None:
    new, lease = await begun(log)
    (first,) = ids(new.incoming)
    await log.append(
        lease, [taken(new, new.incoming[0])], seen=0, take=[first], derived=derived(new)
    )
    for _ in range(4):
        await asyncio.sleep(LEASE_SECONDS / 2)
        assert await log.heartbeat([lease]) == {new.id: False}
    assert await log.claim("w2", 5) == []
    await log.accept(DEFAULT_WORKSPACE, new.id, [], queues(message()))
    assert await log.heartbeat([lease]) == {new.id: True}


async def test_release_hands_back_at_once_without_counting_an_attempt(log: Any) -> None:
    _, lease = await begun(log)
    await log.release([lease])
    again = await claim_one(log, "worker_2")
    assert (again.session_id, again.fence) == (lease.session_id, lease.fence + 1)
    assert (await log.load(again)).attempts == 1


async def test_attempts_count_claims_without_an_append(log: Any) -> None:
    new, lease = await begun(log)
    for expected in (2, 3):
        await asyncio.sleep(LEASE_SECONDS + 0.05)
        lease = await claim_one(log)
        assert (await log.load(lease)).attempts == expected
    await log.append(lease, [event(new)], seen=0, derived=derived(new))
    assert (await log.retrieve(DEFAULT_WORKSPACE, new.id)).attempts == 0


async def test_events_of_routes_come_with_the_next_append(log: Any) -> None:
    new, lease = await begun(log)
    await log.append(lease, [event(new)], seen=0, derived=derived(new))
    updated = event(new, "session.updated", title="t")
    row = await log.change(
        DEFAULT_WORKSPACE, new.id, lambda row: Change({"title": "t"}, (updated,))
    )
    assert (row.title, row.head_seq) == ("t", 2)
    mine = event(new)
    done = await log.append(lease, [mine], seen=1, derived=derived(new))
    assert [(each.id, each.seq) for each in done.events] == [(updated.id, 2), (mine.id, 3)]


async def test_a_change_that_changes_nothing_leaves_the_row(log: Any) -> None:
    new = a_session()
    await log.create(new)
    before = await log.retrieve(DEFAULT_WORKSPACE, new.id)
    assert await log.change(DEFAULT_WORKSPACE, new.id, lambda row: Change({})) == before


async def test_payloads_come_back_as_they_went_in(log: Any) -> None:
    new, lease = await begun(log)
    hard = {
        "nul": "a\u0000b",
        "surrogate": "\ud800",
        "line": "a\nb\u2028c",
        "long": "ä" * 300 * 1024,
        "order": {"b": 1, "a": 2},
        "float": 0.1,
    }
    sent = event(new, "agent.tool_result", content=hard)
    sent = type(sent)(sent.id, sent.type, sent.thread_id, sent.payload, sent.at, private=hard)
    await log.append(lease, [sent], seen=0, derived=derived(new))
    (stored,) = (await log.load(lease)).events
    assert stored.payload == sent.payload
    assert list(stored.payload["content"]["order"]) == ["b", "a"]
    assert stored.private == hard
    assert stored.at == pytest.approx(sent.at, abs=1e-5)


async def test_derived_columns_are_what_the_last_append_said(log: Any) -> None:
    new, lease = await begun(log)
    asks = (Ask("sevt_call", "confirmation", new.primary_thread_id),)
    await log.append(lease, [event(new)], seen=0, derived=derived(new, "running", asks))
    row = await log.retrieve(DEFAULT_WORKSPACE, new.id)
    assert (row.status, row.asks, row.active_since) == ("running", asks, 1.0)
    assert (row.usage, row.stats) == ({"input_tokens": 1}, {"active_seconds": 0.5})
    assert row.terminated_at is None
    await log.append(lease, [event(new)], seen=1, derived=derived(new, "terminated"))
    assert (await log.retrieve(DEFAULT_WORKSPACE, new.id)).terminated_at is not None


async def test_the_desk_shows_calls_and_which_still_wait(log: Any) -> None:
    new, lease = await begun(log)
    asked = event(new, "agent.tool_use", name="bash", evaluated_permission="ask")
    custom = event(new, "agent.custom_tool_use", name="mine")
    allowed = event(new, "agent.tool_use", name="read", evaluated_permission="allow")
    asks = (
        Ask(asked.id, "confirmation", new.primary_thread_id),
        Ask(custom.id, "custom", new.primary_thread_id),
    )
    await log.append(lease, [asked, custom, allowed], seen=0, derived=derived(new, "running", asks))
    desks: list[Any] = []

    def look(desk: Any) -> Decision:
        desks.append(desk)
        answer = incoming("user.tool_confirmation", tool_use_id=asked.id, result="allow")
        return Decision((answer,), starts_work=False)

    call_ids = [asked.id, custom.id, allowed.id, "sevt_nowhere"]
    await log.accept(DEFAULT_WORKSPACE, new.id, call_ids, look)
    await log.accept(DEFAULT_WORKSPACE, new.id, call_ids, look)
    first, second = desks
    assert {call.id: (call.permission, call.open) for call in first.calls.values()} == {
        asked.id: ("ask", True),
        custom.id: (None, True),
        allowed.id: ("allow", False),
    }
    assert not second.calls[asked.id].open
    assert ids(second.open_asks) == [custom.id]
    assert second.threads == {new.primary_thread_id: "running"}


@pytest.mark.parametrize("text", ["a\x00b", "\ud800", "plain"], ids=["nul", "surrogate", "plain"])
async def test_the_desk_bears_any_text_beside_what_it_reads(log: Any, text: str) -> None:
    new, lease = await begun(log, message(text))
    said = {"name": "bash", "input": {"command": text}}
    tool = event(new, "agent.tool_use", **said, evaluated_permission="ask")
    custom = event(new, "agent.custom_tool_use", name="mine", input={"a": text})
    asks = (
        Ask(tool.id, "confirmation", new.primary_thread_id),
        Ask(custom.id, "custom", new.primary_thread_id),
    )
    await log.append(lease, [tool, custom], seen=0, derived=derived(new, "running", asks))
    answer = incoming("user.custom_tool_result", custom_tool_use_id=custom.id, content=text)
    await log.accept(DEFAULT_WORKSPACE, new.id, [custom.id], queues(answer, starts=False))
    desks: list[Any] = []

    def look(desk: Any) -> Decision:
        desks.append(desk)
        return Decision((), starts_work=False)

    await log.accept(DEFAULT_WORKSPACE, new.id, [tool.id, custom.id], look)
    (desk,) = desks
    assert {call.id: (call.permission, call.open) for call in desk.calls.values()} == {
        tool.id: ("ask", True),
        custom.id: (None, False),
    }
    assert ids(desk.open_asks) == [tool.id]


async def test_a_call_of_another_session_is_unknown(log: Any) -> None:
    new, lease = await begun(log)
    tool = event(new, "agent.tool_use", evaluated_permission="ask")
    await log.append(lease, [tool], seen=0, derived=derived(new))
    other = a_session()
    await log.create(other)
    desks: list[Any] = []

    def look(desk: Any) -> Decision:
        desks.append(desk)
        return Decision((), starts_work=False)

    await log.accept(DEFAULT_WORKSPACE, other.id, [tool.id], look)
    assert desks[0].calls == {}


async def test_a_refusal_of_the_door_writes_nothing(log: Any) -> None:
    new = a_session()
    await log.create(new)

    def refuse(desk: Any) -> Decision:
        raise Invalid("no")

    with pytest.raises(Invalid):
        await log.accept(DEFAULT_WORKSPACE, new.id, [], refuse)
    assert await log.pending(new.id) == ()
    assert (await log.retrieve(DEFAULT_WORKSPACE, new.id)).status == "idle"


async def test_input_keeps_its_order_of_arrival(log: Any) -> None:
    new = a_session(message())
    await log.create(new)
    batch = [message(str(n)) for n in range(20)]
    await log.accept(DEFAULT_WORKSPACE, new.id, [], queues(*batch))
    pending = await log.pending(new.id)
    assert ids(pending) == ids([*new.incoming, *batch])
    arrivals = [each.arrived for each in pending]
    assert arrivals == sorted(set(arrivals))


async def test_news_returns_when_input_comes_and_at_once_when_it_came_before(log: Any) -> None:
    new, lease = await begun(log)
    (first,) = (await log.load(lease)).inbox
    waiting = asyncio.create_task(log.news(new.id, first.arrived))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await log.accept(DEFAULT_WORKSPACE, new.id, [], queues(message()))
    latest = await asyncio.wait_for(waiting, 2)
    assert latest > first.arrived
    assert await asyncio.wait_for(log.news(new.id, first.arrived), 2) == latest


async def test_due_returns_when_a_session_wants_a_worker(log: Any) -> None:
    assert await log.claim("w", 1) == []
    started = time.monotonic()
    await log.due(0.2)
    assert 0.15 < time.monotonic() - started < 2
    waiting = asyncio.create_task(log.due(30))
    await asyncio.sleep(0.02)
    await log.create(a_session(message()))
    await asyncio.wait_for(waiting, 2)
    assert len(await log.claim("w", 1)) == 1


async def test_a_deleted_session_is_gone_for_its_worker_too(log: Any) -> None:
    new, lease = await begun(log)
    with pytest.raises(Invalid):
        await log.delete(DEFAULT_WORKSPACE, new.id, refuse_delete)
    await log.delete(DEFAULT_WORKSPACE, new.id, lambda row: None)
    with pytest.raises(NotFound):
        await log.retrieve(DEFAULT_WORKSPACE, new.id)
    with pytest.raises(LeaseLost):
        await log.append(lease, [event(new)], seen=0, derived=derived(new))
    assert await log.heartbeat([lease]) == {}


def refuse_delete(row: Any) -> None:
    """A door that says no."""
    raise Invalid("no")


async def test_the_start_of_a_call_is_noted_once(log: Any) -> None:
    new, lease = await begun(log)
    assert await log.start_call(lease, "sevt_call1")
    assert not await log.start_call(lease, "sevt_call1")
    assert await log.start_call(lease, "sevt_call2")
    assert sum(await asyncio.gather(*(log.start_call(lease, "sevt_call3") for _ in range(5)))) == 1
    await log.release([lease])
    newer = await claim_one(log, "worker_2")
    with pytest.raises(LeaseLost):
        await log.start_call(lease, "sevt_call4")
    assert not await log.start_call(newer, "sevt_call1")
    assert await log.start_call(newer, "sevt_call4")
    await log.append(
        newer,
        [],
        seen=0,
        derived=derived(new, "idle"),
        park=Park(None, frozenset(ids(new.incoming))),
    )
    with pytest.raises(LeaseLost):
        await log.start_call(newer, "sevt_call5")
    await log.delete(DEFAULT_WORKSPACE, new.id, lambda _: None)


def a_budget(cents: int) -> dict[str, Any]:
    return {"type": "limit", "max_list_cost": {"amount": str(cents), "currency": "USD"}}


async def test_budget_and_cost_are_on_the_desk_and_in_the_row(log: Any) -> None:
    new = replace(a_session(message()), budget=a_budget(5))
    await log.create(new)
    lease = await claim_one(log)
    assert (await log.load(lease)).budget == a_budget(5)
    row = await log.retrieve(DEFAULT_WORKSPACE, new.id)
    assert (row.budget, row.list_cost) == (a_budget(5), 0)
    desks: list[Any] = []

    def look(desk: Any) -> Decision:
        desks.append(desk)
        return Decision((), starts_work=False)

    for cost in (7, 10**30, None):
        seen = (await log.retrieve(DEFAULT_WORKSPACE, new.id)).head_seq
        columns = replace(derived(new), list_cost=cost)
        await log.append(lease, [event(new)], seen=seen, derived=columns)
        await log.accept(DEFAULT_WORKSPACE, new.id, [], look)
        assert (desks[-1].budget, desks[-1].list_cost) == (a_budget(5), cost)
        assert (await log.retrieve(DEFAULT_WORKSPACE, new.id)).list_cost == cost
    row = await log.change(DEFAULT_WORKSPACE, new.id, lambda _: Change({"budget": None}))
    assert row.budget is None


async def test_a_park_over_an_unseen_event_writes_nothing(log: Any) -> None:
    new, lease = await begun(log)
    (first,) = ids(new.incoming)
    updated = event(new, "session.updated", budget=None)
    await log.change(DEFAULT_WORKSPACE, new.id, lambda _: Change({"budget": None}, (updated,)))
    mine = [taken(new, new.incoming[0]), event(new, "session.status_idle")]
    answer = await log.append(
        lease, mine, seen=0, take=[first], derived=derived(new, "idle"), park=Park(None)
    )
    assert answer.refused
    assert (ids(answer.events), ids(answer.inbox)) == ([updated.id], [first])
    answer = await log.append(
        lease, mine, seen=1, take=[first], derived=derived(new, "idle"), park=Park(None)
    )
    assert not answer.refused
    assert (await log.retrieve(DEFAULT_WORKSPACE, new.id)).lease_owner is None


async def test_a_change_can_wake_a_parked_session(log: Any) -> None:
    new, lease = await begun(log)
    await turn_over(log, lease, new, 0)
    assert await log.claim("w", 1) == []
    row = await log.change(
        DEFAULT_WORKSPACE,
        new.id,
        lambda _: Change({"budget": None, "status": "running"}, (), wakes=True),
    )
    assert (row.status, row.stop_reason) == ("running", None)
    assert row.active_since is not None
    assert (await claim_one(log)).session_id == new.id


async def test_a_change_alone_wakes_nobody(log: Any) -> None:
    new, lease = await begun(log)
    await turn_over(log, lease, new, 0)
    await log.change(DEFAULT_WORKSPACE, new.id, lambda _: Change({"title": "t"}))
    assert await log.claim("w", 1) == []


# Stops


def a_stop(**scope: Any) -> Stop:
    """A stop of the default workspace."""
    return Stop(RandomIds().new(STOP), DEFAULT_WORKSPACE, "Enough.", time.time(), "me", **scope)


async def test_what_was_planned_before_a_stop_is_not_written(log: Any) -> None:
    new, lease = await begun(log)
    stop = await log.stop(a_stop())
    assert (stop.sessions, stop.interrupted) == (1, 1)
    start = event(new, "span.model_request_start")
    refused = await log.append(lease, [start], seen=0, derived=derived(new))
    assert (refused.refused, refused.stopped, refused.events) == (True, True, ())
    assert [each.type for each in refused.inbox] == [
        "user.message", "user.interrupt", "session.error",
    ]  # fmt: skip
    written = await log.append(lease, [start], seen=0, derived=derived(new), stopped=True)
    assert (written.refused, written.stopped) == (False, True)
    await log.lift(DEFAULT_WORKSPACE, stop.id, "me")
    over = await log.append(lease, [], seen=1, derived=derived(new), park=Park(None), stopped=True)
    assert (over.refused, over.stopped) == (True, False)


async def test_a_stopped_session_keeps_its_input_until_it_is_lifted(log: Any) -> None:
    new = a_session()
    await log.create(new)
    stop = await log.stop(a_stop(session_id=new.id))
    assert (stop.sessions, stop.interrupted) == (1, 0)
    decision = await log.accept(DEFAULT_WORKSPACE, new.id, [], queues(message()))
    assert not decision.starts_work
    row = await log.retrieve(DEFAULT_WORKSPACE, new.id)
    assert (row.status, row.inbox_count, row.stopped_by) == ("idle", 1, stop.id)
    lease = await claim_one(log)
    record = await log.load(lease)
    assert record.stopped
    known = frozenset(ids(record.inbox))
    parked = await log.append(
        lease, [], seen=0, derived=derived(new, "idle"), park=Park(None, known), stopped=True
    )
    assert not parked.refused
    assert await log.claim("w", 5) == []
    lifted = await log.lift(DEFAULT_WORKSPACE, stop.id, "you")
    assert lifted.lifted_by == "you"
    assert await log.lift(DEFAULT_WORKSPACE, stop.id, "me") == lifted
    assert not (await log.load(await claim_one(log))).stopped


async def test_a_stop_holds_for_what_matches_it_now_and_later(log: Any) -> None:
    other = replace(a_session(), agent_id="agent_other", metadata={"team": "red", "n": "1"})
    here, away = a_session(message()), a_session(workspace=OTHER_WORKSPACE)
    for new in (other, here, away):
        assert await log.create(new) is None
    by_agent = await log.stop(a_stop(agent_id="agent_other"))
    by_team = await log.stop(a_stop(metadata={"team": "red"}))
    assert (by_agent.sessions, by_team.sessions) == (1, 1)
    late = replace(a_session(message()), metadata={"team": "red"})
    assert await log.create(late) == by_team.id
    assert (await log.retrieve(DEFAULT_WORKSPACE, late.id)).status == "idle"
    await log.lift(DEFAULT_WORKSPACE, by_agent.id, "me")
    rows = [await log.retrieve(DEFAULT_WORKSPACE, new.id) for new in (other, here)]
    assert [row.stopped_by for row in rows] == [by_team.id, None]
    everything = await log.stop(a_stop())
    assert (everything.sessions, everything.interrupted) == (3, 1)
    assert (await log.retrieve(OTHER_WORKSPACE, away.id)).stopped_by is None
    with pytest.raises(NotFound):
        await log.lift(OTHER_WORKSPACE, everything.id, "me")


async def test_a_self_hosted_call_counts_as_work(log: Any) -> None:
    new, lease = await begun(log)
    (first,) = new.incoming
    asks = (Ask("sevt_call", "tool", new.primary_thread_id),)
    await log.append(
        lease,
        [taken(new, first)],
        seen=0,
        take=[first.id],
        derived=derived(new, "idle", asks),
        park=Park(None),
    )
    assert (await log.stop(a_stop())).interrupted == 1
    assert (await log.stop(a_stop())).interrupted == 0


async def test_who_is_created_during_a_stop_is_stopped(log: Any) -> None:
    """Many at once: each session is found by the stop or finds it."""
    made = [a_session(message()) for _ in range(30)]
    stopping = asyncio.ensure_future(log.stop(a_stop()))
    await asyncio.gather(*(log.create(new) for new in made))
    stop = await stopping
    rows = [await log.retrieve(DEFAULT_WORKSPACE, new.id) for new in made]
    assert {row.stopped_by for row in rows} == {stop.id}
    await log.lift(DEFAULT_WORKSPACE, stop.id, "me")
    rows = [await log.retrieve(DEFAULT_WORKSPACE, new.id) for new in made]
    assert {row.stopped_by for row in rows} == {None}
    assert all(row.wake_at is not None for row in rows)
