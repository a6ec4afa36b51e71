"""The main process of the agent's own container, where supervisor and agent have one each: it goes to the
supervisor and becomes the runner."""

import json
import os
import socket
import time

from agentstead.sandbox.guest.keeper import MEET_SECONDS, MEETING, OVER, run
from agentstead.sandbox.guest.place import CONFIG
from agentstead.sandbox.supervisor.launch import prepare

AGAIN_SECONDS = 0.05


def enter() -> int:
    """Become the runner; not 0 when no supervisor is there."""
    config = json.loads(os.environ.pop(CONFIG))
    channel = socket.socket(socket.AF_UNIX)
    until = time.monotonic() + MEET_SECONDS
    while True:
        try:
            channel.connect(str(MEETING))
            break
        except OSError:
            if time.monotonic() > until:
                return 1
            time.sleep(AGAIN_SECONDS)
    prepare({channel.fileno()}, os.dup(2), os.geteuid(), config["limits"])
    run(channel.fileno())
    return 1


def left(_: int) -> int:
    """How the container ends when the runner has: not 0 when it is to be started again."""
    return 0 if OVER.exists() else 1
