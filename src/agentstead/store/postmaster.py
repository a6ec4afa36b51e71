"""What the pid file of a PostgreSQL server says, and whether it is true.

A pid file survives a crash, and its number may by then belong to another process; a server counts
as alive only when the process lives and works in this cluster's folder.
"""

import os
from pathlib import Path

STATUS_LINE = 7
"""Of postmaster.pid, counted from 0: starting | ready | stopping | standby."""


class Postmaster:
    """The server process of one cluster folder."""

    def __init__(self, cluster: Path) -> None:
        self.cluster = cluster
        self.path = cluster / "postmaster.pid"

    def lines(self) -> list[str]:
        """The pid file; empty when there is none."""
        try:
            return self.path.read_text().splitlines()
        except OSError:
            return []

    def pid(self) -> int | None:
        """The server's process id; None when none lives."""
        lines = self.lines()
        if not lines or not lines[0].strip().isdigit():
            return None
        pid = int(lines[0])
        return pid if alive(pid, self.cluster) else None

    def status(self) -> str:
        """gone | starting | ready | stopping."""
        lines = self.lines()
        if self.pid() is None:
            return "gone"
        said = lines[STATUS_LINE].strip() if len(lines) > STATUS_LINE else "starting"
        return said if said in ("ready", "stopping") else "starting"

    def running(self) -> bool:
        """Whether it takes connections."""
        return self.status() == "ready"

    def clear_stale(self) -> None:
        """Remove the pid file of a server that is gone: its number may be somebody else's now."""
        if self.lines() and self.pid() is None:
            self.path.unlink(missing_ok=True)


def exists(pid: int) -> bool:
    """Whether there is a process with this id, whoever's it is."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def alive(pid: int, cluster: Path) -> bool:
    """Whether this process lives and has the cluster as its working folder."""
    if not exists(pid):
        return False
    process = Path("/proc") / str(pid)
    if not process.parent.joinpath("self").exists():
        return True  # no /proc on this system: PostgreSQL's own checks must do
    try:
        return (process / "cwd").samefile(cluster)
    except OSError:
        return False  # a zombie has no working folder
