"""Unpacks one layer of an image: `python -I -S <this file>`, a tar archive on standard input.

What it reads was made by strangers. So it runs as root of a user namespace with the image's users and no
others (see `userns.py`), locked into the image's folder: no path, no link and no owner in the archive can
mean anything outside. It prints one line of JSON: `ready` once the namespace is there, and at the end
what it found, or `error`.
"""

import bz2
import gzip
import hashlib
import json
import lzma
import os
import resource
import stat
import sys
import tarfile
import zlib
from importlib.machinery import PathFinder
from pathlib import Path
from typing import IO, Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from agentstead.sandbox.supervisor import userns
from agentstead.sandbox.supervisor.furnish import Unfit, furnish

PIECE = 1 << 20
MEMORY_BYTES = 4 << 30
WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
OWNERS = 65_536
NOBODY = 65_534
ENTRIES_MAX = 3_000_000
RECURSION_MAX = 10_000
"""More than a path of the kernel's can have folders."""


class Refused(Exception):
    """The archive cannot be unpacked; the message says why."""


class Counted:
    """What comes out of the decompressor: counted, limited and hashed."""

    def __init__(self, source: IO[bytes], bytes_max: int) -> None:
        self._source = source
        self._bytes_max = bytes_max
        self.size = 0
        self.hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """As many bytes as there are at once, at most `size`."""
        data = self._source.read(size if size >= 0 else PIECE)
        self.size += len(data)
        if self.size > self._bytes_max:
            raise Refused(f"it is larger than {self._bytes_max >> 20} MiB unpacked")
        self.hash.update(data)
        return data


class Layer:
    """One archive on its way into the image's folder."""

    def __init__(self, *, whiteouts: bool, owned: bool) -> None:
        self._whiteouts = whiteouts
        self._owned = owned
        self._made: set[str] = set()
        self.left_out = 0
        """Devices and pipes: a sandbox has its own."""
        self.entries = 0

    def apply(self, stream: IO[bytes]) -> None:
        """All of it."""
        with tarfile.open(fileobj=stream, mode="r|", bufsize=PIECE) as archive:
            for member in archive:
                self.entries += 1
                if self.entries > ENTRIES_MAX:
                    raise Refused(f"it has more than {ENTRIES_MAX} entries")
                self._take(archive, member)
                archive.members.clear()  # type: ignore[attr-defined]

    def _take(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        path = inside(member.name)
        if not path:
            return
        folder, _, name = path.rpartition("/")
        if self._whiteouts and name.startswith(WHITEOUT):
            self._hide(folder, name)
        elif member.isdir():
            self._folder(path, member)
        elif member.isreg() or member.islnk() or member.issym():
            self._make_way(path)
            self._file(archive, path, member)
        else:
            self.left_out += 1
            return
        self._made.add(path)

    def _hide(self, folder: str, name: str) -> None:
        """What lower layers have is not there any more; what this one brought stays."""
        if name != OPAQUE:
            remove(os.path.join(folder, name[len(WHITEOUT) :]))
        elif os.path.isdir(folder or "."):
            for entry in os.listdir(folder or "."):
                path = os.path.join(folder, entry)
                if path not in self._made:
                    remove(path)

    def _folder(self, path: str, member: tarfile.TarInfo) -> None:
        if os.path.islink(path) or not os.path.isdir(path):
            self._make_way(path)
            os.mkdir(path)
        self._own(path, member)
        os.chmod(path, member.mode & 0o1777)

    def _file(self, archive: tarfile.TarFile, path: str, member: tarfile.TarInfo) -> None:
        if member.issym():
            os.symlink(member.linkname, path)
            self._own(path, member)
            return
        if member.islnk():
            os.link(inside(member.linkname), path, follow_symlinks=False)
            return
        source = archive.extractfile(member)
        assert source is not None
        with open(path, "xb") as file:
            while data := source.read(PIECE):
                file.write(data)
        self._own(path, member)
        # no program of an image becomes anybody else by being started
        os.chmod(path, member.mode & 0o777)
        os.utime(path, (member.mtime, member.mtime))

    def _own(self, path: str, member: tarfile.TarInfo) -> None:
        if self._owned:
            owner = [number if number < OWNERS else NOBODY for number in (member.uid, member.gid)]
            os.chown(path, owner[0], owner[1], follow_symlinks=False)

    def _make_way(self, path: str) -> None:
        folder = os.path.dirname(path)
        if folder and not os.path.isdir(folder):
            os.makedirs(folder, 0o755)
        if os.path.lexists(path):
            remove(path)


def inside(name: str) -> str:
    """A path of the archive, relative to the image's root; Refused where it leads above it."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise Refused(f"it has the path {name[:200]!r}, which leads out of the image")
    return "/".join(parts)


def remove(path: str) -> None:
    """Delete whatever is there."""
    try:
        kind = os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    if not stat.S_ISDIR(kind):
        os.unlink(path)
        return
    for entry in os.listdir(path):
        remove(os.path.join(path, entry))
    os.rmdir(path)


def decompressed(source: IO[bytes], zstd: Any) -> IO[bytes]:
    """The archive in what comes, packed or not."""
    start = source.peek(6)[:6]  # type: ignore[attr-defined]
    if start.startswith(b"\x28\xb5\x2f\xfd"):
        return zstd.ZstdFile(source, "rb")  # type: ignore[no-any-return]
    if start.startswith(b"\x1f\x8b"):
        return gzip.open(source)  # type: ignore[return-value]
    if start.startswith(b"\xfd7zXZ\0"):
        return lzma.open(source)
    if start.startswith(b"BZh"):
        return bz2.open(source)
    return source


def zstandard(libraries: str) -> Any:
    """The standard library's Zstandard, or its backport. Loaded while files of the host can be."""
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        sys.path.append(libraries)
        from backports import zstd
    return zstd


def confine(folder: int) -> None:
    """Into namespaces of our own, and into the folder."""
    flags = userns.CLONE_NEWUSER | userns.CLONE_NEWNS | userns.CLONE_NEWNET | userns.CLONE_NEWIPC
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        userns.enter_range(flags)
    else:
        userns.unshare(flags)
        userns.be_alone(uid, gid)
    say({"ready": True})
    if os.read(0, 1) != b"\n":
        os._exit(1)
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    userns.close_below()
    os.fchdir(folder)
    os.chroot(".")
    os.close(folder)
    os.umask(0o022)
    userns.keep_capabilities(userns.CHOWN | userns.DAC_OVERRIDE | userns.FOWNER)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    # from here on paths are the image's: none of its modules may become ours
    sys.path.clear()
    sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not PathFinder]


def work(config: dict[str, Any], zstd: Any) -> dict[str, Any]:
    """What the parent asks for."""
    if config["furnish"]:
        return furnish(json.load(sys.stdin.buffer), owned=config["owned"])
    source = Counted(decompressed(sys.stdin.buffer, zstd), config["bytes_max"])
    layer = Layer(whiteouts=config["whiteouts"], owned=config["owned"])
    try:
        layer.apply(source)  # type: ignore[arg-type]
        while source.read(PIECE):
            pass  # what follows the archive's end belongs to its digest
    except zstd.ZstdError as error:
        raise Refused(f"it is damaged: {error}") from error
    return {
        "digest": source.hash.hexdigest(),
        "size": source.size,
        "entries": layer.entries,
        "left_out": layer.left_out,
    }


def say(message: dict[str, Any]) -> None:
    """One line to the parent."""
    os.write(1, json.dumps(message).encode() + b"\n")


def main() -> None:
    """Run with the folder's descriptor and the configuration as arguments."""
    sys.setrecursionlimit(RECURSION_MAX)
    try:
        config = json.loads(sys.argv[2])
        zstd = zstandard(config["libraries"])
        confine(int(sys.argv[1]))
        say(work(config, zstd))
    except (Refused, Unfit) as error:
        say({"error": str(error)})
    except MemoryError:
        say({"error": f"unpacking it takes more than {MEMORY_BYTES >> 30} GiB of memory"})
    except OSError as error:
        where = f" ({error.filename!r})" if error.filename else ""
        say({"error": f"{error.strerror or error}{where}"})
    except (tarfile.TarError, EOFError, lzma.LZMAError, zlib.error, ValueError) as error:
        say({"error": f"it is damaged, or no tar archive: {error}"})


if __name__ == "__main__":
    main()
