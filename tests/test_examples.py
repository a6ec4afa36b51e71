"""Every example runs, as a user would run it, and leaves nothing behind."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.places import temporary_dir
from tests.support.processes import Platform, environment, quick_platform

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]


@pytest.fixture
def platform() -> Iterator[Platform]:
    with quick_platform() as platform:
        yield platform


def play(name: str, **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(EXAMPLES / name)],
        env=environment(**extra), capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_every_example_is_run_here() -> None:
    programs = {path.name for path in EXAMPLES.glob("*.py")}
    assert programs == {"00_hello.py", "demo.py", "processes.py"}


def test_hello(platform: Platform) -> None:
    platform.serve()
    where = {"AGENTSTEAD_BASE_URL": platform.url, "AGENTSTEAD_API_KEY": platform.key}
    said = play("00_hello.py", **where)
    assert said.returncode == 0, said.stderr
    lines = said.stdout.splitlines()
    assert any(line.startswith("agent.message ") for line in lines)
    assert lines[-1] == "session.status_idle"


def test_the_demo_kills_a_worker_and_finishes() -> None:
    place = temporary_dir()
    started = time.monotonic()
    said = play("demo.py", TMPDIR=str(place))
    assert said.returncode == 0, said.stdout + said.stderr
    assert time.monotonic() - started < 60
    assert "the model is scripted" in said.stdout
    assert "SIGKILL to worker-" in said.stdout
    assert "ran once" in said.stdout
    assert "20,832 rides" in said.stdout
    assert "no process is left" in said.stdout
    assert "Traceback" not in said.stderr
    assert list(place.iterdir()) == []
    place.rmdir()
