"""Caps and amounts against exact costs."""

from agentstead.wire.budget import PICODOLLARS_PER_CENT, cap, money, reached

ONE_CENT = {"type": "limit", "max_list_cost": {"amount": "1", "currency": "USD"}}


def test_cents_are_rounded_on_the_wire_and_nowhere_else() -> None:
    half = PICODOLLARS_PER_CENT // 2
    assert [money(cost)["amount"] for cost in (0, half - 1, half)] == ["0", "0", "1"]
    assert cap(ONE_CENT) == PICODOLLARS_PER_CENT
    assert not reached(ONE_CENT, PICODOLLARS_PER_CENT - 1)
    assert reached(ONE_CENT, PICODOLLARS_PER_CENT)


def test_a_cost_that_cannot_be_measured_is_too_much() -> None:
    assert reached(ONE_CENT, None)
    assert not reached(None, None)
