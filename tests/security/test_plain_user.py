"""The same ways out, tried where the platform is not root: sandboxes of a plain user, without control groups.

As root we become such a user in a forked child, which has nothing of ours but its memory; the supervisor
runs on the system's own Python, from a copy that the user can read.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
import warnings
from pathlib import Path
from typing import Any

import pytest

import agentstead
from agentstead.clock import SystemClock
from agentstead.sandbox import forking
from agentstead.sandbox.bubblewrap import Bubblewrap
from tests.security.test_escape import REFUSED, attempts
from tests.support.sandboxes import SPEC, text

PYTHON = Path("/usr/bin/python3")
UID = 61_847
"""Nobody's."""
HOARD = "for i in 1 2 3 4 5; do python3 -c 'x = bytearray(100 << 20); import time; time.sleep(15)' & done; wait; echo all"
BOMB = "b() { b | b & }; b; sleep 5; echo over"


def old(python: Path) -> bool:
    """Whether a supervisor cannot run on it."""
    command = [str(python), "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
    return not python.exists() or subprocess.run(command, check=False).returncode != 0


class Copied(Bubblewrap):
    """Started from files that everybody can read."""

    def __init__(self, top: Path, program: Path, libraries: list[Path]) -> None:
        super().__init__(top / "sandboxes", clock=SystemClock(), idle_seconds=60.0)
        self._copies = (str(program), [str(library) for library in libraries])

    def program(self) -> tuple[str, list[str]]:
        return self._copies


def copies(top: Path) -> Copied:
    """The package, bubblewrap and its library, below `top`, which is the user's."""
    shutil.copytree(Path(agentstead.__file__).parent, top / "agentstead")
    program, libraries = Bubblewrap(top, clock=SystemClock()).program()
    made = [Path(shutil.copy(file, top)) for file in (program, *libraries)]
    os.chown(top, UID, UID)
    top.chmod(0o755)
    return Copied(top, made[0], made[1:])


async def tried(sandboxes: Copied) -> dict[str, Any]:
    """What the attempts gave, and what was said of two bombs."""
    found: dict[str, Any] = {}
    try:
        found["attempts"] = await attempts(sandboxes, SPEC)
        for name, command in (("hoard", HOARD), ("bomb", BOMB), ("after", "echo fine")):
            call = {"command": command}
            found[name] = text(await sandboxes.call("sesn_plain", SPEC, name, "bash", call))
        found["limits"] = sandboxes._limits
    finally:
        for sandbox_id in await sandboxes.reconcile(set()):
            await sandboxes.destroy(sandbox_id)
        await sandboxes.close()
    return found


def become_the_user(top: Path, sandboxes: Copied, out: int) -> None:
    """In the child: try it all, say what it gave, end."""
    try:
        # what is imported late cannot be read any more in a moment
        asyncio.run(asyncio.to_thread(int))
        os.setgroups([])
        os.setresgid(UID, UID, UID)
        os.setresuid(UID, UID, UID)
        os.chdir("/")
        sys.executable = str(PYTHON)
        forking.SUPERVISOR = top / "agentstead/sandbox/supervisor/__main__.py"
        said = json.dumps(asyncio.run(tried(sandboxes)))
    except BaseException:  # whatever it is, the parent has to hear of it
        said = json.dumps({"error": traceback.format_exc()})
    with open(out, "w") as pipe:
        pipe.write(said)
    os._exit(0)


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """What every attempt gave."""
    if os.geteuid() != 0:
        pytest.skip("the whole suite runs as a plain user already")
    if old(PYTHON):
        pytest.skip(f"needs Python 3.11 at {PYTHON}")
    top = Path(tempfile.mkdtemp(prefix="agentstead-test-"))
    sandboxes = copies(top)
    out, into = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer Pythons warn of a fork beside threads
        child = os.fork()
    if child == 0:
        os.close(out)
        become_the_user(top, sandboxes, into)
    os.close(into)
    with open(out) as pipe:
        said = json.loads(pipe.read())
    os.waitpid(child, 0)
    shutil.rmtree(top)
    if "cannot start" in said.get("error", ""):
        pytest.skip(f"needs user namespaces for plain users: {said['error'].splitlines()[-1]}")
    assert "error" not in said, said["error"]
    return said


pytestmark = [pytest.mark.timeout(90), pytest.mark.xdist_group("plain_user")]


def test_nothing_is_open(found: dict[str, Any]) -> None:
    seen = found["attempts"]
    wrong = {name: seen[name] for name, codes in REFUSED.items() if seen[name] not in codes.split()}
    assert wrong == {}
    paths = {name: result for name, result in seen.items() if name.startswith("host ")}
    assert len(paths) == 12
    assert set(paths.values()) <= {"ENOENT", "EACCES"}
    assert seen["keys"] == ""


def test_limits_hold_without_control_groups(found: dict[str, Any]) -> None:
    assert found["limits"] == "rlimits (degraded)"
    assert "the memory limit of 256 MiB was reached, so all processes were ended" in found["hoard"]
    assert "the limit of 64 processes was reached" in found["bomb"]
    assert found["after"].splitlines()[-1] == "fine"
