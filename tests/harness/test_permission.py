"""Is this call allowed?"""

import pytest

from agentstead.harness.permission import (
    ALLOWED,
    HIGH_RISK,
    UNDECIDED,
    Verdict,
    builtin_policy,
    is_judged,
    judge,
)
from agentstead.harness.servers import ServerTool
from tests.simulation.scenarios import LOOKUP, TOOLS_OFFERED, TOOLSET

TOOLS = [TOOLSET, LOOKUP]


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("bash", Verdict("builtin", "allow", {"type": "always_allow"})),
        ("write", Verdict("builtin", "ask", {"type": "always_ask"})),
        ("glob", Verdict("builtin", "deny", None)),
        ("web_fetch", Verdict("builtin", "deny", None)),
        ("nothing", Verdict("builtin", "deny", None)),
        ("lookup", Verdict("custom", "allow", None)),
        (
            "edit",
            Verdict(
                "builtin",
                "ask",
                {
                    "type": "auto",
                    "evaluated_permission": {"type": "ask", "reason_code": "indeterminate"},
                },
            ),
        ),
    ],
)
def test_verdicts(name, verdict):
    assert judge(TOOLS, TOOLS_OFFERED, name) == verdict


@pytest.mark.parametrize(
    ("judgement", "said"),
    [
        (ALLOWED, {"type": "allow"}),
        (UNDECIDED, {"type": "ask", "reason_code": "indeterminate"}),
        (HIGH_RISK, {"type": "deny", "reason_code": "high_risk"}),
    ],
)
def test_a_judgement_counts_under_auto_and_nowhere_else(judgement, said):
    verdict = judge(TOOLS, TOOLS_OFFERED, "edit", None, judgement)
    assert is_judged(verdict)
    assert verdict.permission == said["type"]
    assert verdict.evaluation == {"type": "auto", "evaluated_permission": said}
    for name in ("bash", "write", "glob", "nothing", "lookup"):
        verdict = judge(TOOLS, TOOLS_OFFERED, name, None, judgement)
        assert verdict == judge(TOOLS, TOOLS_OFFERED, name)
        assert not is_judged(verdict)


def test_tools_of_servers_are_judged_too():
    policy = {"enabled": True, "permission_policy": {"type": "auto"}}
    tools = [
        {"type": "mcp_toolset", "mcp_server_name": "docs", "default_config": policy, "configs": []}
    ]
    tool = ServerTool("docs", "find", "Finds.", {"type": "object"})
    assert judge(tools, (), "docs_find", tool, HIGH_RISK).permission == "deny"
    assert judge(tools, (), "docs_find", tool, ALLOWED).kind == "mcp"


def test_what_this_platform_cannot_offer_is_denied():
    assert judge(TOOLS, (), "bash").permission == "deny"


def test_an_agent_without_the_toolset_has_no_built_in_tool():
    assert builtin_policy([LOOKUP], "bash") is None
    assert judge([LOOKUP], TOOLS_OFFERED, "bash").permission == "deny"
