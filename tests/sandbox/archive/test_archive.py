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

from agentstead.sandbox.archive.__main__ import compression
from agentstead.sandbox.archive.ahead import Ahead
from agentstead.sandbox.archive.headers import (
    FILE,
    FOLDER,
    RECORDS,
    RECORDS_MAX,
    Damaged,
    Header,
)
from agentstead.sandbox.archive.pack import Pack
from agentstead.sandbox.archive.unpack import Unpack
from agentstead.sandbox.archive.walk import DEPTH_MAX, TooMuch, fingerprint
from agentstead.sandbox.supervisor import disk

zstd = compression("")
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

    def take(piece: memoryview) -> None:
        out.write(piece)

    with opened(root) as trees:
        pack = Pack(trees, take, bytes_max)
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


LONG = b"workspace/" + b"n" * 120


@pytest.mark.parametrize("name", [LONG, LONG + b"\xff\n=", b"workspace/plain"])
def test_headers_of_the_standard_library_are_read(again: Path, name: bytes) -> None:
    """Earlier versions wrote what was long, or had holes, with it."""
    info = tarfile.TarInfo(os.fsdecode(name))
    info.mode, info.mtime, info.uid, info.gid = 0o640, 1_000_000_000, 1000, 1000
    table = b"1\n4096\n3\n".ljust(512, b"\0")
    sparse = member("sparse")
    sparse.size = len(table) + 3
    sparse.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": os.fsdecode(name) + "-holes",
        "GNU.sparse.realsize": "8192",
    }
    link = member(os.fsdecode(name) + "-link", tarfile.SYMTYPE, "y" * 150)
    blocks = [
        one.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape") for one in (info, sparse, link)
    ]
    data = blocks[0] + blocks[1] + table + b"end".ljust(512, b"\0") + blocks[2] + bytes(1024)
    unpack = unpacked(data, again)
    assert (unpack.files, unpack.left_out.count) == (2, 0)
    made = os.fsencode(again) + b"/" + name
    assert os.stat(made).st_mtime == 1_000_000_000
    assert stat.S_IMODE(os.stat(made).st_mode) == 0o640
    assert Path(os.fsdecode(made + b"-holes")).read_bytes() == bytes(4096) + b"end" + bytes(4093)
    assert os.readlink(made + b"-link") == b"y" * 150


def test_others_read_what_is_written(tree: Path) -> None:
    names = [b"n" * 120, b"x" * 100 + b"\xff", b"plain"]
    for name in names:
        path = Path(os.fsdecode(os.fsencode(tree / "workspace") + b"/" + name))
        path.write_bytes(name)
        path.chmod(0o600)
    (tree / "workspace" / "long").symlink_to("y" * 150)
    with (tree / "workspace" / "holes").open("wb") as file:
        file.seek(1 << 20)
        file.write(b"end")
    with tarfile.open(fileobj=io.BytesIO(packed(tree)[0])) as archive:
        for name in names:
            found = archive.getmember(os.fsdecode(b"workspace/" + name))
            content = archive.extractfile(found)
            assert content is not None
            assert content.read() == name
            assert (found.mode, found.uid) == (0o600, 1000)
        assert archive.getmember("workspace/long").linkname == "y" * 150
        holes = archive.extractfile("workspace/holes")
        assert holes is not None
        assert holes.read() == bytes(1 << 20) + b"end"


def sealed(length: int, content: bytes = b"") -> bytes:
    """Records, said to be so long."""
    return Header(b"x", RECORDS, 0, 0, length).blocks() + content.ljust(512, b"\0")


BROKEN: dict[str, bytes] = {
    "a sum": b"workspace/e".ljust(512, b"\0"),
    "a number": Header(b"workspace/e", FILE, 0, 0).blocks().replace(b"0000000", b"-000001", 1),
    "records without an end": sealed(RECORDS_MAX + 1),
    "a record of no length": sealed(8, b"0 path=a\n"),
    "a record without a value": sealed(8, b"8 path \n"),
    "a size below nothing": sealed(11, b"11 size=-1\n")
    + Header(b"workspace/e", FILE, 0, 0).blocks(),
    "a folder with content": Header(b"workspace/e", FOLDER, 0, 0, 512).blocks() + bytes(512),
    "a name with its end in it": sealed(20, b"20 path=workspace/\0e\n")
    + Header(b"workspace/e", FILE, 0, 0).blocks(),
}


@pytest.mark.parametrize("way", BROKEN)
def test_broken_headers_are_damage(tree: Path, again: Path, way: str) -> None:
    with pytest.raises(Damaged):
        unpacked(BROKEN[way] + bytes(1024), again)
    assert os.listdir(again / "workspace") == []


@pytest.mark.parametrize(
    "table", [b"1\n0\n", b"2\n0\n1\n", b"9999\n", b"1\n-1\n4\n", b"1\n0\n5\n", b"7" * 400]
)
def test_a_broken_list_of_parts_is_damage(tree: Path, again: Path, table: bytes) -> None:
    header = Header(b"workspace/e", FILE, 0o600, 0, 512 + 4)
    header.sparse = 4
    with pytest.raises(Damaged):
        unpacked(header.blocks() + table.ljust(512, b"\0") + bytes(512 + 1024), again)


def test_what_comes_compressed_is_read_whole_or_refused(tmp_path: Path) -> None:
    whole = os.urandom(3 << 20) + bytes(3 << 20)
    packed = zstd.compress(whole, options={zstd.CompressionParameter.checksum_flag: 1})

    def read(data: bytes) -> bytes:
        (tmp_path / "archive").write_bytes(data)
        file = os.open(tmp_path / "archive", os.O_RDONLY)
        try:
            source = Ahead(file, zstd)
            return b"".join(iter(lambda: bytes(source.read(1 << 16)), b""))
        finally:
            os.close(file)

    assert read(packed) == whole
    other = packed[:-1] + bytes([packed[-1] ^ 1])
    for data in (packed[:-1], packed[:1000], b"", packed + b"x", packed + packed, other):
        with pytest.raises(Damaged):
            read(data)
