"""The process that forks supervisors: who ends whom."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agentstead.sandbox import bubblewrap
from agentstead.sandbox.bubblewrap import Bubblewrap
from agentstead.sandbox.supervisor import compiled
from tests.support.processes import alive
from tests.support.sandboxes import SPEC, needed, real_sandboxes, supervisor_pid, text

ECHO = {"command": "echo $$"}
OPENS = """
import asyncio
from agentstead.sandbox.forking import Forking
forking = Forking()
asyncio.run(forking.start({}))
print(forking.pid, flush=True)
input()
"""


@pytest.fixture
async def sandboxes() -> AsyncIterator[Bubblewrap]:
    await needed()
    async with real_sandboxes() as real:
        yield real


def ended(pid: int) -> bool:
    until = time.monotonic() + 10
    while alive(pid):
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


async def test_one_that_is_killed_is_replaced_and_its_sandboxes_go_on(
    sandboxes: Bubblewrap,
) -> None:
    first = text(await sandboxes.call("sesn_1", SPEC, "a", "bash", ECHO))
    killed = sandboxes.forking.pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    assert ended(killed)
    await sandboxes.call("sesn_2", SPEC, "a", "bash", ECHO)
    assert sandboxes.forking.pid not in {None, killed}
    assert text(await sandboxes.call("sesn_1", SPEC, "b", "bash", ECHO)) == first


async def test_it_ends_with_its_owner_and_leaves_sandboxes_alone(sandboxes: Bubblewrap) -> None:
    await sandboxes.call("sesn_1", SPEC, "a", "bash", ECHO)
    forker = sandboxes.forking.pid
    assert forker is not None
    await sandboxes.close()
    assert not alive(forker)
    assert alive(supervisor_pid(sandboxes, "sesn_1"))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_a_worker_that_is_killed(number: int) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-c", OPENS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with worker:
        assert worker.stdout
        forker = int(worker.stdout.readline())
        assert alive(forker)
        worker.send_signal(number)
    assert ended(forker)


def test_the_runner_is_compiled_for_the_hosts_python() -> None:
    compiled.make()
    try:
        names = sorted(Path(name).name.split(".")[0] for name in compiled.made)
        assert names == sorted(path.stem for path in compiled.sources())
    finally:
        compiled.made.clear()


def test_without_the_hosts_python_nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "PYTHON", "/nonexistent/python3")
    compiled.make()
    assert compiled.made == {}


def test_a_report_is_found_among_what_else_is_said() -> None:
    said = f"warning\n{json.dumps({'ok': True})}\nmore"
    assert bubblewrap._report(said) == {"ok": True}
    assert bubblewrap._report("Traceback\nKeyError: 'root'")["error"].endswith("'root'")
