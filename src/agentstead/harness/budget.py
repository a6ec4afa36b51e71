"""Money: what work has cost at list prices, and whether a session may go on.

Costs are whole picodollars (10⁻¹² of a US dollar): a price per million tokens with up to six decimals
is a whole number of them per token, so sums are exact. The wire shows whole cents.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PICODOLLARS_PER_CENT = 10**10


@dataclass(frozen=True, slots=True)
class Cost:
    """The list cost of some work."""

    picodollars: int = 0
    priced: bool = False
    """Some of it had a price."""
    unpriced: bool = False
    """Some of it had none, so the sum says nothing."""

    def plus(self, picodollars: int | None) -> "Cost":
        """This and one more request; None: it has no price."""
        if picodollars is None:
            return Cost(self.picodollars, self.priced, unpriced=True)
        return Cost(self.picodollars + picodollars, priced=True, unpriced=self.unpriced)

    @property
    def measured(self) -> int | None:
        """Picodollars; None when some of the work has no price."""
        return None if self.unpriced else self.picodollars


NOTHING = Cost()


def cap(budget: Mapping[str, Any]) -> int:
    """The most that may be spent, in picodollars."""
    return int(budget["max_list_cost"]["amount"]) * PICODOLLARS_PER_CENT


def reached(budget: Mapping[str, Any] | None, picodollars: int | None) -> bool:
    """Whether no more work may begin. A cost that cannot be measured is taken for too much."""
    return budget is not None and (picodollars is None or picodollars >= cap(budget))


def money(picodollars: int) -> dict[str, str]:
    """As on the wire: to the nearest cent."""
    cents = (picodollars + PICODOLLARS_PER_CENT // 2) // PICODOLLARS_PER_CENT
    return {"amount": str(cents), "currency": "USD"}


def list_cost(cost: Cost, budget: Mapping[str, Any] | None) -> dict[str, str] | None:
    """What a usage shows; None while nothing was priced, and for good once something was not."""
    if cost.unpriced or not (cost.priced or budget is not None):
        return None
    return money(cost.picodollars)
