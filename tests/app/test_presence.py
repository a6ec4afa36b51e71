"""A server can be found through its data directory while it lives, and only then."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from agentstead.app import presence
from agentstead.store.postmaster import exists


def test_a_live_server_is_found_and_its_file_is_private(tmp_path: Path) -> None:
    presence.announce_presence(tmp_path, "http://127.0.0.1:1")
    assert presence.read_presence(tmp_path) == presence.Presence("http://127.0.0.1:1", os.getpid())
    assert stat.S_IMODE((tmp_path / "serve.json").stat().st_mode) == 0o600


def test_a_server_that_was_killed_is_not_found(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait(timeout=20)
    (tmp_path / "serve.json").write_text(json.dumps({"url": "http://127.0.0.1:1", "pid": dead.pid}))
    assert presence.read_presence(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"url": "x"}', '{"url": "x", "pid": "y"}'])
def test_a_damaged_file_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "serve.json").write_text(text)
    assert presence.read_presence(tmp_path) is None


def test_no_file_is_no_server(tmp_path: Path) -> None:
    assert presence.read_presence(tmp_path) is None


def test_only_the_own_presence_is_withdrawn(tmp_path: Path) -> None:
    (tmp_path / "serve.json").write_text(json.dumps({"url": "http://127.0.0.1:1", "pid": 1}))
    presence.withdraw_presence(tmp_path)
    assert (tmp_path / "serve.json").exists()
    presence.announce_presence(tmp_path, "http://127.0.0.1:2")
    presence.withdraw_presence(tmp_path)
    assert not (tmp_path / "serve.json").exists()


def test_somebody_elses_process_is_alive() -> None:
    assert exists(1)
