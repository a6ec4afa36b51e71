"""What else the reader of `/why` should know: each notice that applies is in the answer.

A notice has a `type`, a `message`, and fields of its own.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from agentstead.resources.session_budget import against_cap, cost
from agentstead.resources.why.facts import Facts, stamp
from agentstead.tools import NOT_YET
from agentstead.wire.budget import reached

Notice = dict[str, Any]


def queued_input(facts: Facts) -> Iterator[Notice]:
    """Input that waits for its place in the conversation."""
    number = facts.row.inbox_count
    if not number or facts.row.status == "terminated":
        return
    waits = (facts.row.stop_reason or {}).get("type") == "requires_action"
    if facts.stop is not None:
        when = "once the stop is lifted"
    elif facts.row.wake_at is None:
        when = (
            "once the open calls are answered"
            if waits
            else "with the next user.message: instructions alone start no turn"
        )
    elif facts.row.status == "running":
        when = "between two model requests"
    else:
        when = "as soon as a worker has the session"
    message = (
        f"{number} event{'s' if number > 1 else ''} sent by the client will be taken in {when}."
    )
    yield {
        "type": "queued_input",
        "message": message,
        "event_ids": [one.id for one in facts.queued],
    }


def workers_lost(facts: Facts) -> Iterator[Notice]:
    """It may be this session that kills them."""
    if facts.crashes and facts.row.status != "terminated":
        yield {
            "type": "workers_lost",
            "message": (
                f"{facts.crashes} in a row took this session and were lost before they could write "
                "anything; the workers' logs say why."
            ),
            "count": facts.crashes,
        }


def owner_gone(facts: Facts) -> Iterator[Notice]:
    """The lease still runs, its owner does not."""
    owner = facts.row.lease_owner
    if facts.held and facts.workers and owner not in facts.workers:
        yield {
            "type": "owner_gone",
            "message": "The worker that has it is gone; another takes over once its lease is free.",
            "owner": owner,
        }


def work_queue(facts: Facts) -> Iterator[Notice]:
    """Who is to run its tools, where that is not the platform."""
    work = facts.work
    if (
        work is None
        or facts.row.status == "terminated"
        or facts.row.inbox_count + facts.row.head_seq == 0
    ):
        return
    if work.item is not None and work.item["state"] == "stopped" and not facts.row.asks:
        return  # it has nothing to run
    yield {"type": "work_queue", "message": work.text, **work.answer()}


def budget_used_up(facts: Facts) -> Iterator[Notice]:
    """No request to the model will begin, whatever the session waits for now."""
    row = facts.row
    if row.status != "terminated" and reached(row.budget, row.list_cost):
        yield {
            "type": "budget_used_up",
            "message": (
                f"The budget is used up ({against_cap(row)}): no model request begins until it is "
                "raised or removed."
            ),
            "budget": row.budget,
            "list_cost_cents": cost(row),
        }


def packages_on_the_way(facts: Facts) -> Iterator[Notice]:
    """A build that goes on."""
    if facts.packages is not None and facts.packages.manager and facts.row.status != "terminated":
        yield facts.packages.notice()


def not_saved(facts: Facts) -> Iterator[Notice]:
    """What the agent made since the last checkpoint would be lost with this host."""
    kept = facts.sandbox
    if kept is not None and kept["trouble"] and facts.row.status != "terminated":
        yield {
            "type": "checkpoint_failed",
            "message": f"The latest checkpoint failed; the next turn tries again. {kept['trouble']}",
            "at": stamp(kept["trouble_at"].timestamp()),
        }


def made_again(facts: Facts) -> Iterator[Notice]:
    """Its files come from a checkpoint, or were lost."""
    kept = facts.sandbox
    if kept is not None and kept["restored"] and facts.row.status != "terminated":
        yield {
            "type": "sandbox_restored",
            "message": f"{kept['restored'][:1].upper()}{kept['restored'][1:]}.",
            "at": stamp(kept["restored_at"].timestamp()),
        }


NOTICES: tuple[Callable[[Facts], Iterator[Notice]], ...] = (
    queued_input,
    workers_lost,
    owner_gone,
    work_queue,
    budget_used_up,
    packages_on_the_way,
    not_saved,
    made_again,
)
"""All that apply, in this order."""


def noticed(facts: Facts) -> list[Notice]:
    """Every notice that applies."""
    return [notice for rule in NOTICES for notice in rule(facts)]


# What the session asks for and does not get


def offer(facts: Facts) -> list[dict[str, str]]:
    """Tools, servers and packages that are named and not there, with the reason."""
    tools = not_offered(facts.row.agent["tools"])
    packages = facts.packages.missing() if facts.packages is not None else []
    return [*tools, *unreachable(facts), *packages]


def not_offered(tools: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Tools that the agent names and its model does not get, with the reason."""
    found = []
    for tool in tools:
        if tool["type"] == "agent_toolset_20260401":
            own = {config["name"]: config["enabled"] for config in tool["configs"]}
            found += [
                {"name": name, "reason": reason}
                for name, reason in NOT_YET.items()
                if own.get(name, tool["default_config"]["enabled"])
            ]
    return found


def unreachable(facts: Facts) -> list[dict[str, str]]:
    """MCP servers that could not be reached in the present or the latest running period."""
    found: dict[str, dict[str, str]] = {}
    for place, event in enumerate(facts.tail):
        if event["type"] == "session.status_idle" and place:
            break
        error = event["error"] if event["type"] == "session.error" else {}
        if name := error.get("mcp_server_name"):
            found.setdefault(name, {"name": name, "reason": error["message"]})
    return list(found.values())
