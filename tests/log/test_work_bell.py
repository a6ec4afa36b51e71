"""Where polls wait."""

import asyncio

from agentstead.log.work_bell import Queue, WorkBell


async def test_a_ring_wakes_all_who_wait_for_this_environment() -> None:
    bell = WorkBell()
    queue, other = bell.queue("env_1"), bell.queue("env_2")
    waits = [asyncio.create_task(queue.rung(0, 5.0)) for _ in range(3)]
    apart = asyncio.create_task(other.rung(0, 0.05))
    await asyncio.sleep(0)
    bell.ring("env_1")
    bell.ring("env_3")
    assert await asyncio.gather(*waits) == [True] * 3
    assert not await apart
    assert queue.waiting == set()
    assert await queue.rung(0, 5.0)  # level-triggered
    assert set(bell.queues) == {"env_1", "env_2"}


def test_an_empty_queue_is_quiet_until_it_rings_or_something_falls_due() -> None:
    queue = Queue()
    assert not queue.is_quiet(0.0, 5.0)
    queue.found_empty(0, 10.0, None)
    assert queue.is_quiet(9.0, 5.0)
    assert not queue.is_quiet(10.0, 5.0)
    queue.found_empty(0, 10.0, 3.0)
    assert queue.is_quiet(7.0, 5.0)
    assert not queue.is_quiet(8.0, 5.0)
    assert not queue.is_quiet(3.5, 0.1)  # a poll that takes back sooner
    queue.found_empty(0, 10.0, None)
    queue.ring()
    assert not queue.is_quiet(1.0, 5.0)
    queue.found_empty(0, 10.0, None)  # it rang while this look was on its way
    assert not queue.is_quiet(1.0, 5.0)


def test_everybody_looks_after_a_gap() -> None:
    bell = WorkBell()
    bell.queue("env_1").found_empty(0, 10.0, None)
    bell.alarm()
    assert not bell.queue("env_1").is_quiet(1.0, 5.0)
