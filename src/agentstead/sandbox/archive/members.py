"""Reads the entries of an archive one after another, from a source that cannot go back."""

from collections.abc import Iterator
from typing import Protocol

from agentstead.sandbox.archive.headers import (
    BLOCK,
    DIGITS_MAX,
    FILE,
    RECORDS,
    RECORDS_MAX,
    Damaged,
    Header,
    read_plain,
    read_records,
)

PIECE_BYTES = 1 << 20
PARTS_MAX = 4100
"""Of a file with holes; somewhat more than are ever written."""


class Source(Protocol):
    """Where an archive comes from."""

    def read(self, size: int, /) -> bytes | memoryview:
        """Some bytes, at most `size`; none at the end."""
        ...


class Members:
    """The entries; the content of one is there until the next is asked for."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._left = 0
        """Bytes of the entry's content that nobody has taken."""
        self._filling = 0

    def __iter__(self) -> Iterator[Header]:
        """All of them, to the very end of the source: what the whole is checked by comes there."""
        while (header := self._header()) is not None:
            self._left = header.size
            self._filling = -header.size % BLOCK
            yield header
            for _ in self.content(self._left + self._filling):
                pass
        while self._source.read(PIECE_BYTES):
            pass

    def content(self, length: int) -> Iterator[bytes | memoryview]:
        """So much of what comes next."""
        while length:
            piece = self._source.read(min(PIECE_BYTES, length))
            if not piece:
                raise Damaged("it ends too early")
            length -= len(piece)
            self._left -= len(piece)
            yield piece

    def parts(self, header: Header) -> list[tuple[int, int]]:
        """Where parts of a file belong, and how long they are, in the order in which they come."""
        if header.sparse is None:
            return [(0, header.size)]
        numbers = self._numbers()
        count = next(numbers)
        if count > PARTS_MAX:
            raise Damaged(f"a file has more than {PARTS_MAX} parts")
        parts = [(next(numbers), next(numbers)) for _ in range(count)]
        if sum(length for _, length in parts) != self._left:
            raise Damaged("the parts of a file are not as long as said")
        return parts

    def _numbers(self) -> Iterator[int]:
        """The numbers of a list that fills whole blocks."""
        rest = b""
        while True:
            line, end, rest = rest.partition(b"\n")
            if end and line.isdigit() and len(line) <= DIGITS_MAX:
                yield int(line)
            elif end or len(line) > DIGITS_MAX or self._left < BLOCK:
                raise Damaged("the parts of a file are not listed")
            else:
                rest = line + self._exactly(BLOCK)

    def _header(self) -> Header | None:
        """The next one; None at the end."""
        records = {}
        self._left = 0
        block = self._exactly(BLOCK)
        if block[156:157] == RECORDS:
            length = read_plain(block).size
            if length > RECORDS_MAX:
                raise Damaged("a record is too long")
            records = read_records(self._exactly(length))
            self._exactly(-length % BLOCK)
            block = self._exactly(BLOCK)
        if not any(block):
            return None
        header = read_plain(block)
        header.learn(records)
        if header.kind != FILE and header.size:
            raise Damaged("what is no file has content")
        return header

    def _exactly(self, length: int) -> bytes:
        return b"".join(self.content(length))
