"""The repositories of a session: which are still to be checked out, and what happens when one cannot be.

They are there before a turn's first model request. What fails is told as a `session.error`; what may
work soon is tried again like a failed model request, everything else in the next turn. When a turn
goes on without one, the model is told, so the session never waits for what does not come.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentstead.harness.evolve import evolve
from agentstead.harness.mounts import Skill
from agentstead.harness.permission import builtin_policy
from agentstead.harness.thread import Item, Thread

KEY = "repository"
"""Of the private part of a `session.error`."""


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository of a session."""

    id: str
    """Of the resource."""
    url: str
    path: str
    """Where it lies in the sandbox."""
    checkout: str
    """In words, e.g. `branch main`."""
    ready: bool = False
    """It lies there, or did: the agent may have moved it."""
    skills: tuple[Skill, ...] = ()
    """Found in it when it was checked out."""


@dataclass(frozen=True, slots=True)
class Attempts:
    """What became of a repository since the session was last idle."""

    failures: int
    retry_at: float | None
    """None: this turn goes on without it."""


def due(
    repositories: Sequence[Repository], attempts: Mapping[str, Attempts]
) -> tuple[Repository, float] | None:
    """The next one to be checked out, and not before when: one after the other."""
    for one in repositories:
        tried = attempts.get(one.id)
        if one.ready or (tried is not None and tried.retry_at is None):
            continue
        return one, 0.0 if tried is None else tried.retry_at or 0.0
    return None


def with_hands(thread: Thread, offered: Sequence[str]) -> bool:
    """Whether the thread's agent has any tool that sees a file."""
    return any(builtin_policy(thread.agent["tools"], name) for name in offered)


def after(
    attempts: Mapping[str, Attempts], threads: Mapping[str, Thread], kept: Mapping[str, Any]
) -> dict[str, Any]:
    """What a failure changes in a state: the attempts, and what the models asked next are told."""
    changes: dict[str, Any] = {
        "attempted": {**attempts, kept["id"]: Attempts(kept["failures"], kept["retry_at"])}
    }
    if "note" in kept:
        item = Item("system", ({"type": "text", "text": kept["note"]},))
        changes["threads"] = {
            one.id: evolve(one, transcript=one.transcript.plus(item)) if one.before_request else one
            for one in threads.values()
        }
    return changes
