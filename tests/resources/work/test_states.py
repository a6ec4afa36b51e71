"""The states of a work item: by example, and by chance against what must always hold."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentstead.errors import Invalid, Precondition
from agentstead.resources.work import states
from agentstead.resources.work.states import NO_HEARTBEAT, Item, stamp
from agentstead.settings import Settings

NOW = datetime(2026, 11, 24, 10, 0, 0, 123456, tzinfo=UTC)
SETTINGS = Settings()
QUEUED = Item("work_1", "env_1", "sesn_1", "queued")


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def after(item: Item, changes: Any) -> Item:
    fields = Item.__dataclass_fields__
    return replace(item, **{name: value for name, value in changes.items() if name in fields})


def starting() -> Item:
    return after(QUEUED, states.acked(QUEUED, NOW, SETTINGS))


def active(seconds: float = 1) -> Item:
    return after(
        starting(),
        states.beat(starting(), NO_HEARTBEAT, None, "me", later(seconds), SETTINGS).changes,
    )


def test_an_ack_starts_the_clock() -> None:
    """Clients rule 40: five minutes for the first heartbeat."""
    changes = states.acked(QUEUED, NOW, SETTINGS)
    assert changes["state"] == "starting"
    assert changes["lease_until"] >= later(300)
    assert states.acked(starting(), later(9), SETTINGS) == {}
    assert states.acked(active(), later(9), SETTINGS) == {}
    for state in ("stopping", "stopped"):
        with pytest.raises(Invalid, match=state):
            states.acked(replace(QUEUED, state=state), NOW, SETTINGS)


def test_the_value_of_a_heartbeat_is_exact_and_never_the_same_twice() -> None:
    first = states.beat(starting(), NO_HEARTBEAT, None, "me", NOW, SETTINGS)
    assert first.answer["last_heartbeat"] == "2026-11-24T10:00:00.123456Z"
    held = after(starting(), first.changes)
    second = states.beat(held, first.answer["last_heartbeat"], None, "me", NOW, SETTINGS)
    assert second.answer["last_heartbeat"] == "2026-11-24T10:00:00.123457Z"


def test_a_lost_answer_may_be_asked_for_again_by_its_holder_only() -> None:
    held = active()
    value = stamp(held.heartbeat_at)
    again = after(held, states.beat(held, value, None, "me", later(5), SETTINGS).changes)
    resent = states.beat(again, value, None, "me", later(6), SETTINGS)
    assert resent.changes == {}
    assert resent.answer["last_heartbeat"] == stamp(again.heartbeat_at)
    for by, seconds in (("another", 6), ("me", 60)):
        with pytest.raises(Precondition):
            states.beat(again, value, None, by, later(seconds), SETTINGS)
    with pytest.raises(Precondition):
        states.beat(held, NO_HEARTBEAT, None, "me", later(2), SETTINGS)


def test_an_item_of_the_queue_has_no_holder() -> None:
    for expected in (NO_HEARTBEAT, None, "2026-11-24T10:00:00.123456Z"):
        with pytest.raises(Precondition) as caught:
            states.beat(QUEUED, expected, None, "me", NOW, SETTINGS)
        assert caught.value.details["current_state"]["state"] == "queued"


def test_the_length_of_a_lease_is_brought_between_the_settings() -> None:
    """The bounds are the operator's."""
    short = Settings(work_lease_min_seconds=1, work_lease_seconds=2, work_lease_max_seconds=3)
    for wished, settings, ttl in (
        (None, SETTINGS, 300),
        (1, SETTINGS, 10),
        (9_999, SETTINGS, 600),
        (45, SETTINGS, 45),
        (None, short, 2),
        (1, short, 1),
        (9_999, short, 3),
    ):
        beat = states.beat(starting(), NO_HEARTBEAT, wished, "me", NOW, settings)
        assert beat.answer["ttl_seconds"] == ttl
        assert beat.changes["lease_until"] == later(ttl)


def stop(item: Item, *, force: bool) -> Any:
    return states.stopped(item, force=force, reason="because", now=later(9), settings=SETTINGS)


def test_stops() -> None:
    assert stop(QUEUED, force=False)["state"] == "stopped"
    for held in (starting(), active()):
        asked = stop(held, force=False)
        assert asked["state"] == "stopping"
        assert asked["lease_until"] >= later(9 + 300)  # wire: a tool call and a flush may follow
        assert asked["reason"] == "because"
        stopping = after(held, asked)
        assert stop(stopping, force=False) == {}
        assert stop(stopping, force=True)["state"] == "stopped"
        over = after(stopping, stop(stopping, force=True))
        assert stop(over, force=True) == {}


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["ack", "beat", "stale", "stop", "force", "lapse"]),
        st.floats(0.0, 400.0),
        st.sampled_from(["a", "b"]),
    ),
    max_size=30,
)
MOVES = {
    ("queued", "starting"), ("starting", "active"), ("starting", "stopping"),
    ("active", "stopping"), ("queued", "stopped"), ("starting", "stopped"),
    ("active", "stopped"), ("stopping", "stopped"), ("starting", "queued"), ("active", "queued"),
}  # fmt: skip


@given(OPERATIONS)
def test_whatever_happens(operations: list[tuple[str, float, str]]) -> None:
    """Only moves of the table; at most one holder; values differ; nothing leaves `stopped`."""
    item, now = QUEUED, NOW
    values: set[str] = set()
    known: dict[str, str] = {}
    for what, seconds, who in operations:
        now += timedelta(seconds=seconds)
        before = item
        try:
            changes = changed(item, what, who, now, known)
        except (Invalid, Precondition):
            continue
        item = after(item, changes)
        assert before.state == item.state or (before.state, item.state) in MOVES
        if "heartbeat_at" in changes and changes["heartbeat_at"] is not None:
            value = stamp(item.heartbeat_at)
            assert value is not None
            assert value not in values
            values.add(value)
            known[who] = value
        if item.state == "queued":
            assert item.heartbeat_at is None
            assert item.lease_until is None
        if item.state in states.HELD:
            assert item.lease_until is not None


def changed(item: Item, what: str, who: str, now: datetime, known: dict[str, str]) -> Any:
    if what == "ack":
        return states.acked(item, now, SETTINGS)
    if what == "beat":
        mine = known.get(who, NO_HEARTBEAT)
        latest = stamp(item.heartbeat_at) or NO_HEARTBEAT
        beat = states.beat(item, mine, None, who, now, SETTINGS)
        assert mine == latest or not beat.changes or item.state == "stopping"
        return beat.changes
    if what == "stale":
        return states.beat(item, "2001-01-01T00:00:00.000000Z", None, who, now, SETTINGS).changes
    if what == "lapse":
        late = states.is_late(item, now)
        ends = item.state == "stopping"
        return (
            (states.ended("late", now) if ends else states.queued_again("late", now))
            if late
            else {}
        )
    return states.stopped(item, force=what == "force", reason="r", now=now, settings=SETTINGS)
