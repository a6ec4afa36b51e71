"""The reason of a session's state: one ordered table, the first that applies is the answer.

Each rule looks at the facts only and returns what is to be said, or None when it does not apply.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentstead.log.waiting import Place
from agentstead.resources.session_budget import against_cap, cost
from agentstead.resources.why.budgets import BudgetFacts
from agentstead.resources.why.facts import Facts, stamp
from agentstead.wire.budget import reached

NOBODY: Mapping[str, Any] = {"type": "nothing"}
"""Nobody can do anything."""

LATE_SECONDS = 1.0
"""So long after its end a lease is called late; others take the session at their next look-round."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a rule says."""

    reason: str
    """A sentence for people."""
    since: float | None
    """Seconds since the epoch."""
    waiting_for: Mapping[str, Any]
    """`type`: client, operator, worker, self_hosted_worker, model, tool, retry, budget or nothing; with more."""
    next_action: str
    """A sentence: what the reader can do."""

    def answer(self) -> dict[str, Any]:
        """The middle part of the answer."""
        return {
            "reason": self.reason,
            "since": stamp(self.since),
            "waiting_for": dict(self.waiting_for),
            "next_action": self.next_action,
        }


# Ended


def archived(facts: Facts) -> Said | None:
    """It takes nothing any more."""
    row = facts.row
    if row.archived_at is None:
        return None
    ended = row.terminated_at is not None and row.terminated_at < row.archived_at
    before = f" It had ended before{error_text(facts)}" if ended else ""
    return Said(f"It was archived.{before}", row.archived_at, NOBODY, "Create a new session.")


def terminated(facts: Facts) -> Said | None:
    """An error ended it."""
    if facts.row.status != "terminated":
        return None
    reason = f"It ended with an error that cannot be retried{error_text(facts)}"
    action = "Look at last_error; create a new session."
    return Said(reason, facts.row.terminated_at, NOBODY, action)


def error_text(facts: Facts) -> str:
    """The last error as the end of a sentence."""
    error = facts.last_error
    return "." if error is None else f": {str(error['message']).rstrip('.')}."


def stopped(facts: Facts) -> Said | None:
    """The operator wants nothing to begin."""
    stop = facts.stop
    if stop is None:
        return None
    waits = {"type": "operator", "stop_id": stop.id, "stopped_by": stop.created_by}
    going = "" if facts.row.status == "idle" else " What was going on is being ended."
    return Said(
        f"It was stopped by {stop.created_by} ({stop.id}): {stop.reason}{going}",
        stop.created_at,
        waits,
        f"Lift the stop with `agentstead stop --lift {stop.id}` or POST /v1/stops/{stop.id}/lift;"
        " input that waits is taken in then.",
    )


# It has work and nobody works on it


def no_worker_alive(facts: Facts) -> Said | None:
    """There is nobody who could take it."""
    if facts.due_seconds <= 0 or facts.workers:
        return None
    return Said(
        "It has work to do and no worker is running.",
        facts.row.wake_at,
        {"type": "worker"},
        "Start a worker with `agentstead worker`, or serve with --workers.",
    )


def lease_late(facts: Facts) -> Said | None:
    """Whoever had it is dead, frozen, or cannot reach the database."""
    row = facts.row
    if row.lease_owner is None or row.lease_until is None or facts.due_seconds < LATE_SECONDS:
        return None
    lost = "is gone" if row.lease_owner not in facts.workers else "is alive but does not renew it"
    return Said(
        f"The worker that had it {lost}; its lease ran out and nobody has taken it over yet.",
        row.lease_until,
        {"type": "worker", "owner": row.lease_owner},
        "Wait for another worker; if this lasts, look at the workers' logs or start one more.",
    )


def workspace_full(facts: Facts) -> Said | None:
    """Its workspace runs as many sessions as it may."""
    place = facts.place
    if facts.due_seconds <= 0 or place is None or not facts.running_max:
        return None
    if place.running < facts.running_max:
        return None
    waits = {"type": "worker", "because": "workspace_running_max", **position(place)}
    return Said(
        f"Its workspace has {place.running} sessions running, as many as may run at once; "
        f"{before_it(place)}.",
        facts.row.wake_at,
        {**waits, "running_max": facts.running_max},
        "Wait for one of them to end its turn, or ask the operator for a higher running_max.",
    )


def workers_full(facts: Facts) -> Said | None:
    """Every worker drives as many sessions as it may."""
    place = facts.place
    if facts.due_seconds <= 0 or place is None or place.places is None:
        return None
    if place.running_in_all < place.places:
        return None
    return Said(
        f"All workers are busy, with {place.running_in_all} of {place.places} sessions; "
        f"{before_it(place)}, and workspaces take turns.",
        facts.row.wake_at,
        {"type": "worker", "because": "workers_full", **position(place), "places": place.places},
        "Wait, start one more worker (`agentstead worker`), or raise the session's priority.",
    )


def before_it(place: Place) -> str:
    """How many of its workspace come first."""
    if not place.ahead:
        return "it comes next of its workspace"
    more = "s of its workspace come" if place.ahead > 1 else " of its workspace comes"
    return f"{place.ahead} other{more} before it"


def position(place: Place) -> dict[str, int]:
    """The same for programs."""
    return {"position": place.ahead + 1, "running": place.running}


def not_taken_yet(facts: Facts) -> Said | None:
    """It waits for its place at a worker."""
    if facts.due_seconds <= 0:
        return None
    place = {} if facts.place is None else position(facts.place)
    return Said(
        "It has work to do and no worker has taken it yet.",
        facts.row.wake_at,
        {"type": "worker", **place},
        "If this lasts, start a worker (`agentstead worker`) or look at the workers' logs.",
    )


def rescheduling(facts: Facts) -> Said | None:
    """A failed request, or a failed checkout, waits for its next attempt."""
    row = facts.row
    if row.status != "rescheduling":
        return None
    error = facts.last_error
    repository = error is not None and "repository_url" in error
    what = "A repository could not be checked out" if repository else "A model request failed"
    return Said(
        f"{what} and is tried again{error_text(facts)}",
        row.last_event_at,
        {"type": "retry", "until": stamp(row.wake_at)},
        "Wait; last_error says what failed.",
    )


# A worker works on it


def tool_running(facts: Facts) -> Said | None:
    """Calls without a result."""
    calls = facts.open_calls
    if facts.row.status != "running" or not calls:
        return None
    names = " and ".join(sorted({call["name"] for call in calls}))
    return Said(
        f"The agent's {names} call is running.",
        facts.since(calls[0]),
        {"type": "tool", "event_ids": [call["id"] for call in calls]},
        "Wait, or send user.interrupt.",
    )


def room_awaited(facts: Facts) -> Said | None:
    """A request has begun that others' reservations leave no room for."""
    above = facts.above
    spans = [one for one in facts.tail if one["type"].startswith("span.model_request")]
    if above is None or above.final or facts.row.status != "running" or not spans:
        return None
    if spans[0]["id"] != above.request_id:
        return None
    return Said(
        f"A model request waits until others under the same budget have ended. {above.text}.",
        facts.since(spans[0]),
        above.waits(),
        "Wait, raise the budget, or send user.interrupt.",
    )


def model_answering(facts: Facts) -> Said | None:
    """A request without an end."""
    spans = [one for one in facts.tail if one["type"].startswith("span.model_request")]
    if facts.row.status != "running" or not spans:
        return None
    if spans[0]["type"] != "span.model_request_start":
        return None
    judged = (
        ", or the judge decides on its calls" if any_auto(facts.row.agent.get("tools", ())) else ""
    )
    return Said(
        f"The model {facts.row.agent['model']['id']} is answering{judged}.",
        facts.since(spans[0]),
        {"type": "model", "event_id": spans[0]["id"]},
        "Wait, or send user.interrupt.",
    )


def any_auto(tools: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a judge may have a say: its decisions are part of the model request."""
    return any(
        config["permission_policy"]["type"] == "auto"
        for tool in tools
        if "default_config" in tool
        for config in (tool["default_config"], *tool["configs"])
    )


def next_step(facts: Facts) -> Said | None:
    """Between two steps."""
    if facts.row.status != "running":
        return None
    repositories = any(one["type"] == "github_repository" for one in facts.row.resources)
    step = (
        "checks its repositories out, or takes its next step"
        if repositories
        else "is about to take its next step"
    )
    reason = f"A worker has it and {step}."
    return Said(reason, facts.row.last_event_at, {"type": "worker"}, "Wait.")


# Nothing happens


ANSWERS: dict[str, tuple[str, str]] = {
    "confirmation": ("user.tool_confirmation", "client"),
    "custom": ("user.custom_tool_result", "client"),
    "tool": ("user.tool_result", "worker"),
}
"""Kind of ask → the event that answers it, and who sends that."""


def requires_action(facts: Facts) -> Said | None:
    """Calls that wait for somebody's answer."""
    row = facts.row
    if stop(facts) != "requires_action":
        return None
    names = {one["id"]: one["name"] for one in facts.tail if "name" in one}
    kinds = sorted({ask.kind for ask in row.asks})
    waits = {
        "type": "client",
        "event_ids": [ask.id for ask in row.asks],
        "kinds": {ask.id: ask.kind for ask in row.asks},
        "answers": [
            {
                "event_id": ask.id,
                "kind": ask.kind,
                "tool": names.get(ask.id),
                "session_thread_id": ask.thread_id,
                "answer_with": ANSWERS[ask.kind][0],
                "who": ANSWERS[ask.kind][1],
            }
            for ask in row.asks
        ],
    }
    how = ", ".join(f"{ANSWERS[kind][0]} for a {kind} call" for kind in kinds)
    if facts.work is not None and "tool" in kinds:
        waits |= {"type": "self_hosted_worker", **facts.work.answer()}
        return Said(facts.work.text, idle_since(facts), waits, facts.work.next_action)
    return Said(
        "The agent waits for the client's answers.",
        idle_since(facts),
        waits,
        f"Answer each event id: {how}.",
    )


def budget_reached(facts: Facts) -> Said | None:
    """Work waits that the budget has no room for."""
    if stop(facts) != "budget_reached":
        return None
    if facts.above is not None and not reached(facts.row.budget, facts.row.list_cost):
        return budget_above(facts, facts.above)
    waits = {"type": "budget", "budget": facts.row.budget, "list_cost_cents": cost(facts.row)}
    action = (
        "Update the session with a budget above the cost, or with budget null to remove it; "
        "the work goes on by itself."
    )
    reason = f"Its budget is used up: {against_cap(facts.row)}."
    return Said(reason, idle_since(facts), waits, action)


def budget_above(facts: Facts, above: BudgetFacts) -> Said:
    """Which one, its limit, and what is left of it."""
    action = "Raise its limit or archive it; the work goes on by itself."
    if above.unpriced:
        action = "Give the model a price in AGENTSTEAD_PRICES_FILE, or archive the budget."
    elif (ends := above.budget["period_ends_at"]) is not None:
        action = f"Raise its limit, or wait until {ends}; the work goes on by itself."
    return Said(f"{above.text}.", idle_since(facts), above.waits(), action)


ENDS: dict[str | None, tuple[str, str]] = {
    None: ("It has not been given anything to do yet.", "Send a user.message."),
    "end_turn": ("The agent has finished its turn.", "Send a user.message."),
    "retries_exhausted": (
        "Its turn was ended by an error; see last_error.",
        "Mend what failed, then send a user.message.",
    ),
    "refusal": ("The model refused to go on.", "Send a user.message that asks for something else."),
}
"""Stop reason → reason, and what to do."""


def turn_over(facts: Facts) -> Said | None:
    """Its turn has ended, or none has begun."""
    kind = stop(facts)
    reason, action = ENDS.get(kind, (f"Its turn ended ({kind}).", "Send a user.message."))
    return Said(reason, idle_since(facts), {"type": "client", "event_ids": []}, action)


def stop(facts: Facts) -> str | None:
    """Why its last turn stopped."""
    return None if facts.row.stop_reason is None else str(facts.row.stop_reason["type"])


def idle_since(facts: Facts) -> float | None:
    """When it became idle."""
    for one in facts.tail:
        if one["type"] == "session.status_idle":
            return facts.since(one)
    return facts.row.last_event_at or facts.row.created_at


Rule = Callable[[Facts], Said | None]
REASONS: tuple[tuple[str, Rule], ...] = (
    ("archived", archived),
    ("terminated", terminated),
    ("stopped", stopped),
    ("no_worker_alive", no_worker_alive),
    ("lease_late", lease_late),
    ("workspace_full", workspace_full),
    ("workers_full", workers_full),
    ("not_taken_yet", not_taken_yet),
    ("rescheduling", rescheduling),
    ("tool_running", tool_running),
    ("room_awaited", room_awaited),
    ("model_answering", model_answering),
    ("next_step", next_step),
    ("requires_action", requires_action),
    ("budget_reached", budget_reached),
    ("turn_over", turn_over),
)
"""First match wins; the last one always applies."""


def explain(facts: Facts) -> Said:
    """The first reason that applies."""
    for _, rule in REASONS:
        if said := rule(facts):
            return said
    raise AssertionError("the last rule always applies")
