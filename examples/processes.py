"""Finds every process that a program started, however it was started (Linux).

The program becomes the one that orphans are given to; so whatever its children leave behind is
found among its own children.
"""

import ctypes
import os
import threading
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
POLL_SECONDS = 0.05
ORPHANS: set[int] = set()
"""Children that were not ours when they were started."""


def adopt_orphans() -> None:
    """From now on orphans below this process become its children; ended ones are collected."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_CHILD_SUBREAPER")
    threading.Thread(target=collect, daemon=True).start()


def collect() -> None:
    """Collect ended orphans. A session leader with us as parent that we did not start is one."""
    while True:
        time.sleep(POLL_SECONDS)
        for pid, (parent, state, session) in processes().items():
            if parent == os.getpid() and session != os.getsid(0):
                ORPHANS.add(pid)
                if state == "Z":
                    reap(pid)


def reap(pid: int) -> None:
    """Collect one ended child."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass


def left_over(seconds: float) -> dict[int, str]:
    """Processes below this one that are still there after so many seconds, with their commands."""
    until = time.monotonic() + seconds
    while True:
        living = [pid for pid in below(os.getpid()) if processes().get(pid, (0, "Z", 0))[1] != "Z"]
        if not living or time.monotonic() > until:
            return {pid: command(pid) for pid in living}
        time.sleep(POLL_SECONDS)


def below(root: int) -> list[int]:
    """All processes below one."""
    table = processes()
    found = [root]
    for above in found:
        found += [pid for pid, (parent, _, _) in table.items() if parent == above]
    return found[1:]


def processes() -> dict[int, tuple[int, str, int]]:
    """Every process: parent, state and session."""
    table = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            table[int(folder.name)] = (int(fields[1]), fields[0], int(fields[3]))
    return table


def command(pid: int) -> str:
    """The command line of a process."""
    try:
        return (Path("/proc") / str(pid) / "cmdline").read_text().replace("\0", " ").strip()
    except OSError:
        return "(gone)"
