"""Starts supervisors quickly: one process that has imported what they need, and forks each of them.

Its worker sends a byte with two descriptors: the configuration, and where the new supervisor
reports. Supervisors go on when this process ends, which it does with its worker.
"""

import gc
import json
import os
import select
import signal
import socket
import traceback
from collections.abc import Callable
from typing import Any

from agentstead.sandbox.supervisor import compiled, quick

LOOK_SECONDS = 5.0
"""Between two looks whether the worker lives: somebody else may hold the other end of our socket."""


def serve(channel: socket.socket, worker: int, supervise: Callable[[dict[str, Any]], None]) -> None:
    """Fork a supervisor for each request, until the worker has gone."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.freeze()  # what is here is shared with every supervisor
    compiled.make()
    quick.program()
    while os.getppid() == worker:
        if not select.select([channel], [], [], LOOK_SECONDS)[0]:
            continue
        data, descriptors, _, _ = socket.recv_fds(channel, 1, 2, socket.MSG_CMSG_CLOEXEC)
        if not data:
            return
        if os.fork() == 0:
            try:
                _become(supervise, *descriptors)
            except BaseException:  # noqa: BLE001  nothing of the loop above may go on in here
                traceback.print_exc()
            os._exit(1)
        for descriptor in descriptors:
            os.close(descriptor)


def _become(supervise: Callable[[dict[str, Any]], None], config: int, report: int) -> None:
    """In the child: the same three streams that a supervisor has that was started alone."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for source, target in ((config, 0), (report, 1), (report, 2)):
        os.dup2(source, target)
    with os.fdopen(os.dup(0)) as file:
        read = json.load(file)
    supervise(read)
    os._exit(0)
