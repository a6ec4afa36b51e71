"""Which sessions cannot be made under a budget in money: those that can run what has no price."""

from collections.abc import Mapping
from typing import Any

from agentstead.api.router import Call
from agentstead.errors import Invalid
from agentstead.resources.session_budget import NOT_BUDGETABLE, check_priced

ABOVE = """
    select id, name from budgets
    where workspace_id = %s and archived_at is null and max_picodollars is not null
      and (agent_id is null or agent_id = %s)
    order by id limit 1
"""


async def check_priced_above(call: Call, agent: Mapping[str, Any]) -> None:
    """Refuse a session that no budget above it could measure."""
    services = call.services
    try:
        check_priced(services.catalogue, agent, services.settings.judge_model)
    except Invalid as refusal:
        if refusal.code != NOT_BUDGETABLE:
            raise
        row = await services.database.fetch_one(ABOVE, (call.workspace_id, agent["id"]))
        if row is not None:
            reason = refusal.message.removeprefix("budget: ")
            raise Invalid(
                f"agent: The session would be under budget {row['id']} ({row['name']}). {reason}",
                code=NOT_BUDGETABLE,
            ) from None
