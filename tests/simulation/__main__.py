"""`python -m tests.simulation --seed N` replays one run, line by line; `--seeds N` runs many."""

import argparse
import sys
import time

from tests.simulation.run import by_seed
from tests.simulation.test_swarm import FOR_EVER


def replay(seed: int) -> int:
    """One run, with one line per port call."""
    world = by_seed(seed)
    for line in world.trace:
        print(line)
    print(summary(world))
    if world.broken is not None:
        cause = world.broken.__cause__
        print(f"VIOLATION {world.broken}" + (f" (from {cause!r})" if cause else ""))
        return 1
    return 0


def summary(world) -> str:
    events = sum(len(session.events) for session in world.log.sessions.values())
    return (
        f"seed {world.seed}: {len(world.log.sessions)} sessions, {events} events, "
        f"{world.points} port calls, {world.kills} kills, {world.loop.now:.0f} virtual seconds"
    )


def keep(seed: int, said: str) -> None:
    """A seed that failed runs with every `make test` from now on."""
    with FOR_EVER.open("a") as file:
        file.write(f"{seed:<4} # {said.splitlines()[0][:120]}\n")


def many(first: int, count: int, *, kept: bool) -> int:
    """Many runs; what failed and how fast it went."""
    began = time.monotonic()
    failures, kills, events, virtual, calls = [], 0, 0, 0.0, 0
    for seed in range(first, first + count):
        world = by_seed(seed)
        kills += world.kills
        calls += world.points
        virtual += world.loop.now
        events += sum(len(session.events) for session in world.log.sessions.values())
        if world.broken is not None:
            failures.append(seed)
            print(f"seed {seed}: {str(world.broken)[:400]}", flush=True)
            if kept:
                keep(seed, str(world.broken))
    seconds = time.monotonic() - began
    print(
        f"{count} seeds in {seconds:.1f} s = {count / seconds:.1f} seeds/s; {len(failures)} failed; "
        f"{kills} kills, {events} events, {calls} port calls, {virtual / 3600:.1f} virtual hours"
    )
    if failures:
        print(f"replay with: python -m tests.simulation --seed {failures[0]}")
    return 1 if failures else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="replay this run")
    parser.add_argument("--seeds", type=int, default=300, help="run so many")
    parser.add_argument("--first", type=int, default=1, help="the first seed of many")
    parser.add_argument("--keep", action="store_true", help="add failing seeds to seeds.txt")
    given = parser.parse_args()
    if given.seed is not None:
        return replay(given.seed)
    return many(given.first, given.seeds, kept=given.keep)


sys.exit(main())
