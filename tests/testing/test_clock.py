"""Clocks for tests."""

import asyncio
from random import Random

from agentstead.testing.clock import START, LoopClock, ManualClock
from tests.simulation.loop import SimLoop


async def test_a_manual_clock_stands_still():
    clock = ManualClock()
    assert clock.now() == START
    await clock.advance(1.5)
    assert (clock.now(), clock.monotonic()) == (START + 1.5, 1.5)


async def test_sleepers_wake_in_order_and_at_their_moment():
    clock, woken = ManualClock(), []

    async def sleeper(seconds):
        await clock.sleep(seconds)
        woken.append((seconds, clock.monotonic()))

    tasks = [asyncio.ensure_future(sleeper(seconds)) for seconds in (3, 1, 2)]
    await clock.advance(2)
    assert woken == [(1, 1.0), (2, 2.0)]
    await clock.advance(1)
    assert woken[-1] == (3, 3.0)
    await asyncio.gather(*tasks)


async def test_a_sleeper_that_sleeps_again_is_woken_within_one_advance():
    clock, ticks = ManualClock(), []

    async def ticker():
        while len(ticks) < 5:
            await clock.sleep(1)
            ticks.append(clock.monotonic())

    task = asyncio.ensure_future(ticker())
    await clock.advance(10)
    await task
    assert ticks == [1.0, 2.0, 3.0, 4.0, 5.0]


async def test_a_cancelled_sleeper_is_passed_over():
    clock = ManualClock()
    task = asyncio.ensure_future(clock.sleep(1))
    await clock.settle()
    task.cancel()
    await clock.advance(2)
    assert task.cancelled()


def test_a_loop_clock_follows_its_loop():
    loop = SimLoop(Random(1))
    clock = LoopClock(loop)

    async def sleep():
        before = clock.now()
        await clock.sleep(3600)
        return clock.now() - before

    assert loop.run_until_complete(sleep()) == 3600
    loop.close()
