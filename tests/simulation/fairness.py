"""Whose turn it was: judged after each claim, from the rows alone.

No workspace runs more than it may; no place went to a workspace while another one that waited runs
less for its weight; within a workspace nobody was passed over who has waited longer, priority counted.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from random import Random

from agentstead.log.claims import PRIORITY_SECONDS, Share, Shares
from tests.simulation.violation import Violation


@dataclass(frozen=True)
class Crowd:
    """How many there are and what each workspace gets, where that is drawn."""

    shares: Shares = field(default_factory=Shares)
    sessions: int = 0
    """0: as many as the scenario wants."""
    sessions_max: int = 0
    priorities: tuple[int, ...] = (0,)
    drain_seconds: float = 0.0
    """How long a worker that is stopped lets steps end."""

    @staticmethod
    def drawn(seed: int) -> "Crowd":
        """One seed in three is crowded."""
        rng = Random(f"crowd {seed}")
        drain_seconds = rng.choice((0.0, 1.0, 20.0))
        if rng.random() < 0.67:
            return Crowd(drain_seconds=drain_seconds)
        default = Share(rng.choice((0, 1, 2)))
        own = {"wrkspc_b": Share(rng.choice((0, 1, 3)), rng.choice((1.0, 2.0)))}
        return Crowd(
            Shares(default, own),
            sessions=rng.choice((4, 5)),
            sessions_max=rng.choice((1, 2)),
            priorities=rng.choice(((0,), (0, 1), (-2, 0, 10))),
            drain_seconds=drain_seconds,
        )


def claimed(world, leases) -> None:
    """Raises a violation where the claim was not fair."""
    now = world.clock.now()
    running: Counter[str] = Counter()
    waiting = defaultdict(list)
    mine = {lease.session_id for lease in leases}
    got = defaultdict(list)
    for session in world.log.sessions.values():
        row = session.row
        if session.lease is not None and row.lease_until > now:
            running[row.workspace_id] += 1
            if row.id in mine:
                got[row.workspace_id].append(rank(row))
        elif row.wake_at is not None and row.wake_at <= now:
            waiting[row.workspace_id].append(rank(row))
    for space, ranks in got.items():
        share = world.log.shares.of(space)
        if share.running_max and running[space] > share.running_max:
            raise Violation(f"{space} runs {running[space]}, more than {share.running_max}")
        if waiting[space] and max(ranks) > min(waiting[space]):
            raise Violation(f"{space}: one that came first was passed over")
        for other in waiting:
            passed_over(world, running, space, other)


def passed_over(world, running, space: str, other: str) -> None:
    """Raises a violation where another workspace should have had the place."""
    share, theirs = world.log.shares.of(space), world.log.shares.of(other)
    full = theirs.running_max and running[other] >= theirs.running_max
    if not waits_in(world, other) or full or other == space:
        return
    if (running[other] + 1) / theirs.weight < running[space] / share.weight:
        raise Violation(
            f"{space} got a place with {running[space]} running, {other} waits with {running[other]}"
        )


def waits_in(world, space: str) -> bool:
    """Whether anybody is due there and has no worker."""
    now = world.clock.now()
    return any(
        each.row.workspace_id == space
        and each.row.wake_at is not None
        and each.row.wake_at <= now
        and (each.lease is None or each.row.lease_until <= now)
        for each in world.log.sessions.values()
    )


def rank(row) -> float:
    """Its place in its workspace's order."""
    return row.wake_at - PRIORITY_SECONDS * row.priority
