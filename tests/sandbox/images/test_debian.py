"""Building a Debian, here by a stand-in for mmdebstrap that has something to undo when it is asked to end."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agentstead.errors import Misconfigured
from agentstead.sandbox.images import debian
from agentstead.sandbox.images.images import Images
from tests.support.sandboxes import needed

STAND_IN = """#!/bin/bash
trap 'rm {mount}; exit 1' TERM
touch {mount}
echo "I: extracting archives..." >&2
{rest}
"""
BUILD = """
import sys
from pathlib import Path
from agentstead.sandbox.images import debian
from agentstead.sandbox.images.images import Images
debian.build(Images(Path(sys.argv[1])), "x", "2026-01-01T00:00:00Z", lambda line: print(line, flush=True))
"""


@pytest.fixture(autouse=True)
async def sandboxes_run_here() -> None:
    await needed()


def stand_in(folder: Path, rest: str) -> Path:
    """Put a program mmdebstrap into a folder; the file that it removes at its end."""
    mount = folder / "mount"
    program = folder / debian.PROGRAM
    program.write_text(STAND_IN.format(mount=mount, rest=rest))
    program.chmod(0o755)
    return mount


def test_a_build_that_is_asked_to_end_lets_the_program_undo_its_mounts(
    tmp_path: Path,
) -> None:
    mount = stand_in(tmp_path, "sleep 60 & wait")
    images = tmp_path / "images"
    with subprocess.Popen(
        [sys.executable, "-c", BUILD, str(images)],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"I: extracting archives...\n"
        assert mount.exists()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 128 + signal.SIGTERM
    assert not mount.exists()
    assert list(images.iterdir()) == []


def test_a_program_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, 'echo "E: no such suite" >&2; exit 25')
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    images = Images(tmp_path / "images")
    with pytest.raises(Misconfigured, match=r"(?s)status 25.*E: no such suite"):
        debian.build(images, "x", "2026-01-01T00:00:00Z", lambda _: None)
    assert list(images.root.iterdir()) == []


def test_what_is_no_root_file_system_ends_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount = stand_in(tmp_path, "echo no tar; exec 1>&-; sleep 60 & wait")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(debian, "LAST_SECONDS", 0.1)
    with pytest.raises(Misconfigured, match="mmdebstrap failed with status 1"):
        debian.build(Images(tmp_path / "images"), "x", "2026-01-01T00:00:00Z", lambda _: None)
    assert not mount.exists()
