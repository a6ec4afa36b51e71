"""Folders and files of the data directory: their modes, owners, and errors that say what to do."""

import os
import pwd
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentstead.errors import Misconfigured
from agentstead.store import data_dir as folders

NEW_MODE = 0o711 if os.geteuid() == 0 else 0o700


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """Modes do not depend on it."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def user(uid: int, gid: int) -> pwd.struct_passwd:
    return pwd.struct_passwd(("somebody", "x", uid, gid, "", "/nonexistent", "/usr/sbin/nologin"))


def test_new_folders(tmp_path: Path, umask: int) -> None:
    made = folders.make(tmp_path / "a" / "data")
    assert made == tmp_path / "a" / "data"
    assert (mode(made), mode(made.parent)) == (NEW_MODE, 0o755)


def test_old_folders_keep_their_mode(tmp_path: Path) -> None:
    old = tmp_path / "old"
    for given in (0o755, 0o1777, 0o2750):
        old.mkdir(exist_ok=True)
        old.chmod(given)
        folders.make(old)
        folders.make(old / "data")
        folders.make_private(old, None)
        assert mode(old) == given


def test_relative_paths_and_home_are_spelled_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert folders.make(Path("data")) == tmp_path / "data"
    assert folders.make(Path("~/data")) == tmp_path / "home" / "data"


def test_a_file_in_the_way(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(Misconfigured, match="is not a directory"):
        folders.make(file)
    with pytest.raises(Misconfigured, match=r"cannot be made .*--data-dir"):
        folders.make(file / "data")
    assert file.read_text() == ""


@pytest.mark.skipif(os.geteuid() == 0, reason="needs a plain user: root may write everywhere")
def test_a_folder_that_is_not_ours(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(Misconfigured, match=r"Permission denied.*Choose another one"):
        folders.make(tmp_path / "data")
    tmp_path.chmod(0o700)


def test_private_folders(tmp_path: Path) -> None:
    folders.make_private(tmp_path / "mine", None)
    assert mode(tmp_path / "mine") == 0o700


def test_private_files_are_written_whole(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "secret"
    for text in ("first, longer", "second"):
        folders.write_private(path, text)
        assert (path.read_text(), mode(path)) == (text, 0o600 & ~umask)
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]


def test_a_planted_link_is_not_written_through(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    (tmp_path / ".secret.new").symlink_to(victim)
    (tmp_path / "secret").symlink_to(victim)
    folders.write_private(tmp_path / "secret", "new")
    assert victim.read_text() == "untouched"
    assert not (tmp_path / "secret").is_symlink()


def test_a_private_file_can_belong_to_another_user(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root: gives a file away")
    folders.write_private(tmp_path / "secret", "x", user(65534, 65534))
    folders.make_private(tmp_path / "folder", user(65534, 65534))
    for name in ("secret", "folder"):
        state = (tmp_path / name).stat()
        assert (state.st_uid, state.st_gid) == (65534, 65534)


def test_the_database_never_runs_as_root() -> None:
    owner = folders.database_owner()
    if os.geteuid() != 0:
        assert owner is None
        return
    assert owner is not None
    assert (owner.pw_name, owner.pw_uid != 0) == (folders.SYSTEM_USER, True)
    assert folders.database_owner() == owner


@pytest.mark.parametrize(
    ("given", "as_owner", "as_group", "as_other"),
    [
        (0o700, True, False, False),
        (0o710, True, True, False),
        (0o701, True, False, True),
        (0o711, True, True, True),
        (0o611, False, True, True),
        (0o666, False, False, False),
    ],
)
def test_who_may_pass(
    tmp_path: Path, given: int, as_owner: bool, as_group: bool, as_other: bool
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(given)
    state = folder.stat()
    uid, gid = state.st_uid, state.st_gid
    assert folders.may_pass(state, user(uid, gid)) == as_owner
    assert folders.may_pass(state, user(uid + 1, gid)) == as_group
    assert folders.may_pass(state, user(uid + 1, gid + 1)) == as_other


def test_the_first_closed_folder_is_named_with_what_opens_it(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o700)
    state = folder.stat()
    other = user(state.st_uid + 1, state.st_gid + 1)
    closed = next(
        path
        for path in reversed([folder, *folder.parents])
        if not folders.may_pass(path.stat(), other)
    )
    with pytest.raises(Misconfigured, match=rf"allow it: chmod o\+x {closed}$"):
        folders.check_reachable(folder, other)
    folders.check_reachable(folder, None)
