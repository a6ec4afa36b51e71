"""Is this call allowed? Decides by the agent's tools; the tools themselves only obey."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TOOLSET = "agent_toolset_20260401"
BUILTINS = ("bash", "read", "write", "edit", "glob", "grep", "web_fetch", "web_search")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a call is and what may become of it."""

    kind: str
    """builtin | custom"""
    permission: str
    """allow | ask | deny"""
    evaluation: Mapping[str, Any] | None
    """As on the wire; None when the tool is not enabled, and for custom tools."""


def custom_tool(tools: Sequence[Mapping[str, Any]], name: str) -> Mapping[str, Any] | None:
    """The agent's custom tool of this name."""
    return next((tool for tool in tools if tool["type"] == "custom" and tool["name"] == name), None)


def builtin_policy(tools: Sequence[Mapping[str, Any]], name: str) -> Mapping[str, Any] | None:
    """The permission policy of a built-in tool; None when the agent does not have it."""
    if name not in BUILTINS:
        return None
    for tool in tools:
        if tool["type"] != TOOLSET:
            continue
        default = tool["default_config"]
        config = next((entry for entry in tool["configs"] if entry["name"] == name), default)
        if config["enabled"]:
            policy: Mapping[str, Any] = config["permission_policy"]
            return policy
    return None


def judge(tools: Sequence[Mapping[str, Any]], offered: Sequence[str], name: str) -> Verdict:
    """Decide on a call of `name`; `offered` are the built-in tools the model was shown."""
    if custom_tool(tools, name):
        return Verdict("custom", "allow", None)
    policy = builtin_policy(tools, name) if name in offered else None
    if policy is None:
        return Verdict("builtin", "deny", None)
    kind = policy["type"]
    if kind == "always_allow":
        return Verdict("builtin", "allow", {"type": "always_allow"})
    if kind == "always_ask":
        return Verdict("builtin", "ask", {"type": "always_ask"})
    undecided = {"type": "ask", "reason_code": "indeterminate"}
    return Verdict("builtin", "ask", {"type": "auto", "evaluated_permission": undecided})
