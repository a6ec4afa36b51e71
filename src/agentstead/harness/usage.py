"""Adding up tokens, and the shape in which the wire shows them (wire §12)."""

from collections.abc import Mapping
from typing import Any

COUNTS = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_5m_input_tokens",
    "cache_creation_1h_input_tokens",
)


def add(total: Mapping[str, int] | None, request: Mapping[str, Any]) -> dict[str, int]:
    """`total` plus one model request's counts."""
    base = total or {}
    return {name: base.get(name, 0) + int(request.get(name) or 0) for name in COUNTS}


def on_wire(
    total: Mapping[str, int] | None,
    active_seconds: float,
    list_cost: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Session or thread usage as clients see it; `list_cost` only where there is one."""
    base = total or {}
    shown = {
        "input_tokens": base.get("input_tokens", 0),
        "output_tokens": base.get("output_tokens", 0),
        "cache_read_input_tokens": base.get("cache_read_input_tokens", 0),
        "cache_creation": {
            "ephemeral_5m_input_tokens": base.get("cache_creation_5m_input_tokens", 0),
            "ephemeral_1h_input_tokens": base.get("cache_creation_1h_input_tokens", 0),
        },
        "server_tool_use": {"web_search_requests": 0, "web_fetch_requests": 0},
        "active_seconds": round(active_seconds, 3),
    }
    return shown if list_cost is None else {**shown, "list_cost": dict(list_cost)}
