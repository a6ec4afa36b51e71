"""The packages of a session's environment: begun when the session starts to work, waited for by the first
call that needs the sandbox.

Packages that cannot be installed end nothing: the client is told once per running period, with the
installer's last lines, the model with the result of the call that waited, and the agent goes on
without them. The next running period tries again.
"""

from dataclasses import dataclass

from agentstead.errors import SandboxFault
from agentstead.harness.state import State
from agentstead.sandbox.sandbox import Prepared
from agentstead.wire.events.stored import Draft
from agentstead.worker.world import World

TOOLSET = "agent_toolset_20260401"
NOWHERE = Prepared()
TROUBLE = "packages"
"""Under which it is remembered, until the session is idle, that this was told."""


@dataclass(frozen=True, slots=True)
class Installed:
    """What a call gets."""

    where: Prepared = NOWHERE
    """Where they are on this host."""
    note: str = ""
    """What the model has to know beside the call's result."""
    troubles: tuple[Draft, ...] = ()


def begin(world: World, state: State) -> None:
    """Have them installed while the model still thinks, where there are tools that may need them."""
    if any(tool["type"] == TOOLSET for tool in state.agent["tools"]):
        world.packages.begin(state.environment)


async def installed(world: World, state: State, thread_id: str) -> Installed:
    """Wait for them, unless it was said already that they are not there."""
    wait = TROUBLE not in state.told
    try:
        return Installed(await world.packages.prepared(state.environment, wait=wait))
    except SandboxFault as fault:
        error = {
            "type": "unknown_error",
            "message": (
                f"The packages of the environment are not installed. {fault.message}\nThe agent goes on "
                "without them; its next turn tries again."
            ),
            "retry_status": {"type": "retrying"},
        }
        note = f"[The packages of this environment are not installed. {fault.message}]"
        private = {"told": TROUBLE}
        told = Draft("session.error", thread_id, {"error": error}, private)
        return Installed(note=note, troubles=(told,) if wait else ())
