"""Decisions on their way to the log: each is told once, by whoever takes it, and none is kept for ever."""

import os
from pathlib import Path

from agentstead.sandbox.decisions import Decision, Traffic, take
from agentstead.sandbox.supervisor import spool as spools
from agentstead.sandbox.supervisor.spool import FOLDER, Spool
from agentstead.testing.clock import ManualClock


def record(host: str = "a.example", decision: str = "allowed") -> dict[str, object]:
    return {
        "decision": decision, "reason": "", "method": "GET", "host": host, "port": 80, "address": "9.9.9.9",
    }  # fmt: skip


def test_each_is_told_once(tmp_path: Path) -> None:
    clock = ManualClock()
    assert list(take(tmp_path, clock)) == []
    spool = Spool(tmp_path, "sesn_1")
    spool.write()
    assert not (tmp_path / FOLDER).exists()
    spool.add(record(), "call_1")
    spool.add(record(), "call_1")
    spool.add(record(), "")
    spool.add({"sent": 10, "received": 20, "began": 1.0}, "")
    spool.add({"lost": 3}, "")
    spool.write()
    spool.write()
    told = list(take(tmp_path, clock))
    assert told == [
        Decision("sesn_1", "call_1", "allowed", "", "GET", "a.example", 80, "9.9.9.9", 2),
        Decision("sesn_1", "", "allowed", "", "GET", "a.example", 80, "9.9.9.9", 1),
        Traffic("sesn_1", 10, 20, 3),
    ]
    assert list(take(tmp_path, clock)) == []
    assert list((tmp_path / FOLDER).iterdir()) == []


def test_many_kinds_are_counted_instead_of_kept(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "sesn_1")
    for number in range(spools.KINDS_MAX + 5):
        spool.add(record(f"h{number}.example"), "call_1")
    spool.write()
    *decisions, traffic = take(tmp_path, ManualClock())
    assert len(decisions) == spools.KINDS_MAX
    assert traffic == Traffic("sesn_1", 0, 0, 5)


def test_a_folder_that_nobody_empties_stops_growing(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(spools, "FILES_MAX", 2)
    spool = Spool(tmp_path, "sesn_1")
    for _ in range(4):
        spool.add(record(), "call_1")
        spool.write()
    assert len(list((tmp_path / FOLDER).iterdir())) == 2
    assert len(list(take(tmp_path, ManualClock()))) == 2
    spool.write()
    assert list(take(tmp_path, ManualClock())) == [Traffic("sesn_1", 0, 0, 2)]


def test_what_a_dead_taker_left_is_taken_a_minute_later(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "sesn_1")
    spool.add(record(), "call_1")
    spool.write()
    (file,) = (tmp_path / FOLDER).iterdir()
    left = file.rename(file.with_suffix(".taken"))
    clock = ManualClock()
    os.utime(left, (clock.now(), clock.now()))
    assert list(take(tmp_path, clock)) == []
    os.utime(left, (clock.now() - 61, clock.now() - 61))
    assert len(list(take(tmp_path, clock))) == 1
