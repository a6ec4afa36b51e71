"""Feeds archives to the process that unpacks them, which is locked into the image's folder.

Here a digest is taken of every byte that is handed on; what does not have the digest it should have is
thrown away by the caller, and has done nothing but fill a folder.
"""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from agentstead.errors import Misconfigured
from agentstead.sandbox.images import authorities
from agentstead.sandbox.images.image import ROOT
from agentstead.sandbox.supervisor import userns

PROGRAM = Path(userns.__file__).with_name("unpack.py")
PIECE = 1 << 20
UNPACKED_BYTES_MAX = 64 << 30
"""Of one layer: a bomb ends here, or when the disk is full."""


NAMESPACES = "That needs user namespaces, as sandboxes do; `agentstead doctor` says what to do where there are none."


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
        assert child.stdin is not None
        while piece := archive.read(PIECE):
            digest.update(piece)
            if not _written(child.stdin, piece):
                break
        _closed(child.stdin)
        said = _answer(child, what)
    return Unpacked(digest.hexdigest(), said["digest"], said["size"], said["left_out"])


def furnish(root: Path, what: str) -> dict[str, str]:
    """Make places for mounts and look around: `python`, `title`, `apt`, said by the image itself.

    The authorities that this machine knows beyond the usual ones become the image's too.
    """
    with _locked_in(root, {"furnish": True}) as child:
        assert child.stdin is not None
        _written(child.stdin, json.dumps(authorities.added()).encode())
        _closed(child.stdin)
        said = _answer(child, what)
    return {name: str(said[name]) for name in ("python", "title", "apt")}


@contextmanager
def _locked_in(root: Path, wants: dict[str, Any]) -> Iterator["subprocess.Popen[bytes]"]:
    folder = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
    config = json.dumps({**wants, "owned": os.geteuid() == 0, "libraries": _libraries()})
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", str(PROGRAM), str(folder), config],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=(folder,),
        env={},
    )
    try:
        assert child.stdin is not None
        said = _said(child)
        if not said.get("ready"):
            raise CannotUnpack(
                f"Images cannot be unpacked here: {said.get('error', 'no answer')}.\n{NAMESPACES}"
            )
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


def _libraries() -> str:
    """The folder with what decompresses Zstandard where the standard library does not."""
    spec = find_spec("backports.zstd")
    origin = None if spec is None else spec.origin
    return "" if origin is None else str(Path(origin).parents[2])


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
