"""Looking at a hostile tree from outside."""

import os
from pathlib import Path

import pytest

from agentstead.sandbox import outputs
from agentstead.sandbox.outputs import look, opened


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def paths(tree: Path) -> list[str]:
    return [output.path for output in look(tree)]


def test_plain_files_are_found_oldest_change_first(tree: Path) -> None:
    assert look(tree / "none") == []
    for age, name in enumerate(("c", "a", "b")):
        (tree / name).write_text("x" * age)
        os.utime(tree / name, (age + 1, age + 1))
    (tree / "d").mkdir()
    (tree / "d" / "e").write_text("")
    os.utime(tree / "d" / "e", (0, 0))
    assert paths(tree) == ["d/e", "c", "a", "b"]
    assert [output.size_bytes for output in look(tree)] == [0, 0, 1, 2]


def test_links_pipes_and_what_lies_too_deep_are_not(tree: Path) -> None:
    (tree / "link").symlink_to(tree.parent / "secret")
    (tree / "folder").symlink_to(tree.parent)
    os.mkfifo(tree / "pipe")
    deep = tree.joinpath(*["d"] * (outputs.DEPTH_MAX + 1))
    deep.mkdir(parents=True)
    (deep / "file").write_text("")
    (deep.parent / "seen").write_text("")
    assert [Path(path).name for path in paths(tree)] == ["seen"]


def test_a_top_that_is_a_link_is_not_followed(tree: Path) -> None:
    (tree.parent / "other").symlink_to(tree.parent)
    assert look(tree.parent / "other") == []


def test_no_more_is_looked_at_than_bounds_allow(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outputs, "ENTRIES_MAX", 5)
    for number in range(9):
        (tree / str(number)).write_text("")
    assert len(look(tree)) == 5


def test_a_stamp_tells_of_every_change(tree: Path) -> None:
    file = tree / "a"
    file.write_text("one")
    stamps = {look(tree)[0].stamp}
    at = file.stat()
    file.write_text("two")  # as long as before, and with its time put back
    os.utime(file, ns=(at.st_atime_ns, at.st_mtime_ns))
    stamps.add(look(tree)[0].stamp)
    file.unlink()
    file.write_text("two")
    stamps.add(look(tree)[0].stamp)
    assert len(stamps) == 3
    assert look(tree)[0].stamp in stamps


def test_only_plain_files_are_opened(tree: Path) -> None:
    (tree / "d").mkdir()
    (tree / "d" / "a").write_text("plain")
    (tree / "link").symlink_to(tree.parent / "secret")
    (tree / "folder").symlink_to(tree.parent)
    os.mkfifo(tree / "pipe")
    file = opened(tree, "d/a")
    assert file is not None
    with file:
        assert file.read() == b"plain"
    for path in ("link", "folder/secret", "pipe", "d", "none", "d/a/b", "../secret"):
        found = opened(tree, path)
        assert found is None, path
