"""Sandboxes that wait for sessions: taken whole, by one session, and never left behind."""

import asyncio
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from agentstead.clock import SystemClock
from agentstead.sandbox.bubblewrap import Bubblewrap
from agentstead.sandbox.sandbox import Mount, Network, Upload
from agentstead.sandbox.spares import generic
from agentstead.sandbox.supervisor import spare
from agentstead.sandbox.supervisor.place import Place
from tests.support.places import temporary_dir
from tests.support.sandboxes import SPEC, needed, real_sandboxes, supervisor_pid, text

NUMBERS = itertools.count()
WORKER = """
import asyncio, sys
from pathlib import Path
from agentstead.clock import SystemClock
from agentstead.sandbox.bubblewrap import Bubblewrap
from tests.support.sandboxes import SPEC

async def main():
    sandboxes = Bubblewrap(Path(sys.argv[1]), clock=SystemClock(), idle_seconds=2.0, spares=1)
    await sandboxes.call("sesn_1", SPEC, "a", "bash", {"command": "true"})
    while not list(Path(sys.argv[1]).glob("spare-*/ctl.sock")):
        await asyncio.sleep(0.01)
    print("ready", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture
async def sandboxes() -> AsyncIterator[Bubblewrap]:
    await needed()
    async with real_sandboxes(spares=1) as real:
        await say(real, "sesn_1", "echo secret > /workspace/mine; export X=secret; sleep 300 &")
        yield real


async def say(sandboxes: Bubblewrap, sandbox_id: str, command: str, spec=SPEC) -> str:
    given = {"command": command}
    return text(await sandboxes.call(sandbox_id, spec, f"call-{next(NUMBERS)}", "bash", given))


async def waiting(sandboxes: Bubblewrap, spec=SPEC) -> str:
    """The name of the spare, once it is there."""
    async with asyncio.timeout(10):
        while not sandboxes.spares.fits(spec):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    (name,) = [path.name for path in sandboxes.root.glob("spare-*")]
    return name


def gone(group: str) -> bool:
    return not Path(group).exists()


def uid(sandboxes: Bubblewrap, sandbox_id: str) -> int:
    return (sandboxes.root / sandbox_id / "files" / "workspace").stat().st_uid


async def test_a_session_takes_it_whole_and_finds_nothing_of_another(sandboxes: Bubblewrap) -> None:
    name = await waiting(sandboxes)
    pid, user = supervisor_pid(sandboxes, name), uid(sandboxes, name)
    look = "ls -A /workspace /tmp /mnt/user; echo ${X-unset}; pgrep -c sleep"
    said = await say(sandboxes, "sesn_2", look)
    assert re.sub(r"\n\[exit.*", "", said).split() == [
        "/mnt/user:",
        "/tmp:",
        "/workspace:",
        "unset",
        "0",
    ]
    assert supervisor_pid(sandboxes, "sesn_2") == pid
    assert not (sandboxes.root / name).exists()
    assert uid(sandboxes, "sesn_2") == user
    another = await waiting(sandboxes)
    assert another != name
    if os.geteuid() == 0:
        assert len({user, uid(sandboxes, "sesn_1"), uid(sandboxes, another)}) == 3


async def test_what_a_session_took_lives_and_ends_as_any_other(sandboxes: Bubblewrap) -> None:
    await waiting(sandboxes)
    await say(sandboxes, "sesn_2", "echo kept > /workspace/file; cd /tmp")
    assert await say(sandboxes, "sesn_2", "pwd") == "/tmp"
    user = uid(sandboxes, "sesn_2")
    groups = Place(sandboxes.root, "sesn_2").meta()["groups"]
    os.kill(supervisor_pid(sandboxes, "sesn_2"), signal.SIGKILL)
    again = await say(sandboxes, "sesn_2", "cat /workspace/file")
    assert "started again" in again
    assert again.endswith("kept")
    assert Place(sandboxes.root, "sesn_2").meta()["groups"] == groups
    await sandboxes.destroy("sesn_2")
    assert all(gone(group) for group in groups)
    if os.geteuid() == 0:
        assert not (sandboxes.root / ".uids" / str(user)).exists()


async def test_only_the_same_specification_fits(sandboxes: Bubblewrap) -> None:
    name = await waiting(sandboxes)
    other = replace(SPEC, env={"WHO": "other"})
    assert await say(sandboxes, "sesn_2", "echo $WHO", other) == "other"
    assert not sandboxes.spares.fits(replace(SPEC, network=Network("limited")))
    assert await waiting(sandboxes, other) != name  # one of the kind that was asked for last
    assert not (sandboxes.root / name).exists()


async def test_uploads_come_into_it_later(sandboxes: Bubblewrap, tmp_path: Path) -> None:
    name = await waiting(sandboxes)
    pid = supervisor_pid(sandboxes, name)
    (tmp_path / "body").write_text("words")
    spec = replace(SPEC, uploads=(Upload(str(tmp_path / "body"), "a.txt"),))
    assert await say(sandboxes, "sesn_2", "cat /mnt/session/uploads/a.txt", spec) == "words"
    assert supervisor_pid(sandboxes, "sesn_2") == pid


async def test_a_place_that_exists_is_never_replaced(sandboxes: Bubblewrap) -> None:
    name = await waiting(sandboxes)
    await sandboxes.cancel("sesn_2", "a-call-to-come")
    assert await say(sandboxes, "sesn_2", "pwd") == "/workspace"
    assert supervisor_pid(sandboxes, "sesn_2") != supervisor_pid(sandboxes, name)


async def test_it_belongs_to_no_session_and_is_no_orphan(sandboxes: Bubblewrap) -> None:
    await waiting(sandboxes)
    assert await sandboxes.reconcile({"sesn_1"}) == []
    await sandboxes.close()
    assert list(sandboxes.root.glob("spare-*")) == []


async def test_a_killed_workers_spare_ends_and_is_swept_up() -> None:
    await needed()
    root = temporary_dir()
    worker = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", WORKER, str(root / "s")], stdout=subprocess.PIPE, text=True
    )
    with worker:
        assert worker.stdout
        assert worker.stdout.readline() == "ready\n"
        worker.kill()
    sandboxes = Bubblewrap(root / "s", clock=SystemClock())
    left = await sandboxes.reconcile({"sesn_1"})
    assert [spare.is_spare(name) for name in left] == [True]
    assert not spare.owned(left[0])
    async with asyncio.timeout(10):
        while (sandboxes.root / left[0] / "ctl.sock").exists():  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    for name in (*left, "sesn_1"):
        await sandboxes.destroy(name)
    assert [path.name for path in sandboxes.root.iterdir() if path.name != ".uids"] == []
    shutil.rmtree(root)


def test_what_is_one_sessions_alone_has_no_spare() -> None:
    assert generic(replace(SPEC, mounts=(Mount("/a", "/b"),))) is None
    assert generic(replace(SPEC, network=Network("limited", credentials=True))) is None
    assert generic(SPEC) == SPEC
