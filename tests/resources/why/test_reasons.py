"""Why a session is in its state, by example."""

from typing import Any

import pytest

from agentstead.log.log import Ask, SessionRow, Stop
from agentstead.log.waiting import Place
from agentstead.resources.why.facts import Facts
from agentstead.resources.why.reasons import REASONS, explain
from agentstead.resources.why.work import WorkFacts

NOW = 1000.0


def row(status: str, reason: str | None = None, **more: Any) -> SessionRow:
    facts: dict[str, Any] = {
        "id": "sesn_1", "workspace_id": "w", "primary_thread_id": "t", "agent_id": "a",
        "agent_version": 1, "agent": {"model": {"id": "m"}}, "environment_id": "e",
        "environment": {}, "title": None, "metadata": {}, "resources": (), "vault_ids": (),
        "status": status, "stop_reason": None if reason is None else {"type": reason},
        "asks": (), "usage": {}, "stats": {}, "active_since": None, "created_at": 1.0,
        "updated_at": 1.0, "archived_at": None, "terminated_at": None, "head_seq": 1,
        "wake_at": None, "lease_owner": None, "lease_until": None, "attempts": 0,
        "last_event_at": 990.0, "inbox_count": 0, **more,
    }  # fmt: skip
    return SessionRow(**facts)


HELD = {"lease_owner": "worker_1", "lease_until": NOW + 5, "wake_at": 900.0}
START = {"type": "span.model_request_start", "id": "s1"}
END = {"type": "span.model_request_end", "id": "s2"}
USE = {"type": "agent.tool_use", "id": "c1", "name": "bash"}
DONE = {"type": "agent.tool_result", "id": "r1", "tool_use_id": "c1"}


def said(session: SessionRow, tail: Any = (), workers: Any = ("worker_1",)) -> dict[str, Any]:
    return explain(Facts(session, NOW, tail, workers=frozenset(workers))).answer()


# the design: in one answer, why, since when, waiting for whom.
@pytest.mark.parametrize(
    ("session", "tail", "waits", "since"),
    [
        (row("idle"), [], "client", 990.0),
        (row("idle", "end_turn"), [], "client", 990.0),
        (row("idle", "something_new"), [], "client", 990.0),
        (row("running", wake_at=950.0), [], "worker", 950.0),
        (row("running", wake_at=950.0, lease_owner="w", lease_until=980.0), [START], "worker", 980.0),
        (row("running", **HELD), [START], "model", 990.0),
        (row("running", **HELD), [START, END, USE, DONE][::1], "model", 990.0),
        (row("running", **HELD), [END, USE, START], "tool", 990.0),
        (row("running", **HELD), [DONE, END, USE, START], "worker", 990.0),
        (row("rescheduling", wake_at=NOW + 9), [END, START], "retry", 990.0),
        (row("terminated", terminated_at=980.0), [], "nothing", 980.0),
        (row("terminated", terminated_at=980.0, archived_at=985.0), [], "nothing", 985.0),
    ],
)  # fmt: skip
def test_each_state_has_its_reason(
    session: SessionRow, tail: Any, waits: str, since: float
) -> None:
    found = said(session, tail)
    assert found["waiting_for"]["type"] == waits
    assert found["since"].startswith(f"1970-01-01T00:{int(since) // 60:02}:{int(since) % 60:02}")
    assert found["reason"].endswith(".")
    assert found["next_action"].endswith(".")


def test_a_judge_may_be_what_a_model_request_waits_for() -> None:
    policy = {"permission_policy": {"type": "auto"}}
    tools = [{"type": "custom", "name": "order"}, {"default_config": policy, "configs": []}]
    judged = row("running", agent={"model": {"id": "m"}, "tools": tools}, **HELD)
    answer = "The model m is answering, or the judge decides on its calls."
    assert said(judged, [START])["reason"] == answer
    plain = row("running", agent={"model": {"id": "m"}, "tools": tools[:1]}, **HELD)
    assert said(plain, [START])["reason"] == "The model m is answering."


def test_a_waiting_session_names_its_asks() -> None:
    asks = (Ask("sevt_1", "confirmation", "t"), Ask("sevt_2", "custom", "t"))
    uses = [
        {"type": "agent.custom_tool_use", "id": "sevt_2", "name": "order"},
        {"type": "agent.tool_use", "id": "sevt_1", "name": "bash"},
    ]
    found = said(row("idle", "requires_action", asks=asks), uses)
    waits = found["waiting_for"]
    assert waits["type"] == "client"
    assert waits["event_ids"] == ["sevt_1", "sevt_2"]
    assert waits["kinds"] == {"sevt_1": "confirmation", "sevt_2": "custom"}
    assert waits["answers"] == [
        {
            "event_id": "sevt_1", "kind": "confirmation", "tool": "bash", "session_thread_id": "t",
            "answer_with": "user.tool_confirmation", "who": "client",
        },
        {
            "event_id": "sevt_2", "kind": "custom", "tool": "order", "session_thread_id": "t",
            "answer_with": "user.custom_tool_result", "who": "client",
        },
    ]  # fmt: skip
    assert "user.custom_tool_result for a custom call" in found["next_action"]


def test_an_ended_session_says_by_which_error() -> None:
    error = {"type": "session.error", "id": "e1", "error": {"message": "No such model."}}
    ended = row("terminated", terminated_at=980.0)
    assert said(ended, [error])["reason"].endswith("cannot be retried: No such model.")
    archived = row("terminated", terminated_at=980.0, archived_at=985.0)
    assert said(archived, [error])["reason"].endswith("It had ended before: No such model.")
    at_once = row("terminated", terminated_at=985.0, archived_at=985.0)
    assert said(at_once)["reason"] == "It was archived."
    retried = said(row("rescheduling", wake_at=NOW + 9), [error])
    assert retried["reason"] == "A model request failed and is tried again: No such model."


def test_work_that_nobody_does_says_who_is_missing() -> None:
    due = row("running", wake_at=950.0)
    assert said(due, workers=())["reason"] == "It has work to do and no worker is running."
    assert "no worker has taken it yet" in said(due)["reason"]
    late = row("running", wake_at=950.0, lease_owner="worker_1", lease_until=990.0)
    assert "alive but does not renew" in said(late)["reason"]
    assert said(late)["waiting_for"] == {"type": "worker", "owner": "worker_1"}
    assert "is gone" in said(late, workers=("worker_2",))["reason"]


@pytest.mark.parametrize(
    ("place", "running_max", "because", "words"),
    [
        (Place(0, 2, 2, 500), 2, "workspace_running_max", "it comes next of its workspace"),
        (Place(1, 2, 2, 500), 2, "workspace_running_max", "1 other of its workspace comes before"),
        (Place(3, 2, 9, 9), 5, "workers_full", "3 others of its workspace come before it"),
        (Place(3, 2, 9, 9), 0, "workers_full", "with 9 of 9 sessions"),
        (Place(0, 1, 1, 500), 2, None, "no worker has taken it yet"),
        (Place(0, 1, 1, None), 0, None, "no worker has taken it yet"),
    ],
)
def test_a_waiting_session_says_what_for(
    place: Place, running_max: int, because: str | None, words: str
) -> None:
    due = row("running", wake_at=950.0)
    facts = Facts(due, NOW, (), workers=frozenset({"w"}), place=place, running_max=running_max)
    found = explain(facts).answer()
    assert words in found["reason"]
    assert found["waiting_for"].get("because") == because
    assert found["waiting_for"]["position"] == place.ahead + 1


def test_since_is_the_time_of_the_event_that_began_it() -> None:
    began = {**USE, "processed_at": "1970-01-01T00:16:20Z"}
    assert said(row("running", **HELD), [began])["since"].startswith("1970-01-01T00:16:20")
    rested = {"type": "session.status_idle", "id": "i", "processed_at": "1970-01-01T00:16:10Z"}
    assert said(row("idle", "end_turn"), [rested])["since"].startswith("1970-01-01T00:16:10")


def test_a_call_that_waits_for_the_client_is_not_a_call_that_runs() -> None:
    waiting = row("running", **HELD, asks=(Ask("c1", "confirmation", "t"),))
    assert said(waiting, [USE])["waiting_for"]["type"] == "worker"


BUDGET = {"type": "limit", "max_list_cost": {"amount": "25", "currency": "USD"}}


@pytest.mark.parametrize(
    ("cost", "cents", "words"),
    [
        (251_234_000_000, "25.1234", "25.1234 of 25 cents"),
        (250_000_000_000, "25", "25 of 25 cents"),
        (None, None, "a model without a list price was used"),
    ],
)
def test_a_session_at_its_budget_names_cost_and_cap(
    cost: int | None, cents: str | None, words: str
) -> None:
    found = said(row("idle", "budget_reached", budget=BUDGET, list_cost=cost))
    assert words in found["reason"]
    assert found["waiting_for"] == {"type": "budget", "budget": BUDGET, "list_cost_cents": cents}
    assert "budget null" in found["next_action"]


def test_every_rule_has_its_name_once() -> None:
    names = [name for name, _ in REASONS]
    assert len(names) == len(set(names))
    assert all(rule.__name__ == name for name, rule in REASONS)


# work queue: who has the session, or since when nobody polls.


def hosted(**more: Any) -> dict[str, Any]:
    session = row("idle", "requires_action", asks=(Ask("c1", "tool", "t"),))
    return explain(Facts(session, NOW, [USE], work=WorkFacts("env_1", **more))).answer()


def item(state: str, **more: Any) -> dict[str, Any]:
    times = {"acknowledged_at": "10:00", "heartbeat_at": "10:01", "reason": None}
    return {"id": "work_1", "state": state, "worker_id": "rack-1", **times, **more}


@pytest.mark.parametrize(
    ("facts", "reason", "action"),
    [
        ({"item": item("queued")}, "nobody has polled its queue lately", "--environment env_1"),
        ({"item": item("queued"), "polled_at": "09:00"}, "nobody polls its queue since 09:00", "Start"),
        ({"item": item("queued"), "polling": 2}, "waits for a worker of environment env_1: 2 poll", "Wait"),
        ({"item": item("starting")}, "Worker rack-1 of environment env_1 took it at 10:00", "Wait"),
        ({"item": item("active")}, "has it; its last heartbeat came 10:01", "Wait"),
        ({"item": item("stopping", reason="R.")}, "was asked to stop: R.", "Wait"),
        ({"item": item("stopped", reason="R.")}, "not offered to the workers of environment env_1. R.", "user.interrupt"),
        ({}, "not offered", "user.interrupt"),
        ({"environment": "archived", "item": item("queued")}, "which is archived: nobody", "user.tool_result"),
        ({"environment": "deleted"}, "which is deleted: nobody", "user.tool_result"),
    ],
)  # fmt: skip
def test_it_is_said_who_has_a_self_hosted_session(
    facts: dict[str, Any], reason: str, action: str
) -> None:
    found = hosted(**facts)
    assert reason in found["reason"]
    assert action in found["next_action"]
    waits = found["waiting_for"]
    assert waits["type"] == "self_hosted_worker"
    assert waits["environment_id"] == "env_1"
    assert waits["answers"][0]["answer_with"] == "user.tool_result"


def test_a_stop_comes_before_everything_that_could_go_on() -> None:
    stop = Stop("stop_1", "w", "It ran wild.", 980.0, "apikey_1")
    facts = Facts(row("running", **HELD), NOW, [START], stop=stop)
    answer = explain(facts).answer()
    assert "It ran wild." in answer["reason"]
    assert "is being ended" in answer["reason"]
    assert answer["waiting_for"]["type"] == "operator"
    assert "agentstead stop --lift stop_1" in answer["next_action"]
    ended = explain(Facts(row("terminated", terminated_at=1.0), NOW, stop=stop)).answer()
    assert ended["waiting_for"]["type"] == "nothing"
