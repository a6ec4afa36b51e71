"""What a session still waits for, once the answers that lie in its inbox are counted."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from agentstead.log.log import Ask

ANSWERS = ("user.tool_confirmation", "user.custom_tool_result", "user.tool_result")
"""Input that answers a call."""


def remaining(asks: Iterable[Ask], queued: Iterable[Mapping[str, Any]]) -> tuple[Ask, ...]:
    """The asks that no payload of `queued` (in order of arrival) has answered.

    A confirmation that allows a call of a self-hosted worker leaves its result to be awaited.
    """
    confirmed: dict[str, str] = {}
    resulted: set[str] = set()
    for payload in queued:
        if payload["type"] == "user.tool_confirmation":
            confirmed.setdefault(payload["tool_use_id"], payload["result"])
        elif payload["type"] in ANSWERS:
            resulted.add(payload.get("tool_use_id") or payload["custom_tool_use_id"])
    left = (after(ask, confirmed.get(ask.id), ask.id in resulted) for ask in asks)
    return tuple(ask for ask in left if ask is not None)


def after(ask: Ask, confirmed: str | None, resulted: bool) -> Ask | None:
    """One ask after its answers."""
    if ask.kind != "confirmation":
        return None if resulted else ask
    if confirmed is None:
        return ask
    if confirmed == "allow" and ask.result_follows and not resulted:
        return replace(ask, kind="tool", result_follows=False)
    return None
