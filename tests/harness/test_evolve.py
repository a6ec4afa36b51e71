"""A faster `dataclasses.replace`."""

from dataclasses import dataclass, replace

import pytest

from agentstead.harness.evolve import evolve


@dataclass(frozen=True)
class Point:
    x: int
    y: int = 2
    z: str = "z"


def test_it_copies_like_replace():
    point = Point(1)
    assert evolve(point, y=5) == replace(point, y=5) == Point(1, 5)
    assert evolve(point) == point
    assert point == Point(1)


def test_an_unknown_field_is_refused():
    with pytest.raises(KeyError):
        evolve(Point(1), w=1)
