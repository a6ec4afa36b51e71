"""Identifiers: sortable, unique, and usable as names."""

import re

from agentstead import ids
from agentstead.ids import RandomIds
from agentstead.testing.clock import ManualClock

PREFIXES = [
    value for name, value in vars(ids).items() if name.isupper() and name != "ALPHABET" and isinstance(value, str)
]  # fmt: skip


def test_ids_fit_as_names() -> None:
    """Hosts make names of sandboxes, volumes and DNS labels of them (clients rule 32)."""
    new = RandomIds().new
    assert {"sesn", "sevt", "agent", "env", "sesrsc", "file"} <= set(PREFIXES)
    for prefix in PREFIXES:
        made = [new(prefix) for _ in range(300)]
        assert len({one.lower() for one in made}) == 300
        for one in made:
            assert re.fullmatch(r"[a-z]+_01[0-9A-Za-z]{22}", one)
            assert len(one) <= 40
    assert len(new("sesn")) == 29


async def test_ids_sort_by_time() -> None:
    clock = ManualClock()
    new = RandomIds(clock).new
    made = []
    for _ in range(50):
        made.append(new("sevt"))
        await clock.advance(0.001)
    assert made == sorted(made)
