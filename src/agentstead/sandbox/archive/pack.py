"""Writes trees as one tar archive, piece by piece.

Links are kept as links, hard links as such, holes stay holes. Sockets are not kept. A file that
changes while it is read comes out in the length it had when its turn came. The archive is what
`tar` reads; only what does not fit its plain headers is written by the standard library, which is
slow.
"""

import os
import stat
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from agentstead.sandbox.archive.walk import Entry, TooMuch, Walk

BLOCK = 512
READ_BYTES = 256 << 10
PIECE_BYTES = 256 << 10
"""Handed on at a time."""
EXTENTS_MAX = 4096
"""A file with more parts is written without any hole."""
OWNER = 1000
"""Whom files belong to inside."""
TIME_MAX = SIZE_MAX = 8**11 - 1
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
MAGIC = b"ustar\x0000" + bytes(247)
MODES = 0o1777
"""Of a mode; nothing is ever run with its owner's rights."""

Extent = tuple[int, int]
"""Where data begins, and how long it goes on."""


@dataclass(slots=True)
class Pack:
    """One archive in the making."""

    trees: Mapping[str, int]
    out: Callable[[bytes], None]
    bytes_max: int
    """Of the content of files together."""
    walk: Walk = field(init=False)
    files: int = 0
    data: int = 0
    """Bytes of content."""
    _pending: list[bytes] = field(default_factory=list)
    _waiting: int = 0
    _twins: dict[tuple[int, int], bytes] = field(default_factory=dict)
    """Files with several names: the name that was written."""

    def __post_init__(self) -> None:
        self.walk = Walk(self.trees)

    def write(self) -> None:
        """All of it; raises TooMuch, and whatever `out` raises."""
        for entry in self.walk.entries():
            try:
                self._entry(entry)
            except FileNotFoundError:
                continue  # it went while we looked
        self._put(bytes(2 * BLOCK))
        self._hand_on()

    def _entry(self, entry: Entry) -> None:
        mode = entry.status.st_mode
        if stat.S_ISREG(mode):
            self._file(entry)
        elif stat.S_ISDIR(mode):
            self._header(entry, tarfile.DIRTYPE)
        elif stat.S_ISLNK(mode):
            target = os.readlink(entry.name, dir_fd=entry.folder)
            self._header(entry, tarfile.SYMTYPE, target=target)
        elif stat.S_ISFIFO(mode):
            self._header(entry, tarfile.FIFOTYPE)
        elif not stat.S_ISSOCK(mode):
            self.walk.left_out.add(entry.path, "not a file")

    def _file(self, entry: Entry) -> None:
        try:
            file = os.open(entry.name, FILE, dir_fd=entry.folder)
        except FileNotFoundError:
            return
        except OSError as error:
            self.walk.left_out.add(entry.path, error.strerror)
            return
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                return  # another thing took its place
            entry = Entry(entry.folder, entry.name, entry.path, status)
            self.files += 1
            if not self._twin(entry):
                self._content(entry, file)
        finally:
            os.close(file)

    def _twin(self, entry: Entry) -> bool:
        """Write it as another name of a file that was written; whether it is one."""
        status = entry.status
        if status.st_nlink < 2:
            return False
        first = self._twins.setdefault((status.st_dev, status.st_ino), entry.path)
        if first == entry.path:
            return False
        self._header(entry, tarfile.LNKTYPE, target=first)
        return True

    def _content(self, entry: Entry, file: int) -> None:
        size = entry.status.st_size
        holes = entry.status.st_blocks * BLOCK < size
        extents = list(extents_of(file, size)) if holes else [(0, size)]
        if len(extents) > EXTENTS_MAX:
            extents = [(0, size)]
        length = sum(part for _, part in extents)
        self.data += length
        if self.data > self.bytes_max:
            raise TooMuch(f"its files take more than {self.bytes_max} bytes")
        if extents == [(0, size)]:
            self._header(entry, tarfile.REGTYPE, size=size)
        else:
            self._sparse(entry, extents, length)
        for start, part in extents:
            self._copy(file, start, part)
        self._put(bytes(-length % BLOCK))

    def _copy(self, file: int, start: int, length: int) -> None:
        end = start + length
        while start < end:
            piece = os.pread(file, min(READ_BYTES, end - start), start)
            if not piece:  # it has become shorter
                piece = bytes(min(READ_BYTES, end - start))
            self._put(piece)
            start += len(piece)

    def _sparse(self, entry: Entry, extents: list[Extent], length: int) -> None:
        numbers = [len(extents), *(number for extent in extents for number in extent)]
        table = "".join(f"{number}\n" for number in numbers).encode()
        table += bytes(-len(table) % BLOCK)
        info = self._info(entry, tarfile.REGTYPE, len(table) + length)
        info.pax_headers = {
            "GNU.sparse.major": "1",
            "GNU.sparse.minor": "0",
            "GNU.sparse.name": info.name,
            "GNU.sparse.realsize": str(entry.status.st_size),
        }
        info.name = "sparse"
        self._put(long_header(info))
        self._put(table)

    def _header(self, entry: Entry, kind: bytes, *, size: int = 0, target: bytes = b"") -> None:
        if max(len(entry.path), len(target)) > 100 or size > SIZE_MAX:
            info = self._info(entry, kind, size)
            info.linkname = os.fsdecode(target)
            self._put(long_header(info))
            return
        status = entry.status
        first = b"%b%07o\0%07o\0%07o\0%011o\0%011o\0" % (
            entry.path.ljust(100, b"\0"),
            status.st_mode & MODES,
            OWNER,
            OWNER,
            size,
            time_of(status),
        )
        last = kind + target.ljust(100, b"\0") + MAGIC
        # the sum is taken as if it were eight spaces itself
        self._put(b"%b%06o\0 %b" % (first, sum(first) + sum(last) + 256, last))

    def _info(self, entry: Entry, kind: bytes, size: int) -> tarfile.TarInfo:
        info = tarfile.TarInfo(os.fsdecode(entry.path))
        info.type, info.size = kind, size
        info.mode, info.mtime = entry.status.st_mode & MODES, time_of(entry.status)
        info.uid = info.gid = OWNER
        return info

    def _put(self, data: bytes) -> None:
        self._pending.append(data)
        self._waiting += len(data)
        if self._waiting >= PIECE_BYTES:
            self._hand_on()

    def _hand_on(self) -> None:
        data = b"".join(self._pending)
        self._pending.clear()
        self._waiting = 0
        self.out(data)


def extents_of(file: int, size: int) -> Iterator[Extent]:
    """The parts of a file that are no holes, EXTENTS_MAX and one at most."""
    start = 0
    for _ in range(EXTENTS_MAX + 1):
        if start >= size:
            return
        try:
            begin = os.lseek(file, start, os.SEEK_DATA)
        except OSError:  # nothing but a hole is left
            return
        if begin >= size:
            return
        start = min(os.lseek(file, begin, os.SEEK_HOLE), size)
        yield begin, start - begin


def time_of(status: os.stat_result) -> int:
    """When it was written, as far as a header can say it."""
    return min(max(int(status.st_mtime), 0), TIME_MAX)


def long_header(info: tarfile.TarInfo) -> bytes:
    """A header with whatever does not fit a plain one."""
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
