"""Is this call allowed? Decides by the agent's tools; the tools themselves only obey."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentstead.harness import servers
from agentstead.harness.servers import ServerTool

TOOLSET = "agent_toolset_20260401"
BUILTINS = ("bash", "read", "write", "edit", "glob", "grep", "web_fetch", "web_search")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a call is and what may become of it."""

    kind: str
    """builtin | mcp | custom"""
    permission: str
    """allow | ask | deny"""
    evaluation: Mapping[str, Any] | None
    """As on the wire; None when the tool is not enabled, and for custom tools."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a judge says of one call under the policy `auto`."""

    permission: str
    """allow | ask | deny"""
    reason_code: str | None = None


ALLOWED = Judgement("allow")
UNDECIDED = Judgement("ask", "indeterminate")
"""Also when there is no judge, or it did not answer."""
HIGH_RISK = Judgement("deny", "high_risk")


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


def judge(
    tools: Sequence[Mapping[str, Any]],
    offered: Sequence[str],
    name: str,
    server_tool: ServerTool | None = None,
    judgement: Judgement = UNDECIDED,
) -> Verdict:
    """Decide on a call of `name`; `offered` are the built-in tools the model was shown.

    `server_tool`: what the name stands for, when it is that of an MCP server's tool. `judgement`
    counts under `auto` only.
    """
    if server_tool is not None:
        policy = servers.policy(tools, server_tool.server, server_tool.name)
        return verdict("mcp", policy, judgement)
    if custom_tool(tools, name):
        return Verdict("custom", "allow", None)
    policy = builtin_policy(tools, name) if name in offered else None
    return verdict("builtin", policy, judgement)


def verdict(kind: str, policy: Mapping[str, Any] | None, judgement: Judgement) -> Verdict:
    """What a policy says; None: the tool is not enabled."""
    if policy is None:
        return Verdict(kind, "deny", None)
    if policy["type"] == "always_allow":
        return Verdict(kind, "allow", {"type": "always_allow"})
    if policy["type"] == "always_ask":
        return Verdict(kind, "ask", {"type": "always_ask"})
    said = {"type": judgement.permission}
    if judgement.reason_code is not None:
        said["reason_code"] = judgement.reason_code
    return Verdict(kind, judgement.permission, {"type": "auto", "evaluated_permission": said})


def is_judged(verdict: Verdict) -> bool:
    """Whether a judge is to be asked about the call."""
    return verdict.evaluation is not None and verdict.evaluation["type"] == "auto"
