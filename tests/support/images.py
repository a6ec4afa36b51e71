"""A small root file system made of this host's own Python and a few programs, as an image for tests."""

import io
import os
import re
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from agentstead.sandbox.images import making
from agentstead.sandbox.images.image import Image
from agentstead.sandbox.images.images import Images
from agentstead.sandbox.supervisor import disk

PROGRAMS = [
    "bash",
    "sh",
    "cat",
    "chmod",
    "chown",
    "cp",
    "echo",
    "env",
    "head",
    "id",
    "ln",
    "ls",
    "mkdir",
    "mknod",
    "mv",
    "rm",
    "rmdir",
    "sleep",
    "touch",
    "true",
    "wc",
    "which",
    "cut",
    "sort",
    "tr",
    "grep",
    "sed",
    "mount",
    "unshare",
    "find",
]
PYTHON = Path("/usr/bin/python3")
NOT_NEEDED = re.compile(
    r"(^|/)(__pycache__|test|tests|idlelib|tkinter|ensurepip|lib2to3|distutils|pydoc_data|turtledemo|"
    r"config-[^/]*|dist-packages|site-packages|email|xmlrpc|unittest|sqlite3|wsgiref|multiprocessing|asyncio|pydoc[^/]*|"
    r"(_ssl|_sqlite3|_dbm|_gdbm|_curses\w*|_tkinter|_hashlib|_codecs_\w+|nis|audioop|readline)\.[^/]*)(/|$)"
)
MARK = "tiny image of agentstead's tests"
ENTRY = {"uid": 0, "gid": 0, "mtime": 1_700_000_000}


@cache
def tarball() -> bytes:
    """A plain tar; the same every time on the same host."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder in ("etc", "usr", "usr/bin", "usr/lib", "opt", "srv", "root"):
            add_folder(tar, folder)
        for link in ("bin", "lib", "lib64"):
            add_link(tar, link, f"usr/{link}")
        add_file(tar, "etc/os-release", f'PRETTY_NAME="{MARK}"\n'.encode())
        add_file(tar, "etc/shadow", b"root:secret-hash:::::::\n", 0o600)
        added = {"usr/bin", "usr/lib", "usr/lib64"}
        for path in sorted(files()):
            add_host(tar, path, added)
    return buffer.getvalue()


def files() -> set[Path]:
    """The host's files that are wanted."""
    python = PYTHON.resolve()
    found = {python, *(Path(f"/usr/bin/{name}") for name in PROGRAMS)}
    version = re.search(r"3\.\d+", python.name)
    assert version is not None
    top = Path("/usr/lib") / f"python{version.group()}"
    for folder, folders, names in os.walk(top):
        folders[:] = [name for name in folders if not NOT_NEEDED.search(name)]
        found |= {Path(folder, name) for name in names if not NOT_NEEDED.search(name)}
    needed = {path for path in found if path.parent.name == "bin" or path.suffix == ".so"}
    return {path for path in found if path.exists()} | libraries(needed)


def libraries(programs: set[Path]) -> set[Path]:
    """What the loader needs for them."""
    done = subprocess.run(
        ["ldd", *sorted(map(str, programs))], capture_output=True, text=True, check=False
    )
    return {Path(name) for name in re.findall(r"(/\S+) \(0x", done.stdout)}


def add_host(tar: tarfile.TarFile, path: Path, added: set[str]) -> None:
    """One file of the host, links resolved, at its place below usr."""
    name = str(path).lstrip("/")
    name = name if name.startswith("usr/") else f"usr/{name}"
    for folder in reversed([str(p) for p in Path(name).parents if str(p) not in (".", "usr")]):
        if folder not in added:
            added.add(folder)
            add_folder(tar, folder)
    if name not in added:
        added.add(name)
        add_file(tar, name, path.read_bytes(), path.stat().st_mode & 0o7777)
    if path == PYTHON.resolve():
        add_link(tar, "usr/bin/python3", path.name)


def add_folder(tar: tarfile.TarFile, name: str, mode: int = 0o755) -> None:
    add(tar, name, tarfile.DIRTYPE, mode)


def add_link(tar: tarfile.TarFile, name: str, target: str) -> None:
    add(tar, name, tarfile.SYMTYPE, 0o777, target)


def add_file(tar: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    entry.mtime = int(ENTRY["mtime"])
    tar.addfile(entry, io.BytesIO(content))


def add(tar: tarfile.TarFile, name: str, kind: bytes, mode: int, target: str = "") -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.linkname = kind, mode, target
    entry.mtime = int(ENTRY["mtime"])
    tar.addfile(entry)


@contextmanager
def tiny_image(top: Path) -> Iterator[tuple[Images, Image]]:
    """The tiny image, below a folder; gone afterwards."""
    images = Images(top / "images")
    file = top / "tiny.tar"
    file.write_bytes(tarball())
    try:
        image, _ = making.make(images, file, "tiny", "2026-11-24T00:00:00Z", lambda _: None, None)
        yield images, image
    finally:
        file.unlink()
        disk.delete(images.root)
