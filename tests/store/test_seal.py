"""Secrets at rest."""

import stat
import threading
from pathlib import Path

import pytest

from agentstead.errors import Misconfigured, StoreFault
from agentstead.store.key_ring import KeyRing
from agentstead.store.seal import Seal


def test_a_secret_opens_only_where_it_belongs(tmp_path: Path) -> None:
    seal = Seal(KeyRing(tmp_path / "keys"))
    text = seal.seal("vcrd_1.token", "s3cret é")
    assert "s3cret" not in text
    assert seal.open("vcrd_1.token", text) == "s3cret é"
    assert seal.seal("vcrd_1.token", "s3cret é") != text
    with pytest.raises(StoreFault, match="belongs to another row"):
        seal.open("vcrd_2.token", text)
    for place in range(0, len(text), 7):
        changed = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
        with pytest.raises(StoreFault):
            seal.open("vcrd_1.token", changed)


def test_the_keys_are_private_and_shared_by_processes(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    one, other = Seal(KeyRing(path)), Seal(KeyRing(path))
    text = one.seal("c", "secret")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert other.open("c", text) == "secret"


def test_two_processes_that_need_a_first_key_make_one(tmp_path: Path) -> None:
    rings = [KeyRing(tmp_path / "keys") for _ in range(8)]
    threads = [threading.Thread(target=ring.current) for ring in rings]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({ring.current() for ring in rings}) == 1


def test_a_rotated_key_seals_and_the_old_one_still_opens(tmp_path: Path) -> None:
    ring = KeyRing(tmp_path / "keys")
    seal, running = Seal(ring), Seal(KeyRing(tmp_path / "keys"))
    old = seal.seal("c", "secret")
    assert seal.rewrapped("c", old) is None
    added = ring.add()
    assert running.seal("c", "x").split(".")[1] == added
    new = seal.rewrapped("c", old)
    assert new is not None
    assert new.split(".")[3] == old.split(".")[3]
    assert (running.open("c", old), running.open("c", new)) == ("secret", "secret")
    assert ring.drop_old() == [old.split(".")[1]]
    assert running.open("c", new) == "secret"
    running.ring.refresh()
    with pytest.raises(StoreFault, match=f"master key {old.split('.')[1]}"):
        running.open("c", old)


@pytest.mark.parametrize("text", ["", "a", "a:AAAA", "a:???", ":" + "A" * 44, "a b:" + "A" * 44])
def test_a_bad_setting_is_refused_without_showing_it(tmp_path: Path, text: str) -> None:
    with pytest.raises(Misconfigured, match="AGENTSTEAD_SEAL_KEYS") as refused:
        KeyRing(tmp_path / "keys", text)
    assert "AAAA" not in str(refused.value)


def test_keys_of_the_setting_leave_no_file(tmp_path: Path) -> None:
    given = "k1:" + "A" * 43 + "=,k2:" + "B" * 43 + "="
    ring = KeyRing(tmp_path / "keys", given)
    text = Seal(ring).seal("c", "secret")
    assert text.split(".")[1] == "k1"
    assert not (tmp_path / "keys").exists()
    with pytest.raises(Misconfigured, match="put a new one in front"):
        ring.add()
    with pytest.raises(Misconfigured, match="take the old ones out"):
        ring.drop_old()
