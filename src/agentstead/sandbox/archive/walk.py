"""Walks over trees that an agent made, without trusting any of it.

Nothing is followed, every step is taken by descriptor, and depth and number of entries are bounded.
What cannot be looked at is noted, and the walk goes on.
"""

import os
import stat
from collections.abc import Iterator, Mapping
from hashlib import blake2b

DEPTH_MAX = 128
ENTRIES_MAX = 1_000_000
NAMED_MAX = 5
"""Of what is left out so many are named."""
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
MASK = (1 << 128) - 1


class TooMuch(Exception):
    """The tree is larger than what is to be saved; the message says in which way."""


class LeftOut:
    """What could not be taken along."""

    def __init__(self) -> None:
        self.count = 0
        self.names: list[str] = []

    def add(self, path: bytes, why: str | None) -> None:
        """Note one."""
        self.count += 1
        if len(self.names) < NAMED_MAX:
            self.names.append(f"{path.decode('utf-8', 'backslashreplace')} ({why})")


class Entry:
    """One entry of a folder."""

    __slots__ = ("folder", "name", "path", "status")

    def __init__(self, folder: int, name: bytes, path: bytes, status: os.stat_result) -> None:
        self.folder = folder
        """The descriptor of the folder; valid until the walk goes on."""
        self.name = name
        self.path = path
        """Relative, from the name of the tree on."""
        self.status = status


class Walk:
    """One walk over some trees: name → descriptor of the folder."""

    def __init__(self, trees: Mapping[str, int]) -> None:
        self.trees = trees
        self.left_out = LeftOut()
        self.count = 0

    def entries(self) -> Iterator[Entry]:
        """Every entry, a folder before what is in it; raises TooMuch."""
        for name, folder in self.trees.items():
            path = os.fsencode(name)
            yield Entry(folder, b".", path, os.fstat(folder))
            yield from self._below(folder, path, DEPTH_MAX)

    def _below(self, folder: int, path: bytes, depth: int) -> Iterator[Entry]:
        with os.scandir(folder) as found:  # never all names at once: there may be millions
            for one in found:
                name = os.fsencode(one.name)
                try:
                    status = one.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                self.count += 1
                if self.count > ENTRIES_MAX:
                    raise TooMuch(f"there are more than {ENTRIES_MAX} files")
                entry = Entry(folder, name, path + b"/" + name, status)
                yield entry
                if stat.S_ISDIR(status.st_mode):
                    yield from self._inside(entry, depth)

    def _inside(self, entry: Entry, depth: int) -> Iterator[Entry]:
        if not depth:
            self.left_out.add(entry.path, "too deep")
            return
        try:
            inner = os.open(entry.name, FOLDER, dir_fd=entry.folder)
        except FileNotFoundError:
            return
        except OSError as error:
            self.left_out.add(entry.path, error.strerror)
            return
        try:
            yield from self._below(inner, entry.path, depth - 1)
        finally:
            os.close(inner)


def fingerprint(trees: Mapping[str, int]) -> str:
    """Another one whenever something in the trees may have changed.

    The time of change of a file cannot be set by anybody inside. The order in which folders name
    their entries does not matter.
    """
    total = 0
    for entry in Walk(trees).entries():
        status = entry.status
        said = b"%d %d %d %d %d %d %b" % (
            status.st_mode,
            status.st_ino,
            status.st_size,
            status.st_nlink,
            status.st_mtime_ns,
            status.st_ctime_ns,
            entry.path,
        )
        total += int.from_bytes(blake2b(said, digest_size=16).digest(), "big")
    return f"{total & MASK:032x}"
