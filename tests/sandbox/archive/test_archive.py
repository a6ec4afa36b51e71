"""What an agent made comes back from an archive as it was, and no archive leads out of its folders."""

import io
import os
import socket
import stat
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agentstead.sandbox.archive.pack import Pack
from agentstead.sandbox.archive.unpack import Damaged, Unpack
from agentstead.sandbox.archive.walk import DEPTH_MAX, TooMuch, fingerprint
from agentstead.sandbox.supervisor import disk

NAMES = ("workspace", "outputs")


@contextmanager
def opened(root: Path) -> Iterator[dict[str, int]]:
    trees = {}
    for name in NAMES:
        (root / name).mkdir(parents=True, exist_ok=True)
        trees[name] = os.open(root / name, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield trees
    finally:
        for folder in trees.values():
            os.close(folder)


def packed(root: Path, bytes_max: int = 1 << 30) -> tuple[bytes, Pack]:
    out = io.BytesIO()
    with opened(root) as trees:
        pack = Pack(trees, lambda data: bool(out.write(data)) and None, bytes_max)
        pack.write()
    return out.getvalue(), pack


def unpacked(data: bytes, root: Path) -> Unpack:
    with opened(root) as trees:
        unpack = Unpack(trees)
        unpack.read(io.BytesIO(data))
    return unpack


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    """Where an agent works."""
    root = tmp_path / "first"
    for name in NAMES:
        (root / name).mkdir(parents=True)
    yield root
    disk.delete(root)
    disk.delete(tmp_path / "again")


@pytest.fixture
def again(tmp_path: Path) -> Path:
    """Where it is made again."""
    return tmp_path / "again"


def test_names_contents_modes_and_times_come_back(tree: Path, again: Path) -> None:
    work = os.fsencode(tree / "workspace")
    (tree / "outputs" / "report.txt").write_text("done")
    for name in (b"\xff\n odd", b"plain", "größe".encode(), b"n" * 120, b"x" * 255):
        Path(os.fsdecode(work + b"/" + name)).write_bytes(name)
    run = tree / "workspace" / "run"
    run.write_text("#!/bin/sh")
    run.chmod(0o4755)
    os.utime(run, (1_000_000_000, 1_000_000_000))
    os.utime(tree / "workspace" / "plain", (-5e9, -5e9))
    closed = tree / "workspace" / "closed"
    (closed / "in").mkdir(parents=True)
    (closed / "in" / "file").write_text("kept")
    closed.chmod(0o555)
    data, pack = packed(tree)
    unpack = unpacked(data, again)
    assert (pack.files, unpack.files) == (8, 8)
    assert not pack.walk.left_out.count
    assert not unpack.left_out.count
    made = os.fsencode(again / "workspace")
    for name in (b"\xff\n odd", b"plain", "größe".encode(), b"n" * 120, b"x" * 255):
        assert Path(os.fsdecode(made + b"/" + name)).read_bytes() == name
    status = (again / "workspace" / "run").stat()
    assert stat.S_IMODE(status.st_mode) == 0o755  # nothing runs with its owner's rights
    assert status.st_mtime == 1_000_000_000
    assert (again / "workspace" / "plain").stat().st_mtime == 0
    assert stat.S_IMODE((again / "workspace" / "closed").stat().st_mode) == 0o555
    assert (again / "workspace" / "closed" / "in" / "file").read_text() == "kept"
    assert (again / "outputs" / "report.txt").read_text() == "done"


def test_links_are_kept_as_links_and_never_followed(tree: Path, again: Path) -> None:
    work = tree / "workspace"
    secret = tree.parent / "secret"
    secret.write_text("of the host")
    (work / "out").symlink_to(secret)
    (work / "up").symlink_to("../../..")
    (work / "long").symlink_to("y" * 150)
    (work / "first").write_text("one")
    (work / "deep").mkdir()
    os.link(work / "first", work / "deep" / "second")
    os.mkfifo(work / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        folder = os.open(work, os.O_PATH)
        listener.bind(f"/proc/self/fd/{folder}/socket")
        os.close(folder)
        data, _ = packed(tree)
    assert b"of the host" not in data
    unpacked(data, again)
    made = again / "workspace"
    assert sorted(os.listdir(made)) == ["deep", "first", "long", "out", "pipe", "up"]
    assert (made / "out").readlink() == secret
    assert str((made / "long").readlink()) == "y" * 150
    assert (made / "first").stat().st_ino == (made / "deep" / "second").stat().st_ino
    assert stat.S_ISFIFO((made / "pipe").stat().st_mode)


def test_holes_stay_holes(tree: Path, again: Path) -> None:
    with (tree / "workspace" / "sparse\udcfe").open("wb") as file:
        file.seek(1 << 30)
        file.write(b"end")
        file.truncate((1 << 30) + (1 << 20))
    with (tree / "workspace" / "hole").open("wb") as file:
        file.truncate(1 << 40)
    data, pack = packed(tree, bytes_max=1 << 20)
    assert len(data) < 1 << 20
    assert pack.data < 1 << 20
    unpacked(data, again)
    status = (again / "workspace" / "sparse\udcfe").stat()
    assert status.st_size == (1 << 30) + (1 << 20)
    assert status.st_blocks * 512 < 1 << 20
    with (again / "workspace" / "sparse\udcfe").open("rb") as file:
        file.seek(1 << 30)
        assert file.read(3) == b"end"
    assert (again / "workspace" / "hole").stat().st_size == 1 << 40
    assert (again / "workspace" / "hole").stat().st_blocks == 0


def test_what_cannot_be_taken_along_is_said(tree: Path, again: Path) -> None:
    work = os.open(tree / "workspace", os.O_RDONLY)
    for _ in range(DEPTH_MAX + 3):
        os.mkdir("d", dir_fd=work)
        inner = os.open("d", os.O_RDONLY, dir_fd=work)
        os.close(work)
        work = inner
    os.close(work)
    (tree / "outputs" / "kept").write_text("x")
    data, pack = packed(tree)
    assert pack.walk.left_out.count == 1
    assert pack.walk.left_out.names[0].endswith("d (too deep)")
    assert not unpacked(data, again).left_out.count
    assert (again / "outputs" / "kept").exists()
    with pytest.raises(TooMuch, match="more than 0 bytes"):
        packed(tree, bytes_max=0)


def test_a_changed_tree_has_another_fingerprint(tree: Path) -> None:
    file = tree / "workspace" / "a"
    file.write_text("1")
    with opened(tree) as trees:
        first = fingerprint(trees)
        assert fingerprint(trees) == first
        status = file.stat()
        file.write_text("2")
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))  # as if nothing had happened
        second = fingerprint(trees)
        file.rename(tree / "outputs" / "a")
        third = fingerprint(trees)
    assert len({first, second, third}) == 3


def test_an_archive_that_is_cut_off_is_damaged(tree: Path, again: Path) -> None:
    (tree / "workspace" / "a").write_bytes(os.urandom(100_000))
    data, _ = packed(tree)
    with pytest.raises(Damaged):
        unpacked(data[:60_000], again)
    assert not (again / "outputs" / "a").exists()


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


OUTSIDE: dict[str, Callable[[str], list[tarfile.TarInfo]]] = {
    "dots": lambda _: [member("workspace/../../e")],
    "absolute": lambda leak: [member(f"{leak}/e")],
    "through a link": lambda leak: [
        member("workspace/l", tarfile.SYMTYPE, leak),
        member("workspace/l/e"),
    ],
    "a folder through a link": lambda leak: [
        member("workspace/l", tarfile.SYMTYPE, leak),
        member("workspace/l/e", tarfile.DIRTYPE),
    ],
    "over a link": lambda leak: [
        member("workspace/l", tarfile.SYMTYPE, f"{leak}/e"),
        member("workspace/l"),
    ],
    "no tree": lambda _: [member("etc/e")],
    "the tree itself": lambda leak: [member("workspace", tarfile.SYMTYPE, leak)],
    "a hard link": lambda leak: [member("workspace/e", tarfile.LNKTYPE, f"{leak}/there")],
    "a hard link by dots": lambda _: [
        member("workspace/e", tarfile.LNKTYPE, "workspace/../../leak/there")
    ],
    "a device": lambda _: [member("workspace/e", tarfile.CHRTYPE)],
}


@pytest.mark.parametrize("way", OUTSIDE)
def test_no_archive_leads_out(tree: Path, again: Path, way: str) -> None:
    leak = tree.parent / "leak"
    leak.mkdir()
    (leak / "there").write_text("of the host")
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for info in OUTSIDE[way](str(leak)):
            archive.addfile(info)
    try:
        unpack = unpacked(raw.getvalue(), again)
    except Damaged:
        pass
    else:
        assert unpack.left_out.count == 1
    assert os.listdir(leak) == ["there"]
    assert (leak / "there").stat().st_nlink == 1
    assert not (again / "workspace" / "e").exists()
