"""Which process a pid file names, and whether it is the server."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agentstead.store.postmaster import Postmaster


@contextmanager
def process_in(folder: Path) -> Iterator[int]:
    """A process that works in a folder, as a server does."""
    process = subprocess.Popen(["sleep", "60"], cwd=folder)
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def say(cluster: Path, pid: object, status: str | None = "ready") -> Postmaster:
    lines = [str(pid), str(cluster), "1700000000", "5432", "/socket", "", " 1 2"]
    if status is not None:
        lines.append(f"{status}   ")
    (cluster / "postmaster.pid").write_text("\n".join(lines))
    return Postmaster(cluster)


def test_without_a_pid_file_it_is_gone(tmp_path: Path) -> None:
    server = Postmaster(tmp_path)
    assert (server.pid(), server.status(), server.running()) == (None, "gone", False)
    server.clear_stale()


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("ready", "ready"),
        ("starting", "starting"),
        ("stopping", "stopping"),
        ("standby", "starting"),
        (None, "starting"),
    ],
)
def test_a_process_in_the_cluster_is_the_server(
    tmp_path: Path, said: str | None, status: str
) -> None:
    with process_in(tmp_path) as pid:
        server = say(tmp_path, pid, said)
        assert (server.pid(), server.status()) == (pid, status)
        assert server.running() == (status == "ready")
        server.clear_stale()
        assert server.path.exists()


def test_a_process_elsewhere_is_not(tmp_path: Path) -> None:
    cluster, elsewhere = tmp_path / "cluster", tmp_path / "elsewhere"
    cluster.mkdir()
    elsewhere.mkdir()
    with process_in(elsewhere) as pid:
        server = say(cluster, pid)
        assert (server.pid(), server.status()) == (None, "gone")
        server.clear_stale()
        assert not server.path.exists()


def test_the_folder_is_the_same_by_any_name(tmp_path: Path) -> None:
    cluster, link = tmp_path / "cluster", tmp_path / "link"
    cluster.mkdir()
    link.symlink_to(cluster)
    with process_in(cluster) as pid:
        say(cluster, pid)
        assert Postmaster(link).pid() == pid


def test_a_process_that_ended_is_gone_even_before_it_is_collected(tmp_path: Path) -> None:
    process = subprocess.Popen(["true"], cwd=tmp_path)
    server = say(tmp_path, process.pid)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert server.pid() is None
    process.wait()
    assert server.pid() is None


@pytest.mark.parametrize("text", ["", "\n\n", "nonsense\n", "-5\n", "999999999\n"])
def test_a_broken_pid_file_names_nobody(tmp_path: Path, text: str) -> None:
    (tmp_path / "postmaster.pid").write_text(text)
    assert Postmaster(tmp_path).status() == "gone"
