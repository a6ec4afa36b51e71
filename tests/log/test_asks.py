"""What is still awaited when answers lie in the inbox."""

from typing import Any

from agentstead.log.asks import remaining
from agentstead.log.log import Ask

ASK = Ask("sevt_1", "confirmation", "sthr_1")
WORKERS_ASK = Ask("sevt_1", "confirmation", "sthr_1", result_follows=True)
TOOL = Ask("sevt_1", "tool", "sthr_1")
CUSTOM = Ask("sevt_1", "custom", "sthr_1")


def confirmed(result: str, call: str = "sevt_1") -> dict[str, Any]:
    return {"type": "user.tool_confirmation", "tool_use_id": call, "result": result}


def ran(call: str = "sevt_1") -> dict[str, Any]:
    return {"type": "user.tool_result", "tool_use_id": call}


def test_a_confirmation_ends_an_ask() -> None:
    assert remaining([ASK], []) == (ASK,)
    assert remaining([ASK], [confirmed("allow", "sevt_2")]) == (ASK,)
    assert remaining([ASK], [confirmed("allow")]) == ()
    assert remaining([ASK], [confirmed("deny")]) == ()


def test_an_allowed_call_of_a_worker_awaits_its_result() -> None:
    assert remaining([WORKERS_ASK], [confirmed("allow")]) == (TOOL,)
    assert remaining([WORKERS_ASK], [confirmed("allow"), ran()]) == ()
    assert remaining([WORKERS_ASK], [confirmed("deny")]) == ()
    assert remaining([WORKERS_ASK], [confirmed("allow"), confirmed("deny")]) == (TOOL,)


def test_results_end_tools() -> None:
    assert remaining([TOOL], []) == (TOOL,)
    assert remaining([TOOL], [ran()]) == ()
    answer = {"type": "user.custom_tool_result", "custom_tool_use_id": "sevt_1"}
    assert remaining([CUSTOM], [answer]) == ()
    assert remaining([CUSTOM], [{"type": "user.message"}]) == (CUSTOM,)
