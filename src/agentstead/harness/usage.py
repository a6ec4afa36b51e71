"""Adding up tokens, and the two shapes in which the wire shows them (wire §12)."""

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


def on_wire(total: Mapping[str, int] | None, active_seconds: float) -> dict[str, Any]:
    """Session or thread usage as clients see it. No `list_cost`: nothing is priced."""
    base = total or {}
    return {
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
