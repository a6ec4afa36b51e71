"""Ids that a seed decides."""

from random import Random

from agentstead.testing.clock import ManualClock
from agentstead.testing.ids import SeededIds


def some(seed):
    ids = SeededIds(ManualClock(), Random(seed))
    return [ids.new("sevt") for _ in range(50)]


def test_the_same_seed_gives_the_same_ids():
    assert some(1) == some(1)
    assert set(some(1)).isdisjoint(some(2))


def test_they_have_the_products_form():
    assert all(len(each) == 29 and each.startswith("sevt_01") for each in some(3))
    assert len(set(some(3))) == 50
