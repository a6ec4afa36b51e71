"""What `/why` says besides the reason."""

from datetime import UTC, datetime
from typing import Any

from agentstead.resources.why.facts import Facts
from agentstead.resources.why.notices import not_offered, noticed, unreachable
from agentstead.wire.events.stored import Pending
from tests.resources.why.test_reasons import HELD, NOW, row


def notices(session: Any, **more: Any) -> dict[str, dict[str, Any]]:
    return {one["type"]: one for one in noticed(Facts(session, NOW, **more))}


def test_a_quiet_session_has_none() -> None:
    assert notices(row("idle", "end_turn")) == {}


def test_queued_input_says_when_it_is_taken_in() -> None:
    waits = [Pending("sevt_9", "user.message", None, {}, 1, 5.0)]
    running = notices(row("running", **HELD, inbox_count=1), queued=waits)["queued_input"]
    assert running["message"] == (
        "1 event sent by the client will be taken in between two model requests."
    )
    assert running["event_ids"] == ["sevt_9"]
    alone = notices(row("idle", "end_turn", inbox_count=2), queued=waits)["queued_input"]
    assert "instructions alone start no turn" in alone["message"]
    behind = notices(row("idle", "requires_action", inbox_count=2), queued=waits)["queued_input"]
    assert "once the open calls are answered" in behind["message"]
    due = notices(row("idle", "requires_action", inbox_count=1, wake_at=NOW), queued=waits)
    assert "as soon as a worker" in due["queued_input"]["message"]


def test_lost_workers_are_counted() -> None:
    assert notices(row("running", wake_at=950.0, attempts=3))["workers_lost"]["count"] == 3
    held = row("running", **HELD, attempts=3)
    assert notices(held)["workers_lost"]["count"] == 2
    assert notices(row("running", **HELD, attempts=1)) == {}


def test_a_lease_without_its_owner_is_told() -> None:
    gone = notices(row("running", **HELD), workers=frozenset({"worker_2"}))
    assert gone["owner_gone"]["owner"] == "worker_1"
    assert notices(row("running", **HELD), workers=frozenset({"worker_1"})) == {}


def test_a_used_up_budget_is_told_whatever_the_session_waits_for() -> None:
    budget = {"type": "limit", "max_list_cost": {"amount": "2", "currency": "USD"}}
    full = {"budget": budget, "list_cost": 2 * 10**10}
    (notice,) = notices(row("idle", "requires_action", **full)).values()
    assert notice["type"] == "budget_used_up"
    assert "2 of 2 cents" in notice["message"]
    assert (notice["budget"], notice["list_cost_cents"]) == (budget, "2")
    assert notices(row("idle", "end_turn", budget=budget, list_cost=1)) == {}
    assert notices(row("terminated", terminated_at=980.0, **full)) == {}


def test_what_became_of_its_files_is_told() -> None:
    at = datetime.fromtimestamp(NOW, UTC)
    kept: dict[str, Any] = dict.fromkeys(("trouble", "trouble_at", "restored", "restored_at"))
    idle = row("idle", "end_turn")
    assert notices(idle, sandbox=kept) == {}
    failed = notices(idle, sandbox={**kept, "trouble": "It is full.", "trouble_at": at})
    assert failed["checkpoint_failed"] == {
        "type": "checkpoint_failed",
        "message": "The latest checkpoint failed; the next turn tries again. It is full.",
        "at": "1970-01-01T00:16:40.000000Z",
    }
    again = notices(idle, sandbox={**kept, "restored": "it was made again", "restored_at": at})
    assert again["sandbox_restored"]["message"] == "It was made again."
    over = row("terminated", terminated_at=980.0)
    assert notices(over, sandbox={**kept, "restored": "it was", "restored_at": at}) == {}


def test_tools_that_are_not_there_yet_are_named() -> None:
    policy = {"type": "always_allow"}
    toolset = {
        "type": "agent_toolset_20260401",
        "default_config": {"enabled": False, "permission_policy": policy},
        "configs": [{"name": "web_fetch", "enabled": True}],
    }
    assert [one["name"] for one in not_offered([toolset])] == ["web_fetch"]


def failed(server: str) -> dict[str, Any]:
    error = {"type": "mcp_connection_failed_error", "mcp_server_name": server, "message": "No."}
    return {"type": "session.error", "error": error}


def test_servers_that_could_not_be_reached_in_the_latest_turn_are_named() -> None:
    idle = {"type": "session.status_idle"}
    tail = [idle, failed("docs"), failed("docs"), {"type": "agent.tool_use"}, idle, failed("old")]
    named = [{"name": "docs", "reason": "No."}]
    assert unreachable(Facts(row("idle", "end_turn"), NOW, tail)) == named
    assert unreachable(Facts(row("running", **HELD), NOW, tail[1:])) == named
    assert unreachable(Facts(row("idle", "end_turn"), NOW, tail[4:])) == [
        {**named[0], "name": "old"}
    ]
    assert unreachable(Facts(row("running", **HELD), NOW, tail[3:])) == []
