"""Processes inside: how a tool's process is set up, and how all of it is ended."""

from __future__ import annotations

import ctypes
import os
import resource
import signal

PR_SET_DUMPABLE = 4
TOOL_OOM_SCORE = 500
"""When memory is short, a tool dies before the runner does."""
ROUNDS_MAX = 5


def hide() -> None:
    """Make this process's memory, descriptors and environment unreadable to the tools."""
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def limit(processes_max: int, memory_bytes: int) -> None:
    """Where no control group does it (0: one does): limit this process and its children."""
    if processes_max and _counts_per_namespace():
        resource.setrlimit(resource.RLIMIT_NPROC, (processes_max, processes_max))
    if memory_bytes:
        # of data, not of address space: some programs reserve much more than they use
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))


def _counts_per_namespace() -> bool:
    # older kernels would count everything that this user runs on the host
    major, minor = os.uname().release.split(".")[:2]
    return (int(major), int("".join(filter(str.isdigit, minor)) or 0)) >= (5, 14)


def become_tool() -> None:
    """In a fresh child: be the first to go when memory is short, die of what others die of."""
    # the score may be written only while the process is dumpable
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write(str(TOOL_OOM_SCORE))
    hide()
    for name in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(name, signal.SIG_DFL)


def kill_session(leader: int) -> None:
    """End a process, its session and everything that descends from it."""
    for _ in range(ROUNDS_MAX):
        found = _family(leader)
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if found <= {leader}:
            return


def kill_everything() -> None:
    """End every process of the sandbox but this one."""
    try:
        os.kill(-1, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _family(leader: int) -> set[int]:
    parents, family = {}, {leader}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rsplit(b")", 1)[1].split()
        except OSError:
            continue
        if fields[0] == b"Z":
            continue
        parents[int(name)] = int(fields[1])
        if int(fields[3]) == leader:
            family.add(int(name))
    while True:
        more = {pid for pid, parent in parents.items() if parent in family} - family
        if not more:
            return {pid for pid in family if pid in parents} | {leader}
        family |= more
