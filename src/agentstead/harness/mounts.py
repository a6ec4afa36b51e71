"""What the model has been told of the files and skills that are mounted for it.

What lay there before its first message stands in the system prompt; each later change is a note before
the input that follows it. Both are kept with the input in the log, so that a conversation reads the
same for ever, whatever is attached and detached afterwards.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentstead.wire.environment import self_hosted

KEY = "mounts"
"""Of the private part of input."""
SKILLS, WORKER_SKILLS = "/mnt/skills", "skills"
"""Folder of skills in a sandbox, and in the working directory of a self-hosted worker."""


@dataclass(frozen=True, slots=True)
class Skill:
    """A skill of a session."""

    name: str
    description: str
    folder: str = ""
    """Where it lies, when not where skills do."""


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


def skills(found: Sequence[Skill], environment: Mapping[str, Any]) -> list[str]:
    """The part of the system prompt on skills, if there are any."""
    if not found:
        return []
    folder = WORKER_SKILLS if self_hosted(environment) else SKILLS
    listed = "\n".join(
        f"- {a.name}: {a.description} ({a.folder or f'{folder}/{a.name}'}/SKILL.md)" for a in found
    )
    return [
        "You have skills: folders with instructions and files for particular tasks. Before "
        f"you begin a task that one is for, read its SKILL.md and follow it.\n{listed}"
    ]
