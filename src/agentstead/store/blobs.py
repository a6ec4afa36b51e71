"""Large bodies outside of the database: written once under an id of their own, never changed.

Promises: what `put` returned is whole and on the disk; what it did not return is not there; a
reader never sees a part of a body; bodies are streamed and never held in memory. Several processes
may share one folder. Who refers to a body is told by the `blobs` table; `store.files` deletes what
nothing refers to, and what has no row after a time of grace, in which it may be on its way.
"""

import asyncio
import errno
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, ParamSpec, Protocol, TypeVar

from agentstead.errors import StoreFault, TooLarge

P = ParamSpec("P")
T = TypeVar("T")

PIECE_BYTES = 1 << 20
"""Written and read at a time; a thread's turn costs more than a smaller piece."""
FLUSH_BYTES = 8 << 20
"""Written before the disk is told to begin: at the end little is left to wait for."""
INCOMING = ".incoming"
"""Folder of bodies that are being written."""
READABLE = 0o644
"""Sandboxes read it under users of their own, and copies made there can be written; the folder above
lets nobody else in."""


@dataclass(frozen=True, slots=True)
class Body:
    """A stored body."""

    size_bytes: int
    sha256: str


class Blobs(Protocol):
    """A store of bodies."""

    async def put(self, blob_id: str, chunks: AsyncIterator[bytes], bytes_max: int) -> Body:
        """Store a new body; TooLarge, StoreFault. When it raises, or is cancelled, nothing stays."""
        ...

    def read(self, blob_id: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` up to `end`; StoreFault when it is not there."""
        ...

    async def local(self, blob_id: str) -> Path:
        """A file of this host with the body, for a sandbox; StoreFault when there is none."""
        ...

    async def delete(self, blob_id: str) -> None:
        """Remove it; fine when it is not there. Open readers read on."""
        ...

    async def older_than(self, seconds: float) -> list[str]:
        """The ids of bodies written so long ago; unfinished ones as old are removed by the way."""
        ...


class FolderBlobs:
    """Bodies as files of one folder, `<data_dir>/blobs`, that belongs to the platform's user."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    async def put(self, blob_id: str, chunks: AsyncIterator[bytes], bytes_max: int) -> Body:
        """Write beside, force to disk, then give it its name."""
        draft = self.root / INCOMING / blob_id
        target = self._path(blob_id)
        size, digest, pending = 0, hashlib.sha256(), bytearray()
        file = await asyncio.to_thread(self._open, draft)
        flush = Flush(file)
        try:
            async for chunk in limited(chunks, bytes_max):
                size += len(chunk)
                pending += chunk
                if len(pending) >= PIECE_BYTES:
                    await to_its_end(_write, file, digest, pending)
                    flush.begin(size)
            await to_its_end(_write, file, digest, pending)
            await flush.ended()
            await to_its_end(_finish, file, draft, target)
        except BaseException:
            with suppress(StoreFault):
                await flush.ended()
            file.close()
            with suppress(OSError):
                draft.unlink(missing_ok=True)
                target.unlink(missing_ok=True)
            raise
        return Body(size, digest.hexdigest())

    async def read(
        self, blob_id: str, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """Piece by piece."""
        file = await asyncio.to_thread(self._reader, blob_id)
        try:
            file.seek(start)
            left = PIECE_BYTES if end is None else end - start
            while left > 0:
                piece = await to_its_end(file.read, min(PIECE_BYTES, left))
                if not piece:
                    return
                if end is not None:
                    left -= len(piece)
                yield piece
        finally:
            file.close()

    async def local(self, blob_id: str) -> Path:
        """The file itself."""
        path = self._path(blob_id)
        if not await asyncio.to_thread(path.is_file):
            raise _missing(blob_id)
        return path

    async def delete(self, blob_id: str) -> None:
        """Remove the file."""
        with disk_faults():
            await asyncio.to_thread(self._path(blob_id).unlink, missing_ok=True)

    async def older_than(self, seconds: float) -> list[str]:
        """Looks at every file of the folder."""
        return await asyncio.to_thread(lambda: list(self._older_than(seconds)))

    def _path(self, blob_id: str) -> Path:
        # the end of an id is random, its beginning is the time
        return self.root / blob_id[-2:] / blob_id

    def _open(self, draft: Path) -> BinaryIO:
        with disk_faults():
            self.root.mkdir(mode=0o700, exist_ok=True)
            draft.parent.mkdir(mode=0o700, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            return os.fdopen(os.open(draft, flags, 0o600), "wb", buffering=0)

    def _reader(self, blob_id: str) -> BinaryIO:
        try:
            return self._path(blob_id).open("rb", buffering=0)
        except FileNotFoundError:
            raise _missing(blob_id) from None

    def _older_than(self, seconds: float) -> Iterator[str]:
        # files are as old as the disk says: its clock made their times
        now = _disk_time(self.root)
        for folder in os.scandir(self.root) if now is not None else ():
            if not folder.is_dir():
                continue
            for entry in os.scandir(folder.path):
                with suppress(FileNotFoundError):
                    if now is None or now - entry.stat().st_mtime < seconds:
                        continue
                    if folder.name == INCOMING:
                        Path(entry.path).unlink(missing_ok=True)
                    else:
                        yield entry.name


class Flush:
    """Has a file written to the disk while more of it comes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._work: asyncio.Future[None] | None = None
        self._size = 0
        """Of the file, when it began last."""

    def begin(self, size: int) -> None:
        """Begin, unless it is at work or little has come since."""
        if size - self._size >= FLUSH_BYTES and (self._work is None or self._work.done()):
            earlier, self._size = self._work, size
            self._work = asyncio.ensure_future(self._run(earlier))

    async def ended(self) -> None:
        """Wait until it rests, also when cancelled; StoreFault when the disk refused any of it."""
        work, self._work = self._work, None
        if work is None:
            return
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            await asyncio.wait([work])
            raise

    async def _run(self, earlier: "asyncio.Future[None] | None") -> None:
        if earlier is not None:
            await earlier  # what the disk says of a failure it says once
        await asyncio.to_thread(_flush, self._file)


async def limited(chunks: AsyncIterator[bytes], bytes_max: int) -> AsyncIterator[bytes]:
    """The chunks; TooLarge once there are more bytes."""
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > bytes_max:
            raise TooLarge(f"The file is larger than {bytes_max} bytes.")
        yield chunk


@contextmanager
def disk_faults() -> Iterator[None]:
    """Turn what the disk refuses into a StoreFault."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise StoreFault(
            f"The data directory cannot be written: {error.strerror}.",
            kind="full" if full else "unavailable",
            retryable=True,
        ) from error


async def to_its_end(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run it in a thread, and wait for it also when cancelled: it holds a file that is closed then."""
    work = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise


def _missing(blob_id: str) -> StoreFault:
    return StoreFault(f"The body {blob_id} is not in the data directory.", kind="missing")


def _write(file: BinaryIO, digest: "hashlib._Hash", pending: bytearray) -> None:
    digest.update(pending)
    with disk_faults(), memoryview(pending) as rest:
        done = 0
        while done < len(rest):
            done += file.write(rest[done:]) or 0
    pending.clear()


def _flush(file: BinaryIO) -> None:
    with disk_faults():
        os.fdatasync(file.fileno())


def _finish(file: BinaryIO, draft: Path, target: Path) -> None:
    with disk_faults():
        os.fchmod(file.fileno(), READABLE)
        os.fsync(file.fileno())
        file.close()
        target.parent.mkdir(mode=0o700, exist_ok=True)
        draft.rename(target)
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _disk_time(folder: Path) -> float | None:
    """Now, as the file system of `folder` stamps it; None when the folder is not there."""
    mark = folder / INCOMING
    try:
        mark.mkdir(mode=0o700, exist_ok=True)
        os.utime(mark)
        return mark.stat().st_mtime
    except FileNotFoundError:
        return None
