"""Why a session is in its state, by example."""

from typing import Any

import pytest

from agentstead.log.log import Ask, SessionRow
from agentstead.resources.why import explain, not_installed, not_offered

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


# the design: in one answer, why, since when, waiting for whom.
@pytest.mark.parametrize(
    ("session", "tail", "waits", "since"),
    [
        (row("idle"), [], "client", 990.0),
        (row("idle", "end_turn"), [], "client", 990.0),
        (row("idle", "something_new"), [], "client", 990.0),
        (row("running", wake_at=950.0), [], "worker", 950.0),
        (row("running", wake_at=950.0, lease_owner="w", lease_until=980.0), [START], "worker", 950.0),
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
    found = explain(session, tail, NOW)
    assert found["waiting_for"]["type"] == waits
    assert found["since"].startswith(f"1970-01-01T00:{int(since) // 60:02}:{int(since) % 60:02}")
    assert found["reason"].endswith(".")
    assert found["next_action"].endswith(".")


def test_a_waiting_session_names_its_asks() -> None:
    asks = (Ask("sevt_1", "confirmation", "t"), Ask("sevt_2", "custom", "t"))
    found = explain(row("idle", "requires_action", asks=asks), [], NOW)
    assert found["waiting_for"] == {
        "type": "client",
        "event_ids": ["sevt_1", "sevt_2"],
        "kinds": {"sevt_1": "confirmation", "sevt_2": "custom"},
    }


def test_tools_that_are_not_there_yet_are_named() -> None:
    policy = {"type": "always_allow"}
    toolset = {
        "type": "agent_toolset_20260401",
        "default_config": {"enabled": False, "permission_policy": policy},
        "configs": [{"name": "web_fetch", "enabled": True}],
    }
    mcp = {"type": "mcp_toolset", "mcp_server_name": "docs"}
    assert [one["name"] for one in not_offered([toolset, mcp])] == ["web_fetch", "docs"]


def test_packages_that_are_not_installed_are_named() -> None:
    config = {"type": "cloud", "packages": {"type": "packages", "apt": [], "pip": ["pandas"]}}
    (entry,) = not_installed(config)
    assert entry["name"] == "pip:pandas"
    assert "not available yet" in entry["reason"]
    assert not_installed({"type": "self_hosted"}) == []
