"""A small root file system made of this host's own Python and a few programs, as an image for tests."""

import gzip
import hashlib
import io
import json
import os
import platform
import re
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

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


def archive(*entries: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]) -> bytes:
    """A tar of these entries."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for entry in entries:
            header, content = entry if isinstance(entry, tuple) else (entry, b"")
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))
    return buffer.getvalue()


def entry(name: str, kind: bytes = tarfile.REGTYPE, **fields: object) -> tarfile.TarInfo:
    """One entry; `fields`: of the header."""
    header = tarfile.TarInfo(name)
    header.type = kind
    for key, value in fields.items():
        setattr(header, key, value)
    return header


MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


class Layout:
    """An OCI image layout in the making."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "blobs" / "sha256").mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def blob(self, content: bytes) -> dict[str, Any]:
        """Keep it; what refers to it."""
        digest = hashlib.sha256(content).hexdigest()
        (self.folder / "blobs" / "sha256" / digest).write_bytes(content)
        return {"digest": f"sha256:{digest}", "size": len(content)}

    def document(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        """A JSON blob."""
        return {"mediaType": kind, **self.blob(json.dumps(body).encode())}

    def manifest(
        self,
        *layers: bytes,
        pack: Callable[[bytes], bytes] = gzip.compress,
        machine: str | None = None,
        env: Sequence[str] = (),
    ) -> dict[str, Any]:
        """An image of plain tars."""
        config = {
            "os": "linux",
            "architecture": machine or MACHINES[platform.machine()],
            "config": {"Env": list(env)},
            "rootfs": {
                "type": "layers",
                "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers],
            },
        }
        body = {
            "schemaVersion": 2,
            "config": self.document("application/vnd.oci.image.config.v1+json", config),
            "layers": [self.blob(pack(layer)) for layer in layers],
        }
        return self.document("application/vnd.oci.image.manifest.v1+json", body)

    def index(self, *entries: dict[str, Any]) -> Path:
        """Write the index; the layout's folder."""
        text = json.dumps({"schemaVersion": 2, "manifests": list(entries)})
        (self.folder / "index.json").write_text(text)
        return self.folder

    def packed(self, path: Path) -> Path:
        """The whole layout as a tar archive."""
        with tarfile.open(path, "w") as tar:
            tar.add(self.folder, ".")
        return path
