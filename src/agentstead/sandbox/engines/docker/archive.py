"""Reads a tar archive as it comes, without holding it: what the engine gives of a container's files."""

import tarfile
from collections.abc import AsyncIterator

BLOCK = tarfile.BLOCKSIZE
HEADER_BYTES_MAX = 1 << 20
"""Of the extra headers of one entry (long names and the like)."""
EXTRA = (b"x", b"g", b"L", b"K")


class Pieces:
    """Bytes that come when they come, read by number."""

    def __init__(self, source: AsyncIterator[bytes]) -> None:
        self._source = source
        self._buffer = bytearray()

    async def exactly(self, count: int) -> bytes:
        """So many bytes; fewer at the end."""
        while len(self._buffer) < count:
            piece = await anext(self._source, b"")
            if not piece:
                break
            self._buffer += piece
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken


async def entries(
    source: AsyncIterator[bytes],
) -> AsyncIterator[tuple[tarfile.TarInfo, AsyncIterator[bytes]]]:
    """Every entry with its content, which must be read to its end before the next. Ends where it is cut off."""
    pieces = Pieces(aiter(source))
    while (entry := await _header(pieces)) is not None:
        yield entry, _content(pieces, entry.size if entry.isreg() else 0)


async def _header(pieces: Pieces) -> tarfile.TarInfo | None:
    """The next entry, its extra headers taken in; None at the end or when it is no archive."""
    head = b""
    while True:
        block = await pieces.exactly(BLOCK)
        if len(block) < BLOCK or not block.strip(b"\0"):
            return None
        head += block
        if block[156:157] not in EXTRA:
            break
        try:
            size = _padded(int(block[124:136].strip(b"\0 ") or b"0", 8))
        except ValueError:
            return None
        if len(head) + size > HEADER_BYTES_MAX:
            return None
        head += await pieces.exactly(size)
    try:
        return _parsed(head)
    except tarfile.TarError:
        return None


def _parsed(head: bytes) -> tarfile.TarInfo:
    import io

    with tarfile.open(fileobj=io.BytesIO(head), mode="r:", errors="surrogateescape") as archive:
        entry = archive.next()
    if entry is None:
        raise tarfile.ReadError("an empty archive")
    return entry


async def _content(pieces: Pieces, size: int) -> AsyncIterator[bytes]:
    left = size
    while left:
        piece = await pieces.exactly(min(left, 1 << 18))
        if not piece:
            raise EOFError("the archive is cut off")
        left -= len(piece)
        yield piece
    await pieces.exactly(_padded(size) - size)


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK
