"""Where a tool call runs: on the platform, or with a client that answers for it (wire §7.10).

Custom tools always run with a client. On a self-hosted environment so do the tools that work in a
sandbox: the worker of that environment is the sandbox. Web tools and MCP servers stay here.
"""

from collections.abc import Mapping
from typing import Any

from agentstead.wire.environment import self_hosted

HANDS = frozenset({"bash", "read", "write", "edit", "glob", "grep"})
"""The tools that need a sandbox."""


def by_client(environment: Mapping[str, Any], kind: str, name: str) -> bool:
    """Whether a client runs this call; `kind` as in `Call`."""
    return kind == "custom" or (kind == "builtin" and name in HANDS and self_hosted(environment))
