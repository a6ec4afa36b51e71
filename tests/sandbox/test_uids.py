"""Host users of sandboxes: never root, never shared, never twice."""

import os
from pathlib import Path

import pytest

from agentstead.sandbox.supervisor import uids


def test_each_sandbox_gets_a_user_of_its_own(tmp_path: Path) -> None:
    registry = tmp_path / "uids"
    users = {uids.take(registry, f"sesn_{number}") for number in range(20)}
    assert len(users) == 20
    assert all(uids.FIRST <= user <= uids.LAST for user in users)


def test_a_user_is_given_again_only_when_it_was_given_back(tmp_path: Path) -> None:
    registry = tmp_path / "uids"
    first = uids.take(registry, "sesn_1")
    assert uids.take(registry, "sesn_2") != first
    uids.give_back(registry, first, "sesn_2")
    assert uids.take(registry, "sesn_3") != first
    uids.give_back(registry, first, "sesn_1")
    uids.give_back(registry, first, "sesn_1")
    assert uids.take(registry, "sesn_4") == first


@pytest.mark.parametrize(
    ("mapped", "first", "last"),
    [
        ([(0, 4294967294)], 200_000, 265_535),
        ([(0, 0), (1, 65_536)], 49_153, 65_536),
        ([(0, 0), (200_000, 265_535)], 200_000, 265_535),
    ],
)
def test_the_pool_lies_among_the_users_there_are(
    mapped: list[tuple[int, int]], first: int, last: int
) -> None:
    assert uids.pool(mapped) == (first, last)


def test_without_users_there_is_no_pool() -> None:
    for mapped in ([(0, 0)], [(0, 999)], []):
        with pytest.raises(uids.NoUserLeft, match="too few users"):
            uids.pool(mapped)


def test_users_with_running_processes_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uids, "_candidates", lambda _: iter([os.getuid(), uids.LAST]))
    assert uids.take(tmp_path / "uids", "sesn_1") == uids.LAST
    assert not uids.runs(uids.LAST)
