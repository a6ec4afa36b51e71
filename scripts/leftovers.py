"""Look for what a test run left on the machine: processes, mounts, cgroups, folders, shared memory.

usage: leftovers.py before RUN | leftovers.py after RUN

RUN is the run's own temporary folder; it is also in the environment of every process that the run
starts. `before` remembers what is there already. `after` gives things a moment to end, names what
stays, ends the run's own processes by their pid, and exits 1 when there was anything.
"""

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path

GRACE_SECONDS = 5.0
FOLDERS = ("/tmp", "/run", "/dev/shm", "/var/tmp")
NAMES = ("agentstead", "PostgreSQL.")
CGROUPS = Path("/sys/fs/cgroup")


def processes(run: str) -> dict[int, str]:
    """The run's processes: by environment, else by a path of theirs (a sandbox has no environment of ours)."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in (os.getpid(), os.getppid()):
            continue
        traces = []
        for name in ("environ", "cmdline", "mountinfo"):
            with contextlib.suppress(OSError):
                traces.append((entry / name).read_bytes())
        for name in ("cwd", "root", "exe"):
            with contextlib.suppress(OSError):
                traces.append(os.readlink(entry / name).encode())
        if any(run.encode() in trace for trace in traces) and not own_mounts_only(entry, run):
            words = (
                b" ".join((entry / "cmdline").read_bytes().split(b"\0")) if entry.exists() else b""
            )
            found[int(entry.name)] = words.decode(errors="replace").strip()[:120]
    return found


def own_mounts_only(entry: Path, run: str) -> bool:
    """Whether it merely shares this process's view of the run's mounts."""
    try:
        shared = (entry / "mountinfo").read_bytes() == Path("/proc/self/mountinfo").read_bytes()
        others = [(entry / name).read_bytes() for name in ("environ", "cmdline")]
        others += [os.readlink(entry / name).encode() for name in ("cwd", "root")]
    except OSError:
        return not entry.exists()
    return shared and not any(run.encode() in other for other in others)


def mounts(run: str) -> list[str]:
    """Mount points of the run in this process's view."""
    rows = Path("/proc/self/mountinfo").read_text().splitlines()
    return sorted({row.split()[4] for row in rows if run in row})


def cgroups() -> dict[str, bool]:
    """Our cgroups → whether a process lives in them."""
    found = {}
    for folder, folders, _ in os.walk(CGROUPS):
        for name in folders:
            if name.startswith(NAMES):
                path = Path(folder, name)
                with contextlib.suppress(OSError):
                    found[str(path)] = bool((path / "cgroup.procs").read_text().strip())
    return found


def folders() -> list[str]:
    """Our folders and shared memory in the usual places."""
    found = []
    for folder in FOLDERS:
        with contextlib.suppress(OSError):
            found += [str(path) for path in Path(folder).iterdir() if path.name.startswith(NAMES)]
    return sorted(found)


def in_use(path: str) -> bool:
    """Whether some process of somebody else names it or holds something in it."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if path.encode() in (entry / "cmdline").read_bytes():
                return True
            if path.encode() in (entry / "maps").read_bytes():
                return True
            if any(os.readlink(fd).startswith(path) for fd in (entry / "fd").iterdir()):
                return True
    return path in Path("/proc/net/unix").read_text()


def remains(run: str, before: dict[str, list[str]]) -> list[str]:
    """One line per thing that is still there."""
    lines = [f"process {pid}: {words}" for pid, words in processes(run).items()]
    lines += [f"mount: {path}" for path in mounts(run)]
    lines += [
        f"cgroup: {path}"
        for path, alive in cgroups().items()
        if not alive and path not in before["cgroups"]
    ]
    lines += [
        f"folder: {path}"
        for path in folders()
        if path not in before["folders"] and path != run and not in_use(path)
    ]
    return lines


def main(when: str, run: str) -> int:
    """Remember, or compare."""
    memory = Path(run, "before.json")
    if when == "before":
        memory.write_text(json.dumps({"cgroups": list(cgroups()), "folders": folders()}))
        return 0
    before = json.loads(memory.read_text())
    deadline = time.monotonic() + GRACE_SECONDS
    while (left := remains(run, before)) and time.monotonic() < deadline:
        time.sleep(0.2)
    if not left:
        return 0
    print("The test run left something behind; the test that started it must end it:")
    print("\n".join(f"  {line}" for line in left))
    for pid in processes(run):
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
