"""The programs from the wheel, and the copy that another user can run."""

import os
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from agentstead.errors import Misconfigured
from agentstead.store import binaries
from tests.store.conftest import NOBODY


@pytest.fixture
def data_dir(place: Path) -> Path:
    folder = place / "data"
    folder.mkdir(exist_ok=True)
    return folder


def version(folder: Path, name: str, **who: int) -> str:
    made = subprocess.run(
        [str(folder / name), "--version"],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
        **who,
    )
    return made.stdout.strip()


def test_the_installed_programs_run() -> None:
    folder = binaries.programs(binaries.installed())
    for name in binaries.PROGRAMS:
        assert version(folder, name).startswith(f"{name} (PostgreSQL) 18")


def test_a_missing_wheel_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "PACKAGE", "no_such_package")
    with pytest.raises(Misconfigured, match="--database-url"):
        binaries.installed()


def test_the_copy_is_made_once_for_everybody(data_dir: Path) -> None:
    before = os.umask(0o077)
    try:
        copy = binaries.copied(data_dir)
    finally:
        os.umask(before)
    for folder, _, names in os.walk(copy):
        assert Path(folder).stat().st_mode & 0o777 == 0o755
        modes = {(Path(folder) / name).stat().st_mode & 0o777 for name in names}
        assert modes <= {0o644, 0o755}
    programs = binaries.programs(copy)
    assert sorted(path.name for path in programs.iterdir()) == sorted(binaries.PROGRAMS)
    assert version(programs, "postgres") == version(
        binaries.programs(binaries.installed()), "postgres"
    )
    assert not list(copy.rglob("*.a"))
    stamp = copy.stat().st_mtime_ns, copy.stat().st_ino
    assert binaries.copied(data_dir) == copy
    assert (copy.stat().st_mtime_ns, copy.stat().st_ino) == stamp
    assert list(data_dir.iterdir()) == [copy]


def test_another_user_runs_the_copy(
    data_dir: Path, somebody: Callable[[int, int], AbstractContextManager[None]]
) -> None:
    programs = binaries.programs(binaries.copied(data_dir))
    said = version(programs, "initdb", user=NOBODY, group=NOBODY)
    assert said.startswith("initdb (PostgreSQL) 18")
    with somebody(NOBODY, NOBODY), pytest.raises(PermissionError):
        (programs / "initdb").write_bytes(b"")


def test_a_copy_that_fails_leaves_nothing(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "PROGRAMS", ("initdb", "no-such-program"))
    with pytest.raises(Misconfigured, match="cannot be copied"):
        binaries.copied(data_dir)
    assert list(data_dir.iterdir()) == []
