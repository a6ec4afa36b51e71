"""A short chaos run: everything real, some seconds of kills, nothing lost and nothing twice.

The long form is `make chaos` (`agentstead chaos run`). `SEED=n` repeats a run's choices.
"""

import json
import os
import secrets

import pytest

from tests.support.places import memory_dir
from tests.support.prepared import prepare
from tests.support.processes import run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120), pytest.mark.xdist_group("processes")]

KINDS = "worker-kill,supervisor-kill,server-kill"


def test_kills_lose_and_double_nothing() -> None:
    seed = os.environ.get("SEED") or str(secrets.randbelow(1_000_000))
    with memory_dir() as folder:
        prepare(folder / "data")
        done = run(
            "chaos", "run", "--seed", seed, "--minutes", "0.1", "--kinds", KINDS, "--sessions", "4",
            "--workers", "2", "--servers", "1", "--dir", str(folder), "--json", seconds=110,
        )  # fmt: skip
    assert done.stdout.startswith("{"), done.stderr
    report = json.loads(done.stdout)
    assert (report["good"], done.returncode) == (True, 0), done.stdout
    assert report["kills"] >= 1
    assert report["calls"] >= 4


def test_a_kind_that_is_not_there_is_named() -> None:
    done = run("chaos", "run", "--kinds", "meteor")
    assert (done.returncode, done.stdout) == (1, "")
    assert "'meteor' is no kind of fault" in done.stderr
