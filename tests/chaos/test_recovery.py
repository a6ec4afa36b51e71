"""Times count from the fault, for requests that came after it, and once."""

from agentstead.chaos.recovery import Recovery, percentiles


def test_a_session_is_measured_from_the_fault_to_its_next_step() -> None:
    recovery = Recovery()
    recovery.hit("kill", ["a", "b"], 10.0)
    recovery.stepped("a", 9.0)  # had come before
    recovery.stepped("a", 11.5)
    recovery.stepped("a", 12.0)
    recovery.rests("b")
    recovery.stepped("b", 20.0)
    assert dict(recovery.seconds) == {"kill": [1.5]}
    assert recovery.slowest == [(1.5, "kill", "a")]


def test_another_fault_begins_anew() -> None:
    recovery = Recovery()
    recovery.hit("kill", ["a"], 10.0)
    recovery.hit("freeze", ["a"], 12.0)
    recovery.stepped("a", 13.0)
    assert (dict(recovery.seconds), recovery.overtaken) == ({"freeze": [1.0]}, 1)


def test_percentiles() -> None:
    assert percentiles([]) is None
    assert percentiles([3.0]) == (3.0, 3.0, 3.0)
    assert percentiles([float(n) for n in range(100)]) == (50.0, 95.0, 99.0)
