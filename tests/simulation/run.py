"""How a run is made of a seed, or of a fixed scenario and one fault."""

from random import Random

from tests.simulation.fairness import Crowd
from tests.simulation.faults import Calm, Once, Swarm
from tests.simulation.notices import Notices
from tests.simulation.scenarios import Drawn, Scenario
from tests.simulation.world import PLAIN, Doubles, SimWorld


def by_seed(seed: int, doubles: Doubles = PLAIN, *, plainly: bool = False) -> SimWorld:
    """Everything drawn from the seed: scenario, rates of faults, and what happens.

    `plainly`: with notices that come and workspaces that are not crowded, as all seeds once were.
    """
    rng = Random(f"scenario {seed}")
    return SimWorld(
        seed,
        Drawn(rng, Random(f"hosted {seed}")),
        Swarm(rng),
        doubles,
        workers=rng.choice((1, 2, 3)),
        notices=None if plainly else Notices.drawn(seed),
        crowd=Crowd() if plainly else Crowd.drawn(seed),
    ).run()


def calmly(scenario: Scenario, doubles: Doubles = PLAIN, seed: int = 7) -> SimWorld:
    """A fixed scenario without any fault."""
    return SimWorld(seed, scenario, Calm(), doubles).run()


def with_fault(
    scenario: Scenario, point: int, kind: str, doubles: Doubles = PLAIN, seed: int = 7
) -> SimWorld:
    """A fixed scenario with one fault at one port call."""
    return SimWorld(seed, scenario, Once(point, kind), doubles).run()
