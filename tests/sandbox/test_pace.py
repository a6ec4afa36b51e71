"""A sandbox that writes more than the disk takes stands still for a while; on files like the kernel's, and for real."""

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentstead.sandbox.supervisor import pace
from agentstead.sandbox.supervisor.limits import Control
from agentstead.sandbox.supervisor.pace import BACKLOG_BYTES, Pace
from agentstead.sandbox.supervisor.place import Place
from tests.support.sandboxes import SPEC, gone, needed, real_sandboxes, supervisor_pid

ID = "sesn_pace"


@pytest.fixture
def written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Pace, Callable[[int], None], Path]:
    """A pace, what says how much waits for the disk, and the file that says whether all stands still."""
    monkeypatch.setattr(pace, "LOOK_SECONDS", 0.0)
    place = Place(tmp_path / "sandboxes", ID)
    place.files.mkdir(parents=True)
    state, stat = tmp_path / "freezer.state", tmp_path / "memory.stat"
    state.write_text("THAWED")
    control = Control("cgroup1", 1, 1, {"memory": tmp_path, "freezer": tmp_path})

    def waits(count: int) -> None:
        stat.write_text(f"dirty {count}\n")

    return Pace(place, control), waits, state


async def test_little_is_not_slowed_down(written: Any) -> None:
    paced, waits, state = written
    waits(BACKLOG_BYTES)
    paced.look()
    assert state.read_text() == "THAWED"
    assert not paced.alert


async def test_much_stands_still_until_it_is_written_and_its_share_lasts(written: Any) -> None:
    paced, waits, state = written
    waits(BACKLOG_BYTES + 1)
    paced.look()
    assert state.read_text() == "FROZEN"
    waits(0)
    paced.look()
    assert state.read_text() == "FROZEN"  # half a second of its share is not over
    async with asyncio.timeout(5):
        while state.read_text() == "FROZEN":
            await asyncio.sleep(0.02)
            paced.look()
    assert paced.alert


async def test_at_the_end_it_goes_on_at_once(written: Any) -> None:
    paced, waits, state = written
    waits(1 << 40)
    paced.look()
    paced.go_on()
    assert state.read_text() == "THAWED"


async def test_a_flood_is_paced_and_nothing_else_of_it_is_seen() -> None:
    await needed()
    async with real_sandboxes() as sandboxes:
        spec = replace(SPEC, limits=replace(SPEC.limits, disk_bytes=1 << 30))
        flood = (
            "for i in 1 2 3; do head -c 40M /dev/zero > f$i; done; sync f1 f2 f3; rm f?; echo all"
        )
        outcome = await sandboxes.call(ID, spec, "1", "bash", {"command": flood})
        assert outcome.content[0]["text"] == "all"


async def test_a_supervisor_killed_while_all_stands_still_leaves_nothing() -> None:
    await needed()
    async with real_sandboxes() as sandboxes:
        await sandboxes.call(ID, SPEC, "1", "bash", {"command": "sleep 60 & echo"})
        groups = [Path(group) for group in Place(sandboxes.root, ID).meta()["groups"]]
        switches = [
            group / "freezer.state" for group in groups if (group / "freezer.state").exists()
        ]
        if not switches:
            pytest.skip("needs a control group that can be frozen")
        switches[0].write_text("FROZEN")
        supervisor = supervisor_pid(sandboxes, ID)
        os.kill(supervisor, signal.SIGKILL)
        await gone(supervisor)
        await sandboxes.destroy(ID)
        assert not any(group.exists() for group in groups)
