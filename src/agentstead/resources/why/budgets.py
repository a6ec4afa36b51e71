"""What `/why` knows of budgets above the session: which has no room, and how it stands."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentstead.api.router import Call
from agentstead.resources.budgets.budgets import answer, budgets
from agentstead.resources.session_budget import spent as cents

SHORT = """
    select budget_id, request_id, final, picodollars, tokens, model from budget_waits
    where session_id = %s and (until is null or until > clock_timestamp())
    order by final desc, at limit 1
"""


@dataclass(frozen=True, slots=True)
class BudgetFacts:
    """A budget without room for the session's next request."""

    budget: Mapping[str, Any]
    """As its route answers."""
    request_id: str
    final: bool
    """Else others' reservations stand in the way."""
    picodollars: int | None
    tokens: int
    model: str

    @property
    def unpriced(self) -> bool:
        """Whether no limit in money can measure the request."""
        return self.picodollars is None and self.budget["limit"]["max_list_cost"] is not None

    @property
    def text(self) -> str:
        """How it stands, in words."""
        budget = self.budget
        title = f"Budget {budget['id']} ({budget['name']}, {budget['scope']}, {budget['period']})"
        if self.unpriced:
            return f"{title} is in money, and the model {self.model} has no list price here"
        spent, reserved = budget["spent"], budget["reserved"]
        said = []
        if (cost := budget["limit"]["max_list_cost"]) is not None:
            need = cents(self.picodollars or 0)
            said.append(
                f"{spent['list_cost_cents']} of {cost['amount']} cents are spent, "
                f"{reserved['list_cost_cents']} reserved, and the next request may cost up to {need}"
            )
        if (tokens := budget["limit"]["max_tokens"]) is not None:
            said.append(
                f"{spent['tokens']} of {tokens} tokens are spent, {reserved['tokens']} reserved, "
                f"and the next request may use up to {self.tokens}"
            )
        return f"{title} has no room: {'; '.join(said)}"

    def waits(self) -> dict[str, Any]:
        """What the session waits for."""
        return {
            "type": "budget",
            "budget_above": dict(self.budget),
            "next_request": {
                "model": self.model,
                "list_cost_cents_max": None
                if self.picodollars is None
                else cents(self.picodollars),
                "tokens_max": self.tokens,
            },
        }


async def gather_budget(call: Call, session_id: str) -> BudgetFacts | None:
    """The budget that the session waits for, as it stands now."""
    database = call.services.database
    row = await database.fetch_one(SHORT, (session_id,))
    if row is None:
        return None
    budget = await budgets.retrieve(database, call.workspace_id, row["budget_id"])
    cost = row["picodollars"]
    return BudgetFacts(
        answer(call, budget),
        row["request_id"],
        row["final"],
        None if cost is None else int(cost),
        row["tokens"],
        row["model"],
    )
