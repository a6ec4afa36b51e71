"""What a sandbox may use, made to hold: control groups of version 2, of version 1, or poorly without.

Without control groups each process is limited and the supervisor watches the sum (`rlimits
(degraded)`): several processes may pass the limit for a moment before they are ended.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

CONTROLLERS = ("memory", "pids", "cpu")
PARENT = "agentstead"
GROUPS, MOUNTS = "/proc/self/cgroup", "/proc/self/mountinfo"
CPU_PERIOD_US = 100_000
REMOVE_SECONDS = 2.0


@dataclass
class Control:
    """The limits of one sandbox, in force."""

    kind: str
    """cgroup2 | cgroup1 | rlimits (degraded)"""
    memory_bytes: int
    processes_max: int
    groups: dict[str, Path] = field(default_factory=dict)
    """Controller → the folder of our group."""

    def enter(self) -> None:
        """In the child, before it becomes the sandbox: join."""
        for folder in set(self.groups.values()):
            (folder / "cgroup.procs").write_text(str(os.getpid()))

    def add(self, pid: int) -> None:
        """Let a process outside of the sandbox count as part of it."""
        for folder in set(self.groups.values()):
            (folder / "cgroup.procs").write_text(str(pid))

    def left_to_runner(self) -> dict[str, int]:
        """What nobody but the runner can limit; 0: somebody does."""
        return {
            "processes_max": 0 if "pids" in self.groups else self.processes_max,
            "memory_bytes": 0 if "memory" in self.groups else self.memory_bytes,
        }

    def oom_kills(self) -> int:
        """How many processes were killed for want of memory."""
        folder = self.groups.get("memory")
        if folder is None:
            return 0
        name = "memory.events" if self.kind == "cgroup2" else "memory.oom_control"
        return _counter(folder / name, "oom_kill")

    def forks_refused(self) -> int:
        """How many processes could not be started, because there were as many as there may be."""
        folder = self.groups.get("pids")
        return 0 if folder is None else _counter(folder / "pids.events", "max")

    def tasks(self, pid: int) -> int:
        """Processes and threads there are now; `pid` is the sandbox's outermost process."""
        folder = self.groups.get("pids")
        if folder is not None:
            return _number(folder / "pids.current")
        return sum(task.threads for task in _below(pid))

    def memory(self, pid: int) -> int:
        """Bytes in use now, where nobody but us limits the sum; else 0."""
        if "memory" in self.groups:
            return 0
        return sum(task.bytes for task in _below(pid))

    def waiting_bytes(self) -> int:
        """How much of what it wrote is not on the disk yet; 0 where nobody counts it."""
        folder = self.groups.get("memory")
        if folder is None:
            return 0
        names = (
            ("file_dirty", "file_writeback") if self.kind == "cgroup2" else ("dirty", "writeback")
        )
        return sum(_counters(folder / "memory.stat", names))

    def freeze(self) -> bool:
        """Let all of it stand still; whether that can be had."""
        return self._freezes("FROZEN", "1")

    def thaw(self) -> None:
        """Let it go on."""
        self._freezes("THAWED", "0")

    def _freezes(self, version1: str, version2: str) -> bool:
        folder = self.groups.get("freezer")
        return folder is not None and _frozen(folder, version1, version2)

    def remove(self) -> None:
        """Give the groups back once the sandbox has ended."""
        remove([str(folder) for folder in set(self.groups.values())])


def look() -> None:
    """Look which control groups there are; whoever is forked from here need not look again."""
    for file in (GROUPS, MOUNTS):
        _told(file)


def control(name: str, limits: dict[str, Any]) -> Control:
    """The best limits this host gives a sandbox of this name."""
    found = _version2(name, limits) or _version1(name, limits)
    if found is None:
        # what was seen may be long ago
        _told.cache_clear()
        found = _version2(name, limits) or _version1(name, limits)
    if found is not None:
        return found
    return Control("rlimits (degraded)", limits["memory_bytes"], limits["processes_max"])


def remove(folders: list[str]) -> None:
    """Remove control groups that have emptied, or are about to."""
    until = time.monotonic() + REMOVE_SECONDS
    for folder in folders:
        # its supervisor may have been killed while it stood still: so it cannot even die
        _frozen(Path(folder), "THAWED", "0")
    for folder in folders:
        while True:
            try:
                os.rmdir(folder)
            except FileNotFoundError:
                pass
            except OSError:
                if time.monotonic() < until:
                    time.sleep(0.005)
                    continue
            break


def _version1(name: str, limits: dict[str, Any]) -> Control | None:
    quota = int(limits["cpus"] * CPU_PERIOD_US)
    wanted = {
        "memory": {"memory.limit_in_bytes": limits["memory_bytes"], "memory.swappiness": 0},
        "pids": {"pids.max": limits["processes_max"]},
        "cpu": {"cpu.cfs_period_us": CPU_PERIOD_US, "cpu.cfs_quota_us": quota},
        "freezer": {"freezer.state": "THAWED"},
    }
    own = _own_groups()
    groups: dict[str, Path] = {}
    for mount, root, options in _mounts("cgroup"):
        for controller, values in wanted.items():
            if controller in options and controller in own and controller not in groups:
                folder = _under(mount, root, own[controller]) / f"{PARENT}-{name}"
                if _made(folder, values, needed=controller != "cpu"):
                    groups[controller] = folder
    if "memory" not in groups or "pids" not in groups:
        remove([str(folder) for folder in groups.values()])
        return None
    return Control("cgroup1", limits["memory_bytes"], limits["processes_max"], groups)


def _version2(name: str, limits: dict[str, Any]) -> Control | None:
    wanted = {
        "memory.max": limits["memory_bytes"],
        "memory.swap.max": 0,
        "pids.max": limits["processes_max"],
        "cpu.max": f"{int(limits['cpus'] * CPU_PERIOD_US)} {CPU_PERIOD_US}",
    }
    own = _own_groups().get("", "/")
    for mount, root, _ in _mounts("cgroup2"):
        here = _under(mount, root, own)
        # a group that holds processes cannot give controllers to groups below it, so the place
        # may be higher up: the first where it works
        for above in (here, *(p for p in here.parents if p.is_relative_to(mount))):
            parent = above / PARENT
            if not _opened(above) or not _made(parent, {}, needed=False) or not _opened(parent):
                continue
            folder = parent / name
            if _made(folder, wanted, needed=True):
                groups = dict.fromkeys((*CONTROLLERS, "freezer"), folder)
                return Control("cgroup2", limits["memory_bytes"], limits["processes_max"], groups)
    return None


def _opened(folder: Path) -> bool:
    """Whether groups below `folder` get the controllers, after asking for it."""
    try:
        given = (folder / "cgroup.subtree_control").read_text().split()
        missing = [name for name in CONTROLLERS if name not in given]
        if missing:
            text = " ".join(f"+{name}" for name in missing)
            (folder / "cgroup.subtree_control").write_text(text)
    except OSError:
        return False
    return True


def _made(folder: Path, values: dict[str, Any], *, needed: bool) -> bool:
    try:
        folder.mkdir(exist_ok=True)
    except OSError:
        return False
    for name, value in values.items():
        try:
            (folder / name).write_text(str(value))
        except OSError:
            if needed and not name.endswith(("swappiness", "swap.max")):
                remove([str(folder)])
                return False
    return True


@cache
def _told(file: str) -> str:
    return Path(file).read_text()


def _own_groups() -> dict[str, str]:
    own = {}
    for line in _told(GROUPS).splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            own[controller] = path
    return own


def _mounts(kind: str) -> Iterator[tuple[Path, str, list[str]]]:
    for line in _told(MOUNTS).splitlines():
        left, right = line.split(" - ", 1)
        fields, tail = left.split(), right.split()
        if tail[0] == kind:
            yield Path(fields[4]), fields[3], tail[2].split(",")


def _under(mount: Path, root: str, own: str) -> Path:
    inside = own[len(root) :] if root != "/" and own.startswith(root) else own
    return mount / inside.lstrip("/")


def _number(file: Path) -> int:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return 0


def _counter(file: Path, name: str) -> int:
    return sum(_counters(file, (name,)))


def _counters(file: Path, names: tuple[str, ...]) -> Iterator[int]:
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        key, _, value = line.partition(" ")
        if key in names:
            yield int(value)


def _frozen(folder: Path, version1: str, version2: str) -> bool:
    for name, value in (("freezer.state", version1), ("cgroup.freeze", version2)):
        file = folder / name
        try:
            if file.exists():
                file.write_text(value)
                return True
        except OSError:
            continue
    return False


@dataclass
class _Task:
    threads: int
    bytes: int


def _below(pid: int) -> list[_Task]:
    """Every process that descends from `pid`."""
    page = os.sysconf("SC_PAGE_SIZE")
    children: dict[int, list[int]] = {}
    tasks: dict[int, _Task] = {}
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            text = Path(entry.path, "stat").read_bytes().rsplit(b")", 1)[1].split()
        except OSError:
            continue
        # fields after the name: state, parent, … 17: threads, 21: resident pages
        number = int(entry.name)
        children.setdefault(int(text[1]), []).append(number)
        tasks[number] = _Task(int(text[17]), int(text[21]) * page)
    found, waiting = [], [pid]
    while waiting:
        for child in children.get(waiting.pop(), []):
            waiting.append(child)
            found.append(tasks[child])
    return found
