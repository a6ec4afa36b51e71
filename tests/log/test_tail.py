"""Streams that open together miss nothing, whichever of them has read first."""

import pytest

from agentstead.log.tail import Frame, Hub, Subscriber

SESSION = "sesn_1"


def frame(seq: int) -> Frame:
    return Frame(seq, f"sevt_{seq}", "sthr_1", True, "agent.message", b"%d" % seq)


def joined(hub: Hub) -> Subscriber:
    return hub.join(SESSION, None, frozenset())


def begin(hub: Hub, subscriber: Subscriber, head: int) -> None:
    subscriber.begin("sthr_1", head, (), ())
    hub.begun(subscriber)


def catch_up(hub: Hub, head: int) -> None:
    """Read what the hub is behind with, as the log would answer it."""
    if SESSION in hub.behind:
        cursor = hub.channels[SESSION].cursor
        assert cursor is not None
        hub.publish(SESSION, [frame(seq) for seq in range(cursor + 1, head + 1)])


@pytest.mark.parametrize("meanwhile", [False, True])
def test_a_stream_that_read_first_and_began_last_misses_nothing(*, meanwhile: bool) -> None:
    hub = Hub()
    slow = joined(hub)  # reads 5 as the end of the log, and is told so late
    hub.publish(SESSION, [frame(6)])
    fast = joined(hub)
    begin(hub, fast, 6)
    if meanwhile:
        hub.publish(SESSION, [frame(7)])
    begin(hub, slow, 5)
    catch_up(hub, 7 if meanwhile else 6)
    if not meanwhile:
        hub.publish(SESSION, [frame(7)])
    assert list(slow.queue) == [b"6", b"7"]
    assert list(fast.queue) == [b"7"]


def test_a_stream_that_held_what_came_is_not_read_for_again() -> None:
    hub = Hub()
    begin(hub, joined(hub), 5)
    late = joined(hub)
    hub.publish(SESSION, [frame(6)])
    begin(hub, late, 5)
    assert list(late.queue) == [b"6"]
    assert not hub.behind
