"""How calls end that no tool ended, and what is replied for a call that the journal knows."""

from typing import Any

CANCELLED: dict[str, Any] = {
    "content": [{"type": "text", "text": "The call was cancelled."}],
    "is_error": True,
}


def answer(state: str, outcome: Any) -> dict[str, Any]:
    """The reply for a call that is known to the journal."""
    if state == "done":
        return {"outcome": outcome}
    return {"outcome": CANCELLED} if state == "cancelled" else {"unknown": True}


def failure(text: str) -> dict[str, Any]:
    """An outcome that says what went wrong."""
    return {"content": [{"type": "text", "text": text}], "is_error": True}
