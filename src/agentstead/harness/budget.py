"""What work has cost at list prices, in whole picodollars (`wire/budget.py`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentstead.wire.budget import money


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


def list_cost(cost: Cost, budget: Mapping[str, Any] | None) -> dict[str, str] | None:
    """What a usage shows; None while nothing was priced, and for good once something was not."""
    shown = not cost.unpriced and (cost.priced or budget is not None)
    return money(cost.picodollars) if shown else None
