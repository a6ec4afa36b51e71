"""Measuring and deleting what an agent made, however it was made."""

import os
from pathlib import Path

import pytest

from agentstead.sandbox.supervisor import disk


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Links that lead out, depth, permissions, pipes, odd names."""
    top = tmp_path / "tree"
    top.mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "precious").write_text("x")
    (top / "link").symlink_to(tmp_path / "outside")
    (top / "dangling").symlink_to("/no/such/thing")
    os.mkfifo(top / "pipe")
    (top / "new\nline\udcff").write_text("x")
    (top / ".deep-1").mkdir()
    (top / "locked").mkdir()
    (top / "locked" / "inner").mkdir()
    (top / "locked" / "inner" / "file").write_text("x")
    (top / "locked" / "inner").chmod(0)
    (top / "locked").chmod(0)
    here = os.open(top, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("deep", dir_fd=here)
        inner = os.open("deep", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    return top


def test_everything_goes_and_nothing_else(tree: Path, tmp_path: Path) -> None:
    disk.delete(tree)
    assert not tree.exists()
    assert (tmp_path / "outside" / "precious").read_text() == "x"
    disk.delete(tree)


def test_a_tree_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_text("x")
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(OSError, match="Not a directory"):
        disk.delete(tmp_path / "link")
    assert (tmp_path / "real" / "file").exists()


def test_use_is_counted_without_following_links(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_text("x")
    (tmp_path / "tree" / "link").symlink_to(tmp_path)
    (tmp_path / "big").write_bytes(b"x" * (1 << 20))
    assert disk.used(tmp_path / "tree", 1 << 40) < 1 << 16
    (tmp_path / "tree" / "big").write_bytes(b"x" * (1 << 20))
    assert disk.used(tmp_path / "tree", 1 << 40) > 1 << 20


def test_nothing_can_be_hidden_in_the_depth(tree: Path) -> None:
    assert disk.used(tree, 1 << 40) > 1 << 40
    disk.delete(tree)


def test_holes_are_free_and_empty_files_are_not(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 30)
    assert disk.used(tmp_path, 1 << 40) < 1 << 20
    for number in range(100):
        (tmp_path / str(number)).touch()
    assert disk.used(tmp_path, 1 << 40) >= 100 * disk.ENTRY_BYTES


def test_counting_ends_soon_after_the_limit(tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / str(number)).write_bytes(b"x" * 4096)
    assert 8192 < disk.used(tmp_path, 8192) < 3 * 8192
