"""Exhaustive: each fixed scenario, once calmly, then with one fault of each kind at each port call.

Whatever happens on the way, what was said comes out the same ("interrupted equals uninterrupted"),
in the scenarios where timing has no say in it.
"""

import pytest

from tests.simulation.conversation import conversations
from tests.simulation.faults import LOST_REPLY, SWEPT
from tests.simulation.run import calmly, with_fault
from tests.simulation.scenarios import GOLDEN

POINTS_MIN = 10


def told(world) -> str:
    """What went wrong, with the end of the trace."""
    lines = "\n".join(str(line) for line in world.trace[-30:])
    return f"{world.broken}\n{lines}"


def outcome_was_lost(world) -> bool:
    """A tool's or server's reply was lost: the model is told so, and the talk differs."""
    told = ("sandbox.call", "mcp.tools", "mcp.connect")
    return any(line.name in told and line.what == "REPLY LOST" for line in world.trace)


@pytest.mark.parametrize("scenario", GOLDEN, ids=lambda scenario: scenario.name.replace(" ", "-"))
def test_one_fault_anywhere(scenario):
    calm = calmly(scenario)
    assert calm.broken is None, told(calm)
    assert calm.points >= POINTS_MIN
    runs = kills = 0
    for point in range(1, calm.points + 1):
        for kind in SWEPT:
            world = with_fault(scenario, point, kind)
            where = f"{scenario.name}: {kind} at call {point}"
            assert world.broken is None, f"{where}: {told(world)}"
            if scenario.stable and not (kind == LOST_REPLY and outcome_was_lost(world)):
                assert conversations(world) == conversations(calm), where
            runs += 1
            kills += world.kills
    assert runs == calm.points * len(SWEPT)
    assert kills >= calm.points  # the faults do happen
