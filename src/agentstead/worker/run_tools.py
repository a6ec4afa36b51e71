"""Run tool calls, and make sure that they have ended. Once-only execution is the sandbox's promise."""

from typing import Any

from agentstead.errors import Fault, SandboxFault, StoreFault
from agentstead.harness.state import State
from agentstead.harness.steps import Call, CancelTools
from agentstead.sandbox.sandbox import Mount, Outcome, SandboxSpec, Upload
from agentstead.tools.tool import ToolCall
from agentstead.wire.events.stored import Draft
from agentstead.worker.limits import image_for, limits_for
from agentstead.worker.network import network_for
from agentstead.worker.packages import Installed, installed
from agentstead.worker.variables import variables_for
from agentstead.worker.world import World

LOST = SandboxFault("It was on another host.", kind="unknown")


async def run_tool(world: World, state: State, call: Call, *, lost: bool = False) -> list[Draft]:
    """Run one call; its result. Whatever goes wrong with the tool is a result too.

    `lost`: it may have begun on a host that cannot be asked; then it is not run.
    """
    tool = world.tools.get(call.name)
    packages = Installed()
    if lost:
        outcome = Outcome.text(explanation(LOST), is_error=True)
    elif tool is None:
        outcome = Outcome.text(f"There is no tool named {call.name} here.", is_error=True)
    else:
        packages = await installed(world, state, call.thread_id)
        try:
            await world.checkpoints.ready(state.session_id)
            variables = await variables_for(world, state)
            outcome = await tool.run(
                ToolCall(
                    id=call.id,
                    session_id=state.session_id,
                    input=call.input,
                    sandbox=world.sandbox,
                    spec=SandboxSpec(
                        limits=limits_for(state, world.limits),
                        mounts=await skill_mounts(world, state),
                        uploads=await uploads_for(world, state),
                        network=network_for(state, credentials=bool(variables)),
                        image=image_for(state),
                        env=variables,
                        packages=packages.where.packages,
                        layers=packages.where.layers,
                    ),
                )
            )
        except StoreFault as fault:
            if fault.retryable:
                raise
            outcome = Outcome.text(explanation(fault), is_error=True)
        except Fault as fault:
            outcome = Outcome.text(explanation(fault), is_error=True)
    fields: dict[str, Any] = {
        "tool_use_id": call.id,
        "content": [dict(block) for block in outcome.content],
        "is_error": outcome.is_error,
    }
    if packages.note:
        fields["content"].append({"type": "text", "text": packages.note})
    primary = call.thread_id == state.primary_id
    result = Draft("agent.tool_result", call.thread_id, fields, primary=primary)
    return [*packages.troubles, result]


async def uploads_for(world: World, state: State) -> tuple[Upload, ...]:
    """The files that lie in the sandbox; what is attached is looked at with each message."""
    return await world.files.uploads(state.session_id) if state.attached else ()


async def skill_mounts(world: World, state: State) -> tuple[Mount, ...]:
    """Where the session's skills lie; they are mounted when its sandbox starts."""
    return await world.skills.mounts(state.session_id) if state.skills else ()


def explanation(fault: Fault) -> str:
    """What the model is told of a fault of the platform's."""
    if isinstance(fault, SandboxFault):
        if fault.kind == "start":
            why = fault.message.removeprefix("The sandbox cannot start: ")
            return f"The sandbox could not be started: {why}"
        if fault.kind == "unknown":
            return (
                "The outcome of this call is not known: it was started, and the place where it ran "
                "was lost before it ended. It has not been run again. Look at what it may have "
                f"changed before you repeat it. ({fault.message})"
            )
    return f"The tool failed: {fault.message}"


async def cancel_tools(world: World, state: State, step: CancelTools) -> list[Draft]:
    """End these calls wherever they run, then give their results."""
    for call in step.calls:
        if call.kind == "mcp":  # ended with its task, which told the server
            continue
        await world.sandbox.cancel(state.session_id, call.id)
    return list(step.drafts)
