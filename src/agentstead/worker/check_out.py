"""Check a repository out before the model is asked; what goes wrong is told, and tried again or left.

What may work soon is tried again like a failed model request. What will not (a wrong token, a missing
branch) is tried again in the next turn: this one goes on without, and its model is told so.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from agentstead.errors import RepositoryFault, SandboxFault
from agentstead.harness import retry
from agentstead.harness.mounts import Skill
from agentstead.harness.permission import builtin_policy
from agentstead.harness.repositories import KEY, Repository
from agentstead.harness.state import State
from agentstead.harness.steps import CheckOut
from agentstead.wire.events.stored import Draft
from agentstead.worker.limits import limits_for
from agentstead.worker.world import World

TOOL = "read"
"""Without it no skill can be read."""
GOES_ON = " The agent goes on without it until its next turn."
NOTE = "The repository {url} is not at {path}: {message} It is tried again before your next turn."


async def check_out(world: World, state: State, step: CheckOut) -> list[Draft]:
    """Do it; nothing is written when it works."""
    limits = limits_for(state, world.limits)
    try:
        with suppress(SandboxFault):  # the first tool call tells it
            await world.checkpoints.current(state.session_id)
        await world.repositories.check_out(state.session_id, step.repository_id, limits)
    except RepositoryFault as fault:
        return [failed(state, step, fault, max(world.clock.now(), state.last_at))]
    return []


def failed(state: State, step: CheckOut, fault: RepositoryFault, now: float) -> Draft:
    """The `session.error` of a failed attempt, and what the harness is to know of it."""
    repository = next(one for one in state.repositories if one.id == step.repository_id)
    before = state.attempted.get(repository.id)
    failures = 1 if before is None else before.failures + 1
    again = retry.tries_again(state.retry, failures, retryable=fault.retryable)
    wait = retry.delay_seconds(state.retry, failures, None, repository.id)
    kept = {"id": repository.id, "failures": failures, "retry_at": now + wait if again else None}
    if not again:
        about = {"url": repository.url, "path": repository.path, "message": fault.message}
        kept["note"] = NOTE.format(**about)
    error = {
        "type": f"repository_{fault.kind}_error",
        "message": fault.message if again else f"{fault.message}{GOES_ON}",
        "repository_url": repository.url,
        "retry_status": {"type": "retrying"},
    }
    return Draft("session.error", step.thread_id, {"error": error}, {KEY: kept})


def at_start(repositories: Sequence[Repository]) -> list[str]:
    """The part of the system prompt, if there is anything to say."""
    if not repositories:
        return []
    listed = "\n".join(f"- {one.path}: {one.url} ({one.checkout})" for one in repositories)
    return [
        "These Git repositories are checked out for you; they are yours to change and commit to:\n"
        f"{listed}"
    ]


def skills(
    repositories: Sequence[Repository], tools: Sequence[Mapping[str, Any]]
) -> tuple[Skill, ...]:
    """The skills that repositories bring along, for an agent with these tools."""
    if not builtin_policy(tools, TOOL):
        return ()
    return tuple(skill for one in repositories for skill in one.skills)
