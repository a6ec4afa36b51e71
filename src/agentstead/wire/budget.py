"""Budgets and amounts as on the wire, against exact costs.

Costs are whole picodollars (10⁻¹² of a US dollar): a price per million tokens with up to six decimals
is a whole number of them per token, so sums are exact. The wire shows whole cents.
"""

from collections.abc import Mapping
from typing import Any

PICODOLLARS_PER_CENT = 10**10


def cap(budget: Mapping[str, Any]) -> int:
    """The most that may be spent, in picodollars."""
    return int(budget["max_list_cost"]["amount"]) * PICODOLLARS_PER_CENT


def reached(budget: Mapping[str, Any] | None, picodollars: int | None) -> bool:
    """Whether no more work may begin. A cost that cannot be measured is taken for too much."""
    return budget is not None and (picodollars is None or picodollars >= cap(budget))


def money(picodollars: int) -> dict[str, str]:
    """To the nearest cent."""
    cents = (picodollars + PICODOLLARS_PER_CENT // 2) // PICODOLLARS_PER_CENT
    return {"amount": str(cents), "currency": "USD"}
