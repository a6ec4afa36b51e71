"""Feeds archives to the process that unpacks them, which is locked into the image's folder.

Here a digest is taken of every byte that is handed on; what does not have the digest it should have is
thrown away by the caller, and has done nothing but fill a folder.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from agentstead.errors import Misconfigured
from agentstead.sandbox.images.image import ROOT
from agentstead.sandbox.supervisor import userns

PROGRAM = Path(userns.__file__).with_name("unpack.py")
PIECE = 1 << 20
ZSTD = b"\x28\xb5\x2f\xfd"
NOBODY = 65_534
UNPACKED_BYTES_MAX = 64 << 30
"""Of one layer: a bomb ends here, or when the disk is full."""


class CannotUnpack(Misconfigured):
    """It cannot be made an image; the message says why."""


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What was seen of one archive."""

    packed: str
    """SHA-256 of the archive as it came."""
    plain: str
    """SHA-256 of it unpacked to a plain tar."""
    size_bytes: int
    left_out: int
    """Devices and pipes."""


def prepare(draft: Path) -> Path:
    """The folder that an image is unpacked into, owned by the image's root."""
    root = draft / ROOT
    root.mkdir(mode=0o755)
    if os.geteuid() == 0:
        if not userns.whole():
            raise CannotUnpack(
                f"This container has no users {userns.FIRST} to {userns.FIRST + userns.COUNT - 1}, which"
                " images belong to.\nMap more users into it, or run the platform as a plain user."
            )
        os.chown(root, userns.FIRST, userns.FIRST)
    return root


def unpack(root: Path, archive: IO[bytes], what: str, *, layer: bool) -> Unpacked:
    """Unpack a tar archive, packed by gzip, bzip2, xz or zstd or not at all.

    `what` names it in errors; `layer`: it may hide what is there already.
    """
    digest = hashlib.sha256()
    wants = {"furnish": False, "whiteouts": layer, "bytes_max": UNPACKED_BYTES_MAX}
    with _locked_in(root, wants) as child:
        first = archive.read(PIECE)
        with _fed(child, zstd=first.startswith(ZSTD)) as feed:
            piece = first
            while piece:
                digest.update(piece)
                if feed.closed or not _written(feed, piece):
                    break
                piece = archive.read(PIECE)
        said = _answer(child, what)
    return Unpacked(digest.hexdigest(), said["digest"], said["size"], said["left_out"])


def furnish(root: Path, what: str) -> dict[str, str]:
    """Make places for mounts and look around: `python`, `title`, `apt`, said by the image itself."""
    with _locked_in(root, {"furnish": True}) as child:
        said = _answer(child, what)
    return {name: str(said[name]) for name in ("python", "title", "apt")}


@contextmanager
def _locked_in(root: Path, wants: dict[str, Any]) -> Iterator["subprocess.Popen[bytes]"]:
    folder = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
    config = json.dumps({**wants, "owned": os.geteuid() == 0})
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", str(PROGRAM), str(folder), config],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=(folder,),
        env={},
    )
    try:
        assert child.stdin is not None
        if _said(child).get("ready"):
            if os.geteuid() == 0:
                userns.give_range(child.pid)
            _written(child.stdin, b"\n")
        yield child
    finally:
        os.close(folder)
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()
        _closed(child.stdin)


@contextmanager
def _fed(child: "subprocess.Popen[bytes]", *, zstd: bool) -> Iterator[IO[bytes]]:
    """Where to write what the child shall read."""
    assert child.stdin is not None
    if not zstd:
        try:
            yield child.stdin
        finally:
            _closed(child.stdin)
        return
    program = shutil.which("zstd")
    if program is None:
        raise CannotUnpack(
            "It is packed by zstd, and the program zstd is missing.\nInstall the package zstd."
        )
    dropped = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    packer = subprocess.Popen(
        [program, "-dcq"],
        stdin=subprocess.PIPE,
        stdout=child.stdin,
        stderr=subprocess.DEVNULL,
        env={},
        **dropped,  # type: ignore[call-overload]
    )
    child.stdin.close()
    try:
        yield packer.stdin
    finally:
        _closed(packer.stdin)
        packer.wait()


def _written(feed: IO[bytes], data: bytes) -> bool:
    """Whether anybody reads it still."""
    try:
        feed.write(data)
        feed.flush()
    except BrokenPipeError:
        return False
    return True


def _closed(feed: IO[bytes] | None) -> None:
    try:
        if feed is not None:
            feed.close()
    except BrokenPipeError:
        return


def _said(child: "subprocess.Popen[bytes]") -> dict[str, Any]:
    assert child.stdout is not None
    try:
        said = json.loads(child.stdout.readline(PIECE))
    except ValueError:
        return {"error": "the process that unpacks it ended unexpectedly"}
    return said if isinstance(said, dict) else {}


def _answer(child: "subprocess.Popen[bytes]", what: str) -> dict[str, Any]:
    said = _said(child)
    if "error" in said:
        raise CannotUnpack(f"{what} cannot be used: {said['error']}.")
    return said
