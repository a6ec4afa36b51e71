"""The contract of a tool: name, words, input schema, effect, and how it is run.

Permission, retry, time limits, audit and metrics are not here: every tool gets them alike from
`harness/permission.py` and `worker/run_tools.py`.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from agentstead.sandbox.sandbox import Outcome, Sandbox, SandboxSpec


class Effect(StrEnum):
    """What a call may change."""

    READ = "read"
    WRITE = "write"
    DELETE = "delete"
    SEND = "send"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call, with the place it runs in."""

    id: str
    """The tool-use event's id: the once-only key."""
    session_id: str
    input: Mapping[str, Any]
    sandbox: Sandbox
    spec: SandboxSpec


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool the model may call."""

    name: str
    description: str
    """What the model reads; from the `.md` file beside the tool."""
    input_schema: Mapping[str, Any]
    effect: Effect
    run: Callable[[ToolCall], Awaitable[Outcome]]
