"""What the model has been told of the files that are mounted for it.

What lay there before its first message stands in the system prompt; each later change is a note before
the input that follows it. Both are kept with the input in the log, so that a conversation reads the
same for ever, whatever is attached and detached afterwards.
"""

from collections.abc import Mapping, Sequence
from typing import Any

KEY = "mounts"
"""Of the private part of input."""


def changes(told: Sequence[str], attached: Sequence[str]) -> Mapping[str, Any] | None:
    """What to keep with the next input; None when the model knows all."""
    if tuple(told) == tuple(attached):
        return None
    added = [path for path in attached if path not in told]
    removed = [path for path in told if path not in attached]
    return {KEY: {"added": added, "removed": removed}} if added or removed else None


def after(told: Sequence[str], kept: Mapping[str, Any]) -> tuple[str, ...]:
    """What the model knows after a change it was told of."""
    left = [path for path in told if path not in kept["removed"]]
    return (*left, *kept["added"])


def note(kept: Mapping[str, Any]) -> str:
    """The words before the input that follows a change."""
    lines = [f"Now mounted read-only: {path}" for path in kept["added"]]
    lines += [f"No longer mounted: {path}" for path in kept["removed"]]
    return "\n".join(lines)


def at_start(paths: Sequence[str]) -> list[str]:
    """The part of the system prompt, if there is anything to say."""
    if not paths:
        return []
    listed = "\n".join(f"- {path}" for path in paths)
    return [f"These files are mounted for you, read-only; copy one before you change it:\n{listed}"]
