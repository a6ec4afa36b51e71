"""What an update makes of a stored multiagent block."""

from typing import Any

import pytest

from agentstead.errors import Invalid
from agentstead.wire.multiagent import MEMBERS, OFF, ON, Members, merged, needs
from agentstead.wire.shape import validate

PINNED = {"type": "agent", "id": "agent_1", "version": 3}
STORED: dict[str, Any] = {
    "type": MEMBERS,
    "subagents": {
        "type": "enabled",
        "inline_agents": {"type": "disabled"},
        "predefined_agents": [PINNED],
    },
    "workflows": {"type": "disabled"},
    "advisor": {"type": "enabled", "model": "m"},
}


def block(stored: Any = None, **sent: Any) -> dict[str, Any]:
    return merged(stored, validate(Members, {"type": MEMBERS, **sent}))


def test_a_new_block_takes_the_defaults() -> None:
    whole = {"type": MEMBERS, "subagents": ON, "workflows": ON, "advisor": OFF}
    assert block() == whole
    assert block(subagents=None, workflows=None, advisor=None) == whole
    assert block(subagents={"type": "enabled"}) == whole
    assert block(subagents={"type": "enabled", "predefined_agents": None}) == whole


def test_what_an_update_omits_is_kept() -> None:
    assert block(STORED) == STORED
    assert block(STORED, subagents={"type": "enabled"}) == STORED
    assert block(STORED, workflows={"type": "disabled"}) == STORED
    inline = block(STORED, subagents={"type": "enabled", "inline_agents": {"type": "enabled"}})
    assert inline["subagents"] == {**STORED["subagents"], "inline_agents": {"type": "enabled"}}


def test_null_takes_the_default() -> None:
    after = block(STORED, subagents=None, workflows=None, advisor=None)
    assert (after["subagents"], after["workflows"], after["advisor"]) == (ON, ON, OFF)
    inline = block(STORED, subagents={"type": "enabled", "inline_agents": None})
    assert inline["subagents"]["inline_agents"] == {"type": "enabled"}
    assert inline["subagents"]["predefined_agents"] == [PINNED]


def test_another_type_replaces_and_takes_the_defaults() -> None:
    after = block(STORED, subagents={"type": "disabled"}, workflows={"type": "enabled"})
    assert (after["subagents"], after["workflows"]) == (OFF, ON)
    assert after["advisor"] == STORED["advisor"]
    assert block(after, subagents={"type": "enabled"})["subagents"] == ON


def test_a_list_that_is_sent_replaces() -> None:
    after = block(STORED, subagents={"type": "enabled", "predefined_agents": ["agent_2"]})
    assert after["subagents"]["predefined_agents"] == ["agent_2"]


# Checked on the merged result: the list that is cleared was all there was to start.
@pytest.mark.parametrize("cleared", [[], None])
def test_something_must_be_left_to_start(cleared: Any) -> None:
    with pytest.raises(Invalid, match=r"multiagent\.subagents\.predefined_agents: With inline"):
        block(STORED, subagents={"type": "enabled", "predefined_agents": cleared})
    with pytest.raises(Invalid, match=r"multiagent\.workflows\.predefined_agents: With inline"):
        block(workflows={"type": "enabled", "inline_agents": {"type": "disabled"}})


def test_what_a_session_of_it_would_need() -> None:
    off = {"type": MEMBERS, "subagents": OFF, "workflows": OFF, "advisor": OFF}
    assert needs(None) is None
    assert needs(off) is None
    assert needs({**off, "subagents": ON}) == "threads for several agents"
    assert needs({**off, "workflows": ON}) == "workflow runs"
    assert needs({**off, "advisor": STORED["advisor"]}) == "advisors"
    assert needs({"type": "coordinator", "agents": [PINNED]}) == "threads for several agents"
