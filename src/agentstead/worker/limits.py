"""What a session's sandbox is made of and may use: what its environment says, else the platform's default."""

from dataclasses import replace

from agentstead.harness.state import State
from agentstead.sandbox.sandbox import Limits


def limits_for(state: State, defaults: Limits) -> Limits:
    """The limits of this session's sandbox."""
    own = (state.environment.get("agentstead") or {}).get("limits") or {}
    limits = replace(defaults, **own)
    return replace(limits, call_seconds_max=max(limits.call_seconds_max, limits.call_seconds))


def image_for(state: State) -> str:
    """The image of this session's sandbox, as it was when the session was made; empty: none."""
    return str((state.environment.get("agentstead") or {}).get("image") or "")
