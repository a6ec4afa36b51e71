"""Files are put in place, also beside what a process left that died while it did so."""

import json
import os
from pathlib import Path

import pytest

from agentstead.errors import SandboxFault
from agentstead.sandbox.sandbox import Upload
from agentstead.sandbox.supervisor.place import Place
from agentstead.sandbox.uploads import LIST, listed, put_in_place, take_away


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "sandboxes", "sesn_1")


@pytest.fixture
def bodies(tmp_path: Path) -> Path:
    (tmp_path / "bodies").mkdir()
    for name in ("one", "two"):
        (tmp_path / "bodies" / name).write_text(name)
    return tmp_path / "bodies"


def seen(place: Place) -> dict[str, str]:
    root = place.files / "uploads"
    return {
        str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()
    }


def uploads(bodies: Path, **places: str) -> tuple[Upload, ...]:
    return tuple(Upload(str(bodies / name), path) for name, path in places.items())


def test_nothing_to_put_makes_nothing(place: Place) -> None:
    put_in_place(place, ())
    assert not place.root.exists()


def test_files_come_change_and_go(place: Place, bodies: Path) -> None:
    put_in_place(place, uploads(bodies, one="a/b/c.txt", two="d"))
    assert seen(place) == {"a/b/c.txt": "one", "d": "two"}
    root = place.files / "uploads"
    assert (root / "d").samefile(bodies / "two")  # linked, not copied
    assert {path.stat().st_mode & 0o777 for path in (root, root / "a", root / "a/b")} == {0o755}
    put_in_place(place, uploads(bodies, two="a/b/c.txt"))
    assert seen(place) == {"a/b/c.txt": "two"}
    # A file may take a folder's place, and the other way round.
    put_in_place(place, uploads(bodies, one="a"))
    assert seen(place) == {"a": "one"}
    put_in_place(place, uploads(bodies, two="a/x"))
    assert seen(place) == {"a/x": "two"}
    put_in_place(place, ())
    assert list(root.iterdir()) == []


def test_another_file_system_gets_copies(place: Place, bodies: Path) -> None:
    shm = Path("/dev/shm") / f"agentstead-test-{os.getpid()}"
    try:
        shm.write_text("far")
    except OSError:
        pytest.skip("needs /dev/shm")
    try:
        if shm.stat().st_dev == bodies.stat().st_dev:
            pytest.skip("needs another file system")
        put_in_place(place, (Upload(str(shm), "far.txt"),))
        assert seen(place) == {"far.txt": "far"}
        assert not (place.files / "uploads" / "far.txt").samefile(shm)
    finally:
        shm.unlink()


def test_what_a_dead_process_left_is_put_right(place: Place, bodies: Path) -> None:
    put_in_place(place, uploads(bodies, one="kept"))
    # It had listed what it was about to do, and done one half of it.
    listed = json.loads((place.path / LIST).read_text())
    (place.path / LIST).write_text(json.dumps({**listed, "begun": "", "planned": ""}))
    os.link(bodies / "two", place.files / "uploads" / "begun")
    put_in_place(place, uploads(bodies, one="kept"))
    assert seen(place) == {"kept": "one"}


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../x", "a/../../x"])
def test_nothing_is_put_elsewhere(place: Place, bodies: Path, path: str) -> None:
    with pytest.raises(SandboxFault):
        put_in_place(place, (Upload(str(bodies / "one"), path),))
    assert [one for one in place.root.rglob("*") if one.name == "passwd"] == []


def test_a_body_that_is_not_there_is_a_fault(place: Place, bodies: Path) -> None:
    with pytest.raises(SandboxFault, match="cannot be mounted"):
        put_in_place(place, (Upload(str(bodies / "none"), "x"),))
    put_in_place(place, uploads(bodies, one="x"))
    assert seen(place) == {"x": "one"}


def test_what_is_taken_away_is_gone_and_nothing_else(place: Place, bodies: Path) -> None:
    put_in_place(place, uploads(bodies, one="a/b", two="c"))
    before = listed(place)
    put_in_place(place, uploads(bodies, two="a/b"))
    take_away(place, before)  # another file has come to the same path since
    assert seen(place) == {"a/b": "two"}
    take_away(place, listed(place))
    assert seen(place) == {}
    assert listed(place) == {}
    take_away(Place(place.root, "sesn_none"), {"x": "y"})
    assert not (place.root / "sesn_none").exists()
