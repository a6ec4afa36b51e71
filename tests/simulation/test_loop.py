"""The simulator itself: virtual time, the same run for the same seed, an end at the first violation."""

import asyncio
import hashlib
import subprocess
import sys
import time
from random import Random

import pytest

from agentstead.worker import turn
from tests.simulation.faults import KINDS, Swarm
from tests.simulation.loop import SimLoop, Stuck
from tests.simulation.run import by_seed, calmly
from tests.simulation.scenarios import GOLDEN

SEEDS = (3, 11, 52)


def on_a_loop(make, seed=1):
    loop = SimLoop(Random(seed))
    try:
        return loop.run_until_complete(make())
    finally:
        loop.close()


def test_waiting_costs_nothing():
    async def sleep():
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    began = time.monotonic()
    assert on_a_loop(sleep) == 3600
    assert time.monotonic() - began < 1


def test_when_nothing_can_ever_happen_it_is_stuck():
    async def wait_for_nobody():
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Stuck):
        on_a_loop(wait_for_nobody)


def test_the_seed_decides_who_goes_first():
    async def race():
        order = []

        async def run(name):
            order.append(name)

        await asyncio.gather(*(run(name) for name in "abcdef"))
        return "".join(order)

    assert on_a_loop(race, 1) == on_a_loop(race, 1)
    assert len({on_a_loop(race, seed) for seed in range(10)}) > 3


def test_the_usual_tools_of_asyncio_work():
    async def use():
        queue = asyncio.Queue()
        async with asyncio.TaskGroup() as group:
            group.create_task(queue.put(1))
            assert await queue.get() == 1
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await queue.get()
        return asyncio.get_running_loop().time()

    assert on_a_loop(use) == 5


def fingerprint(seed: int) -> str:
    lines = "\n".join(str(line) for line in by_seed(seed).trace)
    return hashlib.sha256(lines.encode()).hexdigest()


def test_the_same_seed_is_the_same_run_also_in_another_process():
    code = f"from tests.simulation.test_loop import *; print(*map(fingerprint, {SEEDS}))"
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=25
    )
    assert other.stdout.split() == [fingerprint(seed) for seed in SEEDS]


def test_a_failed_assertion_in_a_process_ends_the_run_at_once(monkeypatch):
    def wrong(*_):
        raise AssertionError("planted")

    monkeypatch.setattr(turn, "derive", wrong)
    world = calmly(GOLDEN[0])
    assert "planted" in str(world.broken)
    assert world.loop.now < 1


def test_each_seed_draws_its_own_rates_zero_included():
    rates = [Swarm(Random(seed)).rates for seed in range(50)]
    for kind in KINDS:
        drawn = {each[kind] for each in rates}
        assert 0.0 in drawn
        assert max(drawn) >= 0.1


def test_every_kind_of_fault_happens():
    said = {
        line.what.split()[0] for seed in range(1, 25) for line in by_seed(seed).trace if line.what
    }
    assert {"KILLED", "STALL", "LATE", "ERROR", "REPLY", "LeaseLost"} <= said
