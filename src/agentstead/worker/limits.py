"""What a session's sandbox is made of and may use: what its environment says, else the platform's default."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from agentstead.harness.state import State
from agentstead.sandbox.sandbox import Limits

SESSION, TURN = "session_seconds", "turn_seconds"
"""The limits that are the planner's to keep, not the sandbox's."""


def own_limits(environment: Mapping[str, Any]) -> Mapping[str, Any]:
    """What an environment itself sets."""
    return (environment.get("agentstead") or {}).get("limits") or {}


def session_seconds_for(environment: Mapping[str, Any], default: float) -> float | None:
    """How long a session may run in all; None: for ever."""
    seconds: float = own_limits(environment).get(SESSION) or default
    return seconds or None


def turn_seconds_for(environment: Mapping[str, Any], default: float) -> float | None:
    """How long one of its turns may run; None: for ever."""
    seconds: float = own_limits(environment).get(TURN) or default
    return seconds or None


def limits_for(state: State, defaults: Limits) -> Limits:
    """The limits of this session's sandbox."""
    own = dict(own_limits(state.environment))
    for name in (SESSION, TURN):
        own.pop(name, None)
    limits = replace(defaults, **own)
    return replace(limits, call_seconds_max=max(limits.call_seconds_max, limits.call_seconds))


def image_for(state: State) -> str:
    """The image of this session's sandbox, as it was when the session was made; empty: none."""
    return str((state.environment.get("agentstead") or {}).get("image") or "")
