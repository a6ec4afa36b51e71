"""Whether a thread goes round in circles: the same call of the same tool fails in the same way.

Counted per call (tool and arguments) since somebody last said something or the turn ended: a call
that succeeds, or fails in another way, begins anew. The model is told once; when it goes on for as
long again, its turn ends.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from agentstead.harness.steps import Call

Failing = Mapping[str, tuple[str, int]]
"""Digest of a call → digest of its error, and how often in a row."""

PAUSES = frozenset({"requires_action", "budget_reached"})
"""Reasons of an idle after which the turn goes on."""


def after(
    failing: Failing, call: Call, blocks: Sequence[Mapping[str, Any]], *, is_error: bool
) -> Failing:
    """What is counted after this result."""
    key = digest([call.kind, call.shown, call.input])
    if not is_error:
        return {name: count for name, count in failing.items() if name != key}
    error = digest(list(blocks))
    known, times = failing.get(key, (error, 0))
    return {**failing, key: (error, times + 1 if known == error else 1)}


def times(failing: Failing, call: Call) -> int:
    """How often this call has failed in the same way."""
    return failing.get(digest([call.kind, call.shown, call.input]), ("", 0))[1]


def most(failing: Failing) -> int:
    """The longest row."""
    return max((count for _, count in failing.values()), default=0)


def note(number: int) -> Mapping[str, Any]:
    """What the model reads with the result."""
    text = (
        f"This call has failed {number} times in a row with the same arguments and the same error. "
        f"Do something else, or say what stands in the way: after {number} more such failures the "
        "turn is ended."
    )
    return {"type": "text", "text": text}


def digest(value: Any) -> str:
    """Of a JSON value; arguments may be long."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
