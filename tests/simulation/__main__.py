"""`python -m tests.simulation --seed N` replays one run, line by line; `--seeds N` runs many."""

import argparse
import sys
import time

from tests.simulation.run import by_seed


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


def many(first: int, count: int) -> int:
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
    given = parser.parse_args()
    return replay(given.seed) if given.seed is not None else many(given.first, given.seeds)


sys.exit(main())
