"""The first words between a supervisor and its runner, wherever the runner was started."""

from typing import Any

from agentstead.sandbox.supervisor.control import Supervisor
from agentstead.sandbox.supervisor.launch import Launched
from agentstead.sandbox.supervisor.limits import Control
from agentstead.sandbox.supervisor.place import Place
from agentstead.sandbox.supervisor.variables import variables

READY_SECONDS = 10.0
AGAIN = (
    "[the sandbox was started again: files are as they were,"
    " the shell's directory, variables and background processes are gone]"
)


class CannotStart(Exception):
    """The sandbox does not start; the message says why."""


def begin(place: Place, config: dict[str, Any], launched: Launched, control: Control) -> Supervisor:
    """A supervisor whose runner is ready for calls."""
    supervisor = Supervisor(place, config, launched, control)
    starts = place.meta().get("starts", 0)
    first = {
        **variables(config["env"]),
        "output_bytes": config["limits"]["output_bytes"],
        **control.left_to_runner(),
        "note": AGAIN if starts else "",
        "network": "elsewhere" if config.get("outlet") else bool(config.get("network")),
    }
    supervisor.inside.tell(first)
    if not config.get("passing"):
        # while bubblewrap works
        place.write_meta(starts=starts + 1)
    if not supervisor.wait_ready(READY_SECONDS):
        supervisor.end()
        if not config.get("passing"):
            place.write_meta(starts=starts)
        words = supervisor.inside.complaints.strip() or "it did not report in time"
        raise CannotStart(words)
    return supervisor
