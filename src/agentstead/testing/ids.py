"""Identifiers that a seed decides: same seed, same ids."""

from random import Random

from agentstead.clock import Clock
from agentstead.ids import RandomIds


class SeededIds(RandomIds):
    """Ids of the product's own form, drawn from a seeded source."""

    def __init__(self, clock: Clock, rng: Random) -> None:
        super().__init__(clock, rng.randrange)
