"""Random runs: everything is drawn from the seed, the rates of faults included.

`AGENTSTEAD_SIM_SEEDS` says how many (300); `seeds.txt` holds those that once failed, for ever.
"""

import os
from pathlib import Path

import pytest

from tests.simulation.run import by_seed

FOR_EVER = Path(__file__).with_name("seeds.txt")
PORTION = 25
SEEDS = int(os.environ.get("AGENTSTEAD_SIM_SEEDS", "300"))


def remembered() -> list[int]:
    """Seeds that have failed once."""
    lines = FOR_EVER.read_text().splitlines()
    return [int(line.split("#")[0]) for line in lines if line.split("#")[0].strip()]


def run(seeds, *, plainly: bool = False) -> int:
    """Run them; how many processes were killed."""
    kills = 0
    for seed in seeds:
        world = by_seed(seed, plainly=plainly)
        replay = f"python -m tests.simulation --seed {seed}"
        assert world.broken is None, f"seed {seed}: {world.broken}\nreplay: {replay}"
        kills += world.kills
    return kills


@pytest.mark.parametrize("first", range(1, SEEDS + 1, PORTION))
def test_seeds(first):
    run(range(first, min(first + PORTION, SEEDS + 1)))


def test_seeds_that_failed_once():
    run(remembered())
    run(remembered(), plainly=True)


def test_the_swarm_kills():
    """Faults do happen: a swarm without deaths would prove nothing."""
    assert run(range(1, 11)) >= 5
