"""The log in memory, beyond what the contract suite asks of every log."""

import asyncio
from dataclasses import replace

import pytest

from agentstead.errors import Invalid, LeaseLost, NotFound
from agentstead.log.log import (
    Ask,
    Change,
    Decision,
    Derived,
    Incoming,
    NewSession,
    Park,
    ThreadRow,
)
from agentstead.testing.clock import ManualClock
from agentstead.testing.memory_log import LEASE_SECONDS, MemoryLog
from agentstead.wire.events.stored import Event

IDLE = Derived("idle", {"type": "end_turn"}, (), {"input_tokens": 1}, {}, None,
               (ThreadRow("sthr_1", "idle", None, None),))  # fmt: skip


def incoming(event_id="sevt_in", text="hi"):
    payload = {"id": event_id, "type": "user.message", "content": [{"type": "text", "text": text}]}
    return Incoming(event_id, "user.message", None, payload)


def event(event_id, kind="agent.message", **fields):
    return Event(event_id, kind, "sthr_1", {"id": event_id, "type": kind, **fields}, 1.0)


async def a_log(*sessions, first=True):
    log = MemoryLog(ManualClock())
    for session_id, workspace in sessions or (("sesn_1", "ws_1"),):
        await log.create(
            NewSession(session_id, workspace, "sthr_1", "agent_1", 1, {"name": "a"}, "env_1", {},
                       None, {}, (), (), log.clock.now(),
                       (incoming(f"{session_id}_in"),) if first else ())
        )  # fmt: skip
    return log


async def claimed(log, owner="w1"):
    (lease,) = await log.claim(owner, 1)
    return lease


async def test_input_is_due_is_claimed_taken_in_and_parked():
    log = await a_log()
    lease = await claimed(log)
    record = await log.load(lease)
    assert [each.id for each in record.inbox] == ["sesn_1_in"]
    assert record.attempts == 1
    taken = event("sesn_1_in", "user.message")
    done = await log.append(
        lease, [taken, event("e1")], seen=0, take=["sesn_1_in"], derived=IDLE, park=Park(None)
    )
    assert [each.seq for each in done.events] == [1, 2]
    row = await log.retrieve("ws_1", "sesn_1")
    assert (row.status, row.lease_owner, row.wake_at, row.attempts) == ("idle", None, None, 0)
    assert await log.claim("w1", 9) == []


async def test_a_park_over_unknown_input_writes_nothing():
    log = await a_log()
    lease = await claimed(log)
    answer = await log.append(lease, [event("e1")], seen=0, derived=IDLE, park=Park(None))
    assert answer.refused
    assert [each.id for each in answer.inbox] == ["sesn_1_in"]
    assert (await log.load(lease)).events == ()
    known = Park(None, frozenset({"sesn_1_in"}))
    assert not (await log.append(lease, [event("e1")], seen=0, derived=IDLE, park=known)).refused


async def test_a_stale_fence_is_refused_everywhere():
    log = await a_log()
    old = await claimed(log)
    await log.clock.advance(LEASE_SECONDS)
    new = await claimed(log, "w2")
    assert new.fence == old.fence + 1
    with pytest.raises(LeaseLost):
        await log.append(old, [event("e1")], seen=0, derived=IDLE)
    with pytest.raises(LeaseLost):
        await log.load(old)
    assert await log.heartbeat([old, new]) == {"sesn_1": True}
    await log.release([old])
    assert (await log.retrieve("ws_1", "sesn_1")).lease_owner == "w2"


async def test_a_heartbeat_keeps_a_lease_and_its_end_frees_it():
    log = await a_log()
    lease = await claimed(log)
    for _ in range(3):
        await log.clock.advance(LEASE_SECONDS - 1)
        await log.heartbeat([lease])
        assert await log.claim("w2", 1) == []
    await log.clock.advance(LEASE_SECONDS)
    assert (await claimed(log, "w2")).owner == "w2"


async def test_workspaces_take_turns():
    names = [(f"sesn_a{number}", "ws_a") for number in range(5)] + [("sesn_b", "ws_b")]
    log = await a_log(*names)
    first = await log.claim("w1", 2)
    assert {lease.workspace_id for lease in first} == {"ws_a", "ws_b"}


async def test_an_append_is_all_or_nothing():
    log = await a_log()
    lease = await claimed(log)
    await log.append(lease, [event("e1")], seen=0, derived=IDLE)
    with pytest.raises(AssertionError, match="not in the inbox"):
        await log.append(lease, [event("e2")], seen=1, take=["nobody"], derived=IDLE)
    with pytest.raises(AssertionError, match="already"):
        await log.append(lease, [event("e2"), event("e1")], seen=1, derived=IDLE)
    with pytest.raises(AssertionError, match="only the log numbers"):
        await log.append(lease, [Event("e3", "x", "sthr_1", {}, 0.0, seq=3)], seen=1, derived=IDLE)
    with pytest.raises(TypeError):
        await log.append(lease, [event("e4", content=object())], seen=1, derived=IDLE)
    assert [each.id for each in (await log.load(lease)).events] == ["e1"]


async def test_what_is_stored_cannot_be_changed_from_outside():
    log = await a_log()
    lease = await claimed(log)
    content = [{"type": "text", "text": "a\0b"}]
    await log.append(lease, [event("e1", content=content)], seen=0, derived=IDLE)
    content.clear()
    assert (await log.load(lease)).events[0].payload["content"][0]["text"] == "a\0b"


async def test_an_orderly_release_is_due_at_once_and_no_failed_attempt():
    log = await a_log()
    await log.release([await claimed(log)])
    record = await log.load(await claimed(log, "w2"))
    assert record.attempts == 1


async def test_the_door_decides_on_the_desk_and_its_refusal_changes_nothing():
    log = await a_log(first=False)

    def refuse(desk):
        assert (desk.status, desk.threads) == ("idle", {"sthr_1": "idle"})
        raise Invalid("no")

    with pytest.raises(Invalid):
        await log.accept("ws_1", "sesn_1", [], refuse)
    with pytest.raises(NotFound):
        await log.accept("ws_2", "sesn_1", [], refuse)
    await log.accept("ws_1", "sesn_1", [], lambda _: Decision((incoming(),), True))
    row = await log.retrieve("ws_1", "sesn_1")
    assert (row.status, row.inbox_count, row.active_since) == ("running", 1, log.clock.now())


async def test_the_desk_knows_which_calls_are_open():
    log = await a_log()
    lease = await claimed(log)
    uses = [
        event("ask", "agent.tool_use", name="bash", evaluated_permission="ask"),
        event("done", "agent.tool_use", name="bash", evaluated_permission="allow"),
        event("custom", "agent.custom_tool_use", name="mine"),
    ]
    asks = (Ask("ask", "confirmation", "sthr_1"), Ask("custom", "custom", "sthr_1"))
    await log.append(lease, uses, seen=0, derived=replace(IDLE, asks=asks))
    seen = []
    payload = {"type": "user.tool_confirmation", "tool_use_id": "ask", "result": "deny"}
    answer = Incoming("sevt_c", "user.tool_confirmation", None, payload)

    def decide(desk):
        seen.append({call: facts.open for call, facts in desk.calls.items()})
        return Decision((answer,), False)

    await log.accept("ws_1", "sesn_1", ["ask", "done", "custom", "nobody"], decide)
    await log.accept(
        "ws_1",
        "sesn_1",
        ["ask"],
        lambda desk: (
            seen.append({call: facts.open for call, facts in desk.calls.items()})
            or Decision((), False)
        ),
    )
    assert seen == [{"ask": True, "done": False, "custom": True}, {"ask": False}]


async def test_a_change_writes_columns_and_events_together():
    log = await a_log()
    lease = await claimed(log)
    change = Change({"title": "new", "resources": [{"id": "r"}]}, (event("u1", "session.updated"),))
    row = await log.change("ws_1", "sesn_1", lambda _: change)
    assert (row.title, row.resources, row.head_seq) == ("new", ({"id": "r"},), 1)
    appended = await log.append(lease, [event("e1")], seen=0, derived=IDLE)
    assert [each.id for each in appended.events] == ["u1", "e1"]
    same = await log.change("ws_1", "sesn_1", lambda _: Change({}))
    assert same.updated_at == (await log.retrieve("ws_1", "sesn_1")).updated_at


async def test_news_and_due_are_told():
    log = await a_log(first=False)
    news = asyncio.ensure_future(log.news("sesn_1", 0))
    due = asyncio.ensure_future(log.due(60))
    await log.clock.settle()
    assert not news.done()
    assert not due.done()
    await log.accept("ws_1", "sesn_1", [], lambda _: Decision((incoming(),), True))
    await log.clock.settle()
    assert (news.result(), due.done()) == (1, True)
    assert await log.news("sesn_1", 0) == 1, "level-triggered"
    assert (await log.pending("sesn_1"))[0].id == "sevt_in"


async def test_a_deleted_session_is_gone():
    log = await a_log()
    lease = await claimed(log)
    await log.delete("ws_1", "sesn_1", lambda row: None)
    with pytest.raises(LeaseLost):
        await log.load(lease)
    with pytest.raises(NotFound):
        await log.retrieve("ws_1", "sesn_1")
    assert await log.heartbeat([lease]) == {}
    assert await log.pending("sesn_1") == ()


async def test_previews_are_kept_for_a_look():
    log = await a_log()
    lease = await claimed(log)
    log.preview(lease, "sthr_1", {"type": "event_start"})
    assert log.previews == [(lease, "sthr_1", {"type": "event_start"})]
