"""Control groups of both versions, on trees like the kernel's."""

from pathlib import Path
from typing import Any

import pytest

from agentstead.sandbox.probing import remedies
from agentstead.sandbox.supervisor import limits
from agentstead.sandbox.supervisor.__main__ import CannotStart, start
from agentstead.sandbox.supervisor.place import Place

WANTED = {"memory_bytes": 1 << 20, "processes_max": 7, "cpus": 0.5}


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A host described by files."""
    told: dict[str, Any] = {"mounts": [], "own": {}}
    monkeypatch.setattr(
        limits, "_mounts", lambda kind: (mount[1:] for mount in told["mounts"] if mount[0] == kind)
    )
    monkeypatch.setattr(limits, "_own_groups", lambda: told["own"])
    return told


def test_version_1(tmp_path: Path, host: dict[str, Any]) -> None:
    for name in ("memory", "pids", "cpu"):
        (tmp_path / name / "ours").mkdir(parents=True)
        host["mounts"].append(("cgroup", tmp_path / name, "/", ["rw", name]))
        host["own"][name] = "/ours"
    control = limits.control("sesn_1", WANTED)
    assert control.kind == "cgroup1"
    folder = tmp_path / "memory" / "ours" / "agentstead-sesn_1"
    assert control.groups["memory"] == folder
    assert (folder / "memory.limit_in_bytes").read_text() == str(1 << 20)
    assert (tmp_path / "pids/ours/agentstead-sesn_1/pids.max").read_text() == "7"
    assert (tmp_path / "cpu/ours/agentstead-sesn_1/cpu.cfs_quota_us").read_text() == "50000"
    (folder / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n")
    assert control.oom_kills() == 3


def test_version_1_inside_a_container(tmp_path: Path, host: dict[str, Any]) -> None:
    for name in ("memory", "pids"):
        (tmp_path / name).mkdir()
        host["mounts"].append(("cgroup", tmp_path / name, "/docker/abc", ["rw", name]))
        host["own"][name] = "/docker/abc"
    control = limits.control("sesn_1", WANTED)
    assert set(control.groups) == {"memory", "pids"}
    assert control.groups["pids"] == tmp_path / "pids" / "agentstead-sesn_1"


def test_version_2_from_a_group_that_may_give(tmp_path: Path, host: dict[str, Any]) -> None:
    host["mounts"].append(("cgroup2", tmp_path, "/", ["rw"]))
    host["own"][""] = "/user/service"
    above = tmp_path / "user"
    (above / "service").mkdir(parents=True)
    for folder in (above, above / "agentstead"):
        folder.mkdir(exist_ok=True)
        (folder / "cgroup.subtree_control").write_text("cpu memory pids")
    control = limits.control("sesn_1", WANTED)
    assert control.kind == "cgroup2"
    folder = above / "agentstead" / "sesn_1"
    assert set(control.groups.values()) == {folder}
    assert (folder / "memory.max").read_text() == str(1 << 20)
    assert (folder / "pids.max").read_text() == "7"
    assert (folder / "cpu.max").read_text() == "50000 100000"
    (folder / "memory.events").write_text("low 0\noom 1\noom_kill 2\n")
    assert control.oom_kills() == 2


def test_it_stands_still_and_goes_on(tmp_path: Path, host: dict[str, Any]) -> None:
    for name in ("memory", "pids", "freezer"):
        (tmp_path / name).mkdir()
        host["mounts"].append(("cgroup", tmp_path / name, "/", ["rw", name]))
        host["own"][name] = "/"
    control = limits.control("sesn_1", WANTED)
    state = control.groups["freezer"] / "freezer.state"
    assert state.read_text() == "THAWED"
    assert control.freeze()
    assert state.read_text() == "FROZEN"
    control.thaw()
    assert state.read_text() == "THAWED"
    stat = "cache 99\ndirty 4096\nwriteback 8192\ntotal_dirty 4096\n"
    (control.groups["memory"] / "memory.stat").write_text(stat)
    assert control.waiting_bytes() == 12288


def test_of_version_2_too(tmp_path: Path) -> None:
    control = limits.Control("cgroup2", 1, 1, dict.fromkeys(("memory", "freezer"), tmp_path))
    assert not control.freeze()  # a kernel that cannot
    (tmp_path / "cgroup.freeze").write_text("0")
    assert control.freeze()
    assert (tmp_path / "cgroup.freeze").read_text() == "1"
    (tmp_path / "memory.stat").write_text("anon 7\nfile_dirty 5\nfile_writeback 6\n")
    assert control.waiting_bytes() == 11
    limits.remove([str(tmp_path / "never")])


def test_what_stands_still_can_be_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "freezer.state").write_text("FROZEN")
    monkeypatch.setattr(limits, "REMOVE_SECONDS", 0.0)
    limits.remove([str(tmp_path)])
    assert (tmp_path / "freezer.state").read_text() == "THAWED"


def test_without_groups_it_is_said(host: dict[str, Any]) -> None:
    control = limits.control("sesn_1", WANTED)
    assert control.kind == "rlimits (degraded)"
    assert control.groups == {}
    assert control.oom_kills() == 0
    assert control.waiting_bytes() == 0
    assert not control.freeze()
    assert control.tasks(1) > 0


def test_where_groups_are_required_a_sandbox_without_them_does_not_start(
    tmp_path: Path, host: dict[str, Any]
) -> None:
    place = Place(tmp_path, "sesn_1")
    place.make()
    with pytest.raises(CannotStart, match="control group") as refused:
        start(place, {"limits": WANTED, "require_cgroups": True})
    assert "Delegate=yes" in remedies(str(refused.value))[0]


def test_removing_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    limits.remove([str(tmp_path / "empty"), str(tmp_path / "never")])
    assert not (tmp_path / "empty").exists()
