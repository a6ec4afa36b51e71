"""A session's budget: who can have one, and how it changes.

Promises: a session has a budget only when everything it can run has a list price; a budget is set
at creation, replaced by one that leaves room, or removed for good.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from agentstead.api.ports import Models
from agentstead.errors import Invalid
from agentstead.log.log import SessionRow
from agentstead.wire.budget import PICODOLLARS_PER_CENT, reached
from agentstead.wire.session import Budget

NOT_BUDGETABLE = "model_not_budgetable"


def check_priced(models: Models, agent: Mapping[str, Any], judge: str | None) -> None:
    """Refuse a budget on a session that can run something without a price; `judge`: of its calls."""
    for name, speed in can_run(agent, judge):
        price = models.resolve(name).price
        if price is None or not price.covers(speed):
            at = "" if speed == "standard" else f" at speed {speed}"
            raise Invalid(
                f'budget: The model "{name}" has no list price{at} here, so its cost cannot be '
                f"capped ({NOT_BUDGETABLE}). The operator can give it one in "
                "AGENTSTEAD_PRICES_FILE.",
                code=NOT_BUDGETABLE,
            )


def can_run(agent: Mapping[str, Any], judge: str | None) -> Iterator[tuple[str, str]]:
    """Every model that a session with this agent can run, with its speed."""
    model = agent["model"]
    yield model["id"], model.get("speed") or "standard"
    if judge is not None and any(map(is_judged, agent["tools"])):
        yield judge, "standard"


def is_judged(toolset: Mapping[str, Any]) -> bool:
    """Whether calls of some tool of this set go to the judge."""
    configs = [toolset.get("default_config"), *toolset.get("configs", ())]
    return any(
        config["enabled"] and config["permission_policy"]["type"] == "auto"
        for config in configs
        if config is not None
    )


def replaced(
    models: Models, judge: str | None, row: SessionRow, given: Budget | None
) -> Mapping[str, Any] | None:
    """The budget after an update that gives this one; null removes."""
    if given is None:
        return None
    if row.budget is None:
        raise Invalid(
            "budget: A budget cannot be added to a session that has none: one is set when the "
            "session is created, and stays away once it is removed (budget_create_only).",
            code="budget_create_only",
        )
    check_priced(models, row.agent, judge)
    if row.list_cost is None:
        raise Invalid(
            "budget: The session has used a model without a list price, so its cost is not known "
            f"({NOT_BUDGETABLE}). Remove the budget with null to go on.",
            code=NOT_BUDGETABLE,
        )
    budget = given.as_sent()
    if reached(budget, row.list_cost):
        raise Invalid(
            f"budget.max_list_cost.amount: Must be more than the session has used already, "
            f"{spent(row.list_cost)} cents (budget_not_raised).",
            code="budget_not_raised",
        )
    return budget


def spent(picodollars: int) -> str:
    """Cents, with as many decimals as it takes."""
    whole, part = divmod(picodollars, PICODOLLARS_PER_CENT)
    return f"{whole}.{part:010}".rstrip("0").rstrip(".")


def cost(row: SessionRow) -> str | None:
    """What the session has cost, in cents; None when that is not known."""
    return None if row.list_cost is None else spent(row.list_cost)


def against_cap(row: SessionRow) -> str:
    """Cost and cap in words."""
    used = cost(row)
    if used is None:
        return "a model without a list price was used, so the cost cannot be measured"
    if row.budget is None:
        return f"{used} cents, and no cap any more"
    return f"{used} of {row.budget['max_list_cost']['amount']} cents"


def frees(row: SessionRow, budget: Mapping[str, Any] | None) -> bool:
    """Whether this budget lets work go on that the session's own had stopped."""
    return reached(row.budget, row.list_cost) and not reached(budget, row.list_cost)


def paused(row: SessionRow) -> bool:
    """Whether the session as a whole stands still at its budget."""
    reason = row.stop_reason or {}
    return row.status == "idle" and reason.get("type") == "budget_reached"
