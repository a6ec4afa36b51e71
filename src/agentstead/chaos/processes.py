"""Processes as the operating system shows them: who descends from us, and ending them.

Servers, supervisors and databases leave their starter's group and outlive it. As *subreaper* this
process becomes the parent of every one that is orphaned, so that whoever was started by anybody in
here can be found, killed and collected.
"""

import ctypes
import os
import signal
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
ROUNDS_MAX = 200


def become_subreaper() -> None:
    """From now on orphans among our descendants are our children."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "this system has no subreapers")


def children() -> dict[int, list[int]]:
    """Parent → children, of all processes; zombies count."""
    found: dict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := stat(int(entry.name))):
            found[int(fields[1])].append(int(entry.name))
    return found


def stat(pid: int) -> list[str]:
    """State, parent and more of a process; nothing when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def alive(pid: int) -> bool:
    """Whether it lives; a zombie does not."""
    fields = stat(pid)
    return bool(fields) and fields[0] not in ("Z", "X")


def descendants(pid: int) -> list[int]:
    """All living processes below `pid`, parents first."""
    known = children()
    found, waiting = [], [pid]
    while waiting:
        for child in known.get(waiting.pop(0), ()):
            waiting.append(child)
            if alive(child):
                found.append(child)
    return found


def collect(known: Collection[int]) -> None:
    """Collect orphans that have ended; `known` are children that somebody else waits for."""
    for pid in children().get(os.getpid(), ()):
        if pid not in known and not alive(pid):
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                continue


def send(pid: int, number: int) -> bool:
    """Signal a process; whether it was there."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def kill_below(pid: int) -> int:
    """SIGKILL everything below `pid` until nothing is left; how many there were."""
    killed: set[int] = set()
    for _ in range(ROUNDS_MAX):
        found = descendants(pid)
        if not found:
            break
        for one in found:
            if send(one, signal.SIGKILL):
                killed.add(one)
    return len(killed)
