"""Budgets above sessions, and what was used."""

from typing import Literal

from agentstead.wire.answers.answer import Answer, Time


class Price(Answer):
    """Whole cents."""

    amount: str
    currency: Literal["USD"]


class Amounts(Answer):
    """What was used, or is kept for requests that go on."""

    list_cost: Price
    list_cost_cents: str
    """Exactly, with as many decimals as it takes."""
    tokens: int


class BudgetLimit(Answer):
    """What may be used in a period."""

    max_list_cost: Price | None
    max_tokens: int | None


class Budget(Answer):
    """What the sessions of a workspace, or of one agent, may use together."""

    id: str
    type: Literal["budget"]
    name: str
    scope: Literal["workspace", "agent"]
    agent_id: str | None
    period: Literal["total", "day", "month"]
    period_starts_at: Time
    period_ends_at: Time | None
    limit: BudgetLimit
    spent: Amounts
    """In the present period."""
    reserved: Amounts
    waiting: int
    """Threads of sessions that found no room."""
    created_at: Time
    updated_at: Time
    archived_at: Time | None


class UsageGroup(Answer):
    """What a part of a workspace's model requests used."""

    day: str | None
    """`YYYY-MM-DD` in UTC; null when it is not grouped by day."""
    agent_id: str | None
    model: str | None
    requests: int
    unpriced_requests: int
    """Those without a list price: they are not in the cost."""
    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int
    cache_creation_input_tokens: int
    list_cost: Price
    list_cost_cents: str


class UsageReport(Answer):
    """What was used between two times."""

    type: Literal["usage_report"]
    starting_at: Time
    ending_at: Time
    data: list[UsageGroup]
