"""A claimed session's state: read from the log, then folded."""

from agentstead.harness.evolve import evolve
from agentstead.harness.mounts import Skill
from agentstead.harness.permission import BUILTINS
from agentstead.harness.retry import RetryPolicy
from agentstead.harness.state import State, fold_all, initial
from agentstead.log.log import Lease, SessionRecord
from agentstead.prompt.context import ToolText
from agentstead.wire import resource
from agentstead.worker.limits import session_seconds_for, turn_seconds_for
from agentstead.worker.world import World


async def load(world: World, lease: Lease) -> State:
    """Read and fold. Raises LeaseLost."""
    record = await world.log.load(lease)
    named = record.agent.get("skills")
    skills = await world.skills.of(lease.session_id) if named else ()
    state = from_record(world, record, skills)
    if any(one["type"] == "github_repository" for one in record.resources):
        state = evolve(state, repositories=await world.repositories.of(lease.session_id))
    return state


def from_record(world: World, record: SessionRecord, skills: tuple[Skill, ...] = ()) -> State:
    """The state of a session as it was read."""
    state = initial(
        session_id=record.session_id,
        primary_id=record.primary_thread_id,
        agent=record.agent,
        environment=record.environment,
        created_at=record.created_at,
        offered=tuple(name for name in BUILTINS if name in world.tools),
        retry=RetryPolicy(
            retries_max=world.pace.retries_max,
            first_seconds=world.pace.retry_first_seconds,
            max_seconds=world.pace.retry_max_seconds,
        ),
        attempts=record.attempts,
        attempts_max=world.pace.attempts_max,
        budget=record.budget,
        skills=skills,
        vaults=bool(record.vault_ids),
        session_seconds=session_seconds_for(record.environment, world.pace.session_seconds),
        repeats_max=world.pace.repeats_max,
    )
    state = evolve(
        state, turn_seconds=turn_seconds_for(record.environment, world.pace.turn_seconds)
    )
    state = fold_all(state, record.events).with_inbox(record.inbox)
    files = resource.files_of(record.resources)
    return evolve(state, attached=files, stopped=record.stopped, budgeted=record.budgeted)


def tool_texts(world: World) -> dict[str, ToolText]:
    """What models are told of the built-in tools."""
    return {
        name: ToolText(tool.description, tool.input_schema) for name, tool in world.tools.items()
    }
