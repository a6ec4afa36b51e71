"""Writes trees as one tar archive, piece by piece.

Links are kept as links, hard links as such, holes stay holes. Sockets are not kept. A file that
changes while it is read comes out in the length it had when its turn came. The archive is what
`tar` reads.
"""

import os
import stat
from collections.abc import Callable, Iterator, Mapping

from agentstead.sandbox.archive.headers import (
    BLOCK,
    FILE,
    FOLDER,
    LINK,
    NUMBER_MAX,
    PIPE,
    TWIN,
    Header,
)
from agentstead.sandbox.archive.walk import Entry, TooMuch, Walk

PIECE_BYTES = 256 << 10
"""Handed on at a time: what fits beside a core, or each byte is fetched from memory once more."""
EXTENTS_MAX = 4096
"""A file with more parts is written without any hole."""
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

Extent = tuple[int, int]
"""Where data begins, and how long it goes on."""


class Pack:
    """One archive in the making."""

    def __init__(
        self, trees: Mapping[str, int], out: Callable[[memoryview], None], bytes_max: int
    ) -> None:
        self.out = out
        """Is given a piece that is overwritten once it returns."""
        self.bytes_max = bytes_max
        """Of the content of files together."""
        self.walk = Walk(trees)
        self.files = 0
        self.data = 0
        """Bytes of content."""
        self._piece = memoryview(bytearray(PIECE_BYTES))
        self._used = 0
        self._twins: dict[tuple[int, int], bytes] = {}
        """Files with several names: the name that was written."""

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
            self._header(entry, FOLDER)
        elif stat.S_ISLNK(mode):
            target = os.readlink(entry.name, dir_fd=entry.folder)
            self._header(entry, LINK, target=target)
        elif stat.S_ISFIFO(mode):
            self._header(entry, PIPE)
        elif not stat.S_ISSOCK(mode):
            self.walk.left_out.add(entry.path, "not a file")

    def _file(self, entry: Entry) -> None:
        try:
            file = os.open(entry.name, READ, dir_fd=entry.folder)
        except FileNotFoundError:
            return
        except OSError as error:
            self.walk.left_out.add(entry.path, error.strerror)
            return
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                return  # another thing took its place
            entry.status = status
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
        self._header(entry, TWIN, target=first)
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
            self._header(entry, FILE, size=size)
        else:
            self._sparse(entry, extents, length)
        for start, part in extents:
            self._copy(file, start, part)
        self._put(bytes(-length % BLOCK))

    def _copy(self, file: int, start: int, length: int) -> None:
        end = start + length
        while start < end:
            room = self._piece[self._used : self._used + end - start]
            count = os.preadv(file, [room], start)
            if not count:  # it has become shorter
                room[:] = bytes(len(room))
                count = len(room)
            self._fill(count)
            start += count

    def _sparse(self, entry: Entry, extents: list[Extent], length: int) -> None:
        numbers = [len(extents), *(number for extent in extents for number in extent)]
        table = "".join(f"{number}\n" for number in numbers).encode()
        table += bytes(-len(table) % BLOCK)
        self._header(entry, FILE, size=len(table) + length, sparse=entry.status.st_size)
        self._put(table)

    def _header(
        self,
        entry: Entry,
        kind: bytes,
        *,
        size: int = 0,
        target: bytes = b"",
        sparse: int | None = None,
    ) -> None:
        status = entry.status
        header = Header(entry.path, kind, status.st_mode, time_of(status), size, target)
        header.sparse = sparse
        self._put(header.blocks())

    def _put(self, data: bytes) -> None:
        while data:
            room = self._piece[self._used : self._used + len(data)]
            room[:] = data[: len(room)]
            data = data[len(room) :]
            self._fill(len(room))

    def _fill(self, count: int) -> None:
        self._used += count
        if self._used == PIECE_BYTES:
            self._hand_on()

    def _hand_on(self) -> None:
        self.out(self._piece[: self._used])
        self._used = 0


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
    return min(max(int(status.st_mtime), 0), NUMBER_MAX)
