"""Hostile and broken archives: whatever they say, it means the image's folder or nothing."""

import bz2
import gzip
import io
import lzma
import os
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agentstead.sandbox.images import unpacking
from agentstead.sandbox.images.unpacking import CannotUnpack, Unpacked
from agentstead.sandbox.supervisor import disk, userns
from tests.support.images import archive, entry
from tests.support.sandboxes import needed

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ROOT = os.geteuid() == 0
FIRST = userns.FIRST if ROOT else os.geteuid()


class Folder:
    """An image's folder, and what unpacking into it gives."""

    def __init__(self, draft: Path) -> None:
        self.path = unpacking.prepare(draft)

    def take(self, content: bytes, *, layer: bool = False) -> Unpacked:
        return unpacking.unpack(self.path, io.BytesIO(content), "It", layer=layer)

    def names(self) -> list[str]:
        return sorted(str(path.relative_to(self.path)) for path in self.path.rglob("*"))


@pytest.fixture
async def folder(tmp_path: Path) -> Any:
    await needed()
    yield Folder(tmp_path)
    disk.delete(tmp_path / "root")


def test_files_folders_and_links_are_made_with_their_owners_and_modes(folder: Folder) -> None:
    seen = folder.take(
        archive(
            entry("./", tarfile.DIRTYPE, mode=0o755),
            entry("./usr/bin", tarfile.DIRTYPE, mode=0o2775),
            (entry("usr/bin/su", mode=0o6755, uid=0, gid=42, mtime=1000), b"program"),
            entry("bin", tarfile.SYMTYPE, linkname="usr/bin"),
            entry("usr/bin/hard", tarfile.LNKTYPE, linkname="./usr/bin/su"),
            (entry("odd", uid=4_000_000, gid=70_000, mode=0o600), b"x"),
        )
    )
    assert folder.names() == ["bin", "odd", "usr", "usr/bin", "usr/bin/hard", "usr/bin/su"]
    su = (folder.path / "usr/bin/su").stat()
    assert su.st_mode & 0o7777 == 0o755, "nobody becomes somebody else by starting it"
    assert (su.st_mtime, su.st_nlink) == (1000, 2)
    assert (folder.path / "usr/bin").stat().st_mode & 0o7777 == 0o775
    assert (folder.path / "bin").readlink() == Path("usr/bin")
    owners = [(path.lstat().st_uid, path.lstat().st_gid) for path in (folder.path / "usr/bin/su",)]
    assert owners == [(FIRST, FIRST + 42 if ROOT else os.getegid())]
    if ROOT:
        assert (folder.path / "odd").stat().st_uid == FIRST + 65_534
    assert seen.left_out == 0


@pytest.mark.parametrize("name", ["../pwned", "a/../../pwned", "a/.."])
def test_a_path_that_leads_out_is_refused(folder: Folder, name: str) -> None:
    with pytest.raises(CannotUnpack, match="leads out of the image"):
        folder.take(archive((entry(name), b"x")))
    assert not (folder.path.parent / "pwned").exists()


@pytest.mark.parametrize("target", ["/", "../../../../../../../.."])
def test_links_mean_the_images_own_root(folder: Folder, target: str) -> None:
    link = entry("out", tarfile.SYMTYPE, linkname=target)
    folder.take(archive(link, (entry("out/agentstead-pwned"), b"x")))
    assert (folder.path / "agentstead-pwned").exists()
    assert not Path("/agentstead-pwned").exists()


def test_a_hard_link_reaches_nothing_of_the_hosts(folder: Folder) -> None:
    with pytest.raises(CannotUnpack, match="No such file"):
        folder.take(archive(entry("shadow", tarfile.LNKTYPE, linkname="/etc/passwd")))
    with pytest.raises(CannotUnpack, match="leads out"):
        folder.take(archive(entry("shadow", tarfile.LNKTYPE, linkname="../../../etc/passwd")))
    linked = [
        entry("etc", tarfile.SYMTYPE, linkname="/etc"),
        entry("copy", tarfile.LNKTYPE, linkname="etc/passwd"),
    ]
    with pytest.raises(CannotUnpack, match="cannot be used"):
        folder.take(archive(*linked))


def test_an_absolute_path_lies_inside(folder: Folder) -> None:
    folder.take(archive((entry("/etc/agentstead-pwned"), b"x")))
    assert folder.names() == ["etc", "etc/agentstead-pwned"]


def test_devices_and_pipes_are_left_out(folder: Folder) -> None:
    seen = folder.take(
        archive(
            entry("disk", tarfile.BLKTYPE, devmajor=8, devminor=0),
            entry("null", tarfile.CHRTYPE, devmajor=1, devminor=3),
            entry("pipe", tarfile.FIFOTYPE),
        )
    )
    assert (seen.left_out, folder.names()) == (3, [])


def test_a_layer_hides_what_is_below_it_and_nothing_of_its_own(folder: Folder) -> None:
    lower = [(entry(name), b"lower") for name in ("gone", "kept", "dir/old", "dir/sub/old", "a/b")]
    folder.take(archive(*lower), layer=True)
    upper = [
        entry(".wh.gone"),
        (entry("dir/new"), b"upper"),
        entry("dir/.wh..wh..opq"),
        entry("a/.wh.never-there"),
        entry("a/b", tarfile.DIRTYPE, mode=0o755),
        (entry("a/b/c"), b"a folder where a file was"),
    ]
    folder.take(archive(*upper), layer=True)
    assert folder.names() == ["a", "a/b", "a/b/c", "dir", "dir/new", "kept"]


def test_a_tarball_hides_nothing(folder: Folder) -> None:
    folder.take(archive((entry("x"), b"1"), (entry(".wh.x"), b"a file of that name")))
    assert folder.names() == [".wh.x", "x"]


@pytest.mark.parametrize(
    "pack",
    [bytes, gzip.compress, bz2.compress, lzma.compress, zstd.compress],
    ids=["tar", "gzip", "bzip2", "xz", "zstd"],
)
def test_every_packing_gives_the_same(folder: Folder, pack: Callable[[bytes], bytes]) -> None:
    plain = archive((entry("file"), b"content" * 1000))
    packed = pack(plain)
    seen = folder.take(packed)
    assert (folder.path / "file").read_bytes() == b"content" * 1000
    assert seen.plain == unpacking.hashlib.sha256(plain).hexdigest()
    assert seen.packed == unpacking.hashlib.sha256(packed).hexdigest()
    assert seen.size_bytes == len(plain)


def broken() -> Iterator[Any]:
    plain = archive((entry("file"), os.urandom(200_000)))
    yield pytest.param(plain[:50_000], id="cut off")
    yield pytest.param(gzip.compress(plain)[:50_000], id="cut off, gzip")
    yield pytest.param(zstd.compress(plain)[:50_000], id="cut off, zstd")
    yield pytest.param(lzma.compress(plain)[:50_000], id="cut off, xz")
    yield pytest.param(gzip.compress(plain)[:-8] + b"x" * 8, id="wrong check sum")
    yield pytest.param(b"no tar at all" * 1000, id="something else")
    yield pytest.param(b"", id="nothing")


@pytest.mark.parametrize("content", list(broken()))
def test_a_damaged_archive_says_so(folder: Folder, content: bytes) -> None:
    with pytest.raises(CannotUnpack, match=r"It cannot be used: (it is damaged|CRC)"):
        folder.take(content)


def test_a_bomb_is_stopped(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "UNPACKED_BYTES_MAX", 4 << 20)
    with pytest.raises(CannotUnpack, match="larger than 4 MiB"):
        folder.take(gzip.compress(archive((entry("zeros"), bytes(16 << 20)))))
    assert disk.used(folder.path, 1 << 40) < 8 << 20
