"""Is this call allowed?"""

import pytest

from agentstead.harness.permission import Verdict, builtin_policy, judge
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


def test_what_this_platform_cannot_offer_is_denied():
    assert judge(TOOLS, (), "bash").permission == "deny"


def test_an_agent_without_the_toolset_has_no_built_in_tool():
    assert builtin_policy([LOOKUP], "bash") is None
    assert judge([LOOKUP], TOOLS_OFFERED, "bash").permission == "deny"
