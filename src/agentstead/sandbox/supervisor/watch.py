"""Watches what a sandbox uses while it works: disk, processes, and memory where nobody else does."""

import threading
import time
from typing import Any

from agentstead.sandbox.supervisor import disk
from agentstead.sandbox.supervisor.limits import Control
from agentstead.sandbox.supervisor.place import WRITABLE, Place

SHARE = 20
"""Measuring the disk may take a twentieth of the time."""
ROOM_SHARE = 8
"""When the host's disk has lost an eighth of what this sandbox may still take, it is measured at once:
that costs nothing to see, and bounds by how much a limit can be passed."""
WRITING = ("write", "edit")


def size(count: float) -> str:
    """`1.5 GiB`."""
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.4g} {unit}"
        count /= 1024
    return f"{count:.4g} GiB"


class Watch:
    """What is used, and what to say and do about it."""

    def __init__(self, place: Place, control: Control, limits: dict[str, Any], pid: int) -> None:
        self._place = place
        self._control = control
        self._pid = pid
        self._disk_bytes: int = limits["disk_bytes"]
        self._disk_used = 0
        self._disk_before = 0
        self._measuring: threading.Thread | None = None
        self._measure_after = 0.0
        self._full_looks = 0
        self._free = disk.free(place.files)
        """Of the host's disk, when it was last measured."""

    def begin(self) -> None:
        """A call begins."""
        self._disk_before = self._disk_used

    def refusal(self, tool: str) -> str:
        """Why this tool must not run now; empty when it may. Deleting must stay possible."""
        if tool in WRITING and self._disk_used > self._disk_bytes:
            return f"{self._disk_full()}; delete files with bash first"
        return ""

    def notes(self, oom_kills_before: int, forks_refused_before: int) -> list[str]:
        """What the model has to be told beside the outcome of a call."""
        notes = []
        if self._control.oom_kills() > oom_kills_before:
            limit = size(self._control.memory_bytes)
            notes.append(f"[a process was killed: the memory limit of {limit} was reached]")
        if self._control.forks_refused() > forks_refused_before:
            most = self._control.processes_max
            notes.append(f"[the limit of {most} processes was reached: some did not start]")
        if self._disk_used > self._disk_bytes:
            notes.append(f"[{self._disk_full()}; delete files]")
        return notes

    def look(self, *, busy: bool) -> str:
        """Why all processes have to be ended now; empty when all is well."""
        tasks = self._control.tasks(self._pid)
        # a full house twice in a row: whatever fills it does not go away by itself
        self._full_looks = self._full_looks + 1 if tasks >= self._control.processes_max - 1 else 0
        if self._full_looks >= 2:
            self._full_looks = 0
            limit = self._control.processes_max
            return f"the limit of {limit} processes was reached, so all of them were ended"
        if self._control.memory(self._pid) > self._control.memory_bytes:
            limit_text = size(self._control.memory_bytes)
            return f"the memory limit of {limit_text} was reached, so all processes were ended"
        if self._has_grown() or busy:
            self._measure()
        if self._disk_used > max(self._disk_bytes, self._disk_before):
            self._disk_before = self._disk_used
            return f"{self._disk_full()}, so all processes were ended"
        return ""

    def _disk_full(self) -> str:
        return f"the disk limit of {size(self._disk_bytes)} was reached"

    def _has_grown(self) -> bool:
        """Whether it may have taken much since it was measured, be it in the background."""
        room = max(0, self._disk_bytes - self._disk_used)
        return self._free - disk.free(self._place.files) > room // ROOM_SHARE

    def _measure(self) -> None:
        if self._measuring is not None and self._measuring.is_alive():
            return
        if self._has_grown() or time.monotonic() >= self._measure_after:
            self._free = disk.free(self._place.files)
            measuring = threading.Thread(target=self._measure_now, daemon=True)
            try:
                measuring.start()
            except RuntimeError:
                return  # no process can be started now, where we share the sandbox's limits
            self._measuring = measuring

    def _measure_now(self) -> None:
        begun = time.monotonic()
        # beyond twice the limit nobody needs to know how much it is
        folders = [self._place.folder(name) for name in WRITABLE]
        folders += [self._place.layer] if self._place.layer.is_dir() else []
        self._disk_used = sum(disk.used(folder, 2 * self._disk_bytes) for folder in folders)
        taken = time.monotonic() - begun
        self._measure_after = time.monotonic() + SHARE * taken
