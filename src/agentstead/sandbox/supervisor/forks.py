"""Starts supervisors quickly: one process that has imported what they need, and forks each of them.

Its worker sends a byte with two descriptors: the configuration, and where the new supervisor
reports. One process is always forked ahead and waits for these: the fork, and the copies of pages that
it costs, are over before anybody needs it. Supervisors go on when this process ends, which it does
with its worker; the one that waits ends too.
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

from agentstead.sandbox.supervisor import compiled, limits, quick

LOOK_SECONDS = 5.0
"""Between two looks whether the worker lives: somebody else may hold the other end of our socket."""
REST_SECONDS = 0.05
"""After a request, before the next process is forked ahead: the one that starts needs the processor now."""


def serve(channel: socket.socket, worker: int, supervise: Callable[[dict[str, Any]], None]) -> None:
    """Fork a supervisor for each request, until the worker has gone."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    compiled.make()
    quick.program()
    compiled.library(made_here=True)
    limits.look()
    gc.freeze()  # what is here is shared with every supervisor
    waiting: socket.socket | None = None
    while os.getppid() == worker:
        patience = REST_SECONDS if waiting is None else LOOK_SECONDS
        if not select.select([channel], [], [], patience)[0]:
            waiting = waiting or _fork(channel, supervise)
            continue
        data, descriptors, _, _ = socket.recv_fds(channel, 1, 2, socket.MSG_CMSG_CLOEXEC)
        if not data:
            return
        if waiting is None or not _handed(waiting, descriptors):
            # one request after the other, or somebody killed the one that waited
            _handed(_fork(channel, supervise), descriptors)
        waiting = None
        for descriptor in descriptors:
            os.close(descriptor)


def _handed(waiting: socket.socket, descriptors: list[int]) -> bool:
    with waiting:
        try:
            socket.send_fds(waiting, [b"."], descriptors)
        except OSError:
            return False
        return True


def _fork(channel: socket.socket, supervise: Callable[[dict[str, Any]], None]) -> socket.socket:
    """A process that waits for a request."""
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        try:
            ours.close()
            channel.close()
            data, descriptors, _, _ = socket.recv_fds(theirs, 1, 2, socket.MSG_CMSG_CLOEXEC)
            if data:
                _become(supervise, *descriptors)
        except BaseException:  # noqa: BLE001  nothing of the loop above may go on in here
            traceback.print_exc()
        os._exit(1)
    theirs.close()
    return ours


def _become(supervise: Callable[[dict[str, Any]], None], config: int, report: int) -> None:
    """In the child: the same three streams that a supervisor has that was started alone."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for source, target in ((config, 0), (report, 1), (report, 2)):
        os.dup2(source, target)
    with os.fdopen(os.dup(0)) as file:
        read = json.load(file)
    supervise(read)
    os._exit(0)
