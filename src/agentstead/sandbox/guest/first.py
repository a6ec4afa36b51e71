"""The first process of a container: waits for whatever is left to it, and ends with the one that matters."""

import os
import signal
from collections.abc import Callable


def be_first(work: Callable[[], int], ended: Callable[[int], int] = int) -> None:
    """Do the work in a child and end as it ends, or as `ended` says of its exit code; where we are not
    the first process, just do it."""
    if os.getpid() != 1:
        os._exit(work())
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = work()
        finally:
            os._exit(code)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    while True:
        pid, status = os.wait()
        if pid == child:
            os._exit(ended(os.waitstatus_to_exitcode(status) & 0xFF))
