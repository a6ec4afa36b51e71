"""The supervisor as a container's main process: it starts the runner here, or waits for the one that a
container beside this one starts. Its first line on standard output says whether the sandbox runs."""

import ctypes
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

from agentstead.sandbox.guest.bounds import engine_control
from agentstead.sandbox.guest.place import AGENT_UID, BUNDLE, CONFIG, guest_place
from agentstead.sandbox.supervisor.begin import CannotStart, begin
from agentstead.sandbox.supervisor.launch import Launched, prepare

MEETING = Path("/agentstead-meet/runner.sock")
"""Where the runner of another container comes to, once."""
OVER = MEETING.with_name("over")
"""Is there once nobody wants the sandbox any more: its containers are not to be started again."""
MEET_SECONDS = 60.0
PR_CAPBSET_DROP = 24
CAPS = 64


class Apart(Launched):
    """A runner in a container of its own."""

    def end(self) -> None:
        """It goes when nobody talks to it any more."""
        self.channel.close()


def keep(*, apart: bool) -> int:
    """Keep the sandbox until it ends; not 0 when it should be started again."""
    config = json.loads(os.environ.pop(CONFIG))
    os.umask(0o022)
    place = guest_place(config["sandbox_id"])
    place.make()
    if place.lock() is None:
        report({"ok": False, "error": "another supervisor keeps this sandbox"})
        return 0
    try:
        place.make_files(AGENT_UID)
        control = engine_control(config["limits"], shared=not apart)
        launched = meet() if apart else launch_here(config["limits"])
        supervisor = begin(place, config, launched, control)
    except (CannotStart, OSError) as error:
        report({"ok": False, "error": str(error)})
        return 1
    try:
        supervisor.serve(lambda: report({"ok": True, "limits": control.kind}))
        if apart and not supervisor.lost:
            OVER.touch()
    finally:
        supervisor.end()
    return int(supervisor.lost)


def launch_here(limits: dict[str, Any]) -> Launched:
    """Start the runner as the agent's user, without any privilege."""
    if os.geteuid() != 0:
        raise CannotStart("the supervisor of this container is not its root, so nothing keeps the agent from its journal")  # fmt: skip
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    log, log_in = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            drop_bounds()
            prepare({theirs.fileno()}, log_in, AGENT_UID, limits)
            run(theirs.fileno())
        except OSError as error:
            os.write(log_in, f"cannot start the runner: {error}\n".encode())
        finally:
            os._exit(126)
    theirs.close()
    os.close(log_in)
    os.set_blocking(log, False)
    return Launched(pid, ours, log)


def run(channel: int) -> None:
    """Become the runner, on this descriptor."""
    words = [sys.executable, "-I", "-S", "-B", BUNDLE, "runner", str(channel)]
    os.execve(sys.executable, words, {})


def drop_bounds() -> None:
    """Let no program that starts from here ever have a capability again."""
    libc = ctypes.CDLL(None)
    for number in range(CAPS):
        libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0)


def meet() -> Launched:
    """The runner that comes from the container beside this one; CannotStart when none does."""
    for left in (MEETING, OVER):
        left.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(MEETING))
        MEETING.chmod(0o666)
        listener.listen(1)
        listener.settimeout(MEET_SECONDS)
        try:
            channel, _ = listener.accept()
        except TimeoutError:
            raise CannotStart("the container of the agent does not start") from None
        finally:
            MEETING.unlink(missing_ok=True)
    log, log_in = os.pipe()
    os.close(log_in)
    os.set_blocking(log, False)
    return Apart(0, channel, log)


def report(message: dict[str, Any]) -> None:
    """One line for whoever started the container."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()
