"""A real sandbox provider for a test, and the proof that nothing of it is left afterwards."""

import asyncio
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agentstead.clock import SystemClock
from agentstead.sandbox.bubblewrap import Bubblewrap
from agentstead.sandbox.images.images import Images
from agentstead.sandbox.network import Egress
from agentstead.sandbox.sandbox import Limits, Outcome, SandboxSpec
from agentstead.sandbox.supervisor.place import Place

SPEC = SandboxSpec(Limits(memory_bytes=256 << 20, processes_max=64, call_seconds=20.0))

_problems: list[str] = []
"""What the first look found; looked at once a run."""


@asynccontextmanager
async def real_sandboxes(
    idle_seconds: float = 60.0,
    egress: Egress | None = None,
    images: Images | None = None,
    env: Mapping[str, str] | None = None,
    *,
    installing: bool = False,
    spares: int = 0,
    native: bool = True,
) -> AsyncIterator[Bubblewrap]:
    """Sandboxes below a folder of their own; at the end no process, mount, group or file is left."""
    top = Path(tempfile.mkdtemp(prefix="agentstead-test-"))
    sandboxes = Bubblewrap(
        top / "sandboxes",
        clock=SystemClock(),
        idle_seconds=idle_seconds,
        egress=egress,
        images=images,
        installing=installing,
        env=env,
        spares=spares,
        native=native,
    )
    try:
        yield sandboxes
    finally:
        await sandboxes.close()
        ids = await sandboxes.reconcile(set())
        for sandbox_id in ids:
            await sandboxes.destroy(sandbox_id)
        assert left_below(top) == []
        shutil.rmtree(top)
        assert remains(str(top), [Place(sandboxes.root, name).host_name for name in ids]) == []


def left_below(top: Path) -> list[str]:
    """Files of sandboxes that should be gone."""
    ours = ("sandboxes", ".uids", ".egress", ".desks", ".host")
    found = [path for path in top.rglob("*") if path.parent.name != ".egress"]
    return [str(path) for path in found if path.name not in ours]


def remains(top: str, names: list[str]) -> list[str]:
    """Processes, mounts and control groups that belong to a folder of sandboxes."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and process.name != str(os.getpid()):
            try:
                mounts = (process / "mountinfo").read_text()
                command = (process / "cmdline").read_bytes()
            except OSError:
                continue
            if top in mounts or top.encode() in command:
                found.append(f"process {process.name}: {command!r}")
    ours = {f"agentstead-{name}" for name in names}
    # groups of others come and go while one looks, which a walk does not mind
    for folder, groups, _ in os.walk("/sys/fs/cgroup"):
        found += [f"{folder}/{group}" for group in groups if group in ours]
    return found


async def needed() -> None:
    """Skip where no sandbox can run: user namespaces may be forbidden."""
    if not _problems:
        async with real_sandboxes() as sandboxes:
            probe = await sandboxes.probe()
        _problems.append("" if probe.ok else "; ".join(probe.problems))
    if _problems[0]:
        pytest.skip(f"needs sandboxes: {_problems[0]}")


def text(outcome: Outcome) -> str:
    """The text of an outcome's only block."""
    (block,) = outcome.content
    assert block["type"] == "text"
    words = block["text"]
    assert isinstance(words, str)
    return words


def alive(pid: int) -> bool:
    """Whether a process runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def gone(pid: int) -> None:
    """Wait until a process has ended."""
    async with asyncio.timeout(5):
        while alive(pid):  # noqa: ASYNC110 - another process's end has no event
            await asyncio.sleep(0.01)


def supervisor_pid(sandboxes: Bubblewrap, sandbox_id: str) -> int:
    """The process that owns a sandbox."""
    number = re.match(r"\d+", (sandboxes.root / sandbox_id / "lock").read_text())
    assert number is not None
    return int(number.group())
