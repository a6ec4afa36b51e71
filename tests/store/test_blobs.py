"""Bodies are whole or not there, whatever happens while they are written."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agentstead.errors import StoreFault, TooLarge
from agentstead.store.blobs import INCOMING, PIECE_BYTES, FolderBlobs

MOST = 1 << 30


@pytest.fixture
def blobs(tmp_path: Path) -> FolderBlobs:
    return FolderBlobs(tmp_path / "blobs")


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def body(blobs: FolderBlobs, blob_id: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([piece async for piece in blobs.read(blob_id, start, end)])


def kept(blobs: FolderBlobs) -> list[str]:
    return sorted(path.name for path in blobs.root.rglob("*") if path.is_file())


async def test_a_body_comes_back_as_it_was(blobs: FolderBlobs) -> None:
    parts = [bytes([n]) * (PIECE_BYTES // 3) for n in range(8)]
    whole = b"".join(parts)
    stored = await blobs.put("blob_1", chunks(*parts), MOST)
    assert stored.size_bytes == len(whole)
    assert stored.sha256 == hashlib.sha256(whole).hexdigest()
    assert await body(blobs, "blob_1") == whole
    assert (
        await body(blobs, "blob_1", PIECE_BYTES - 1, PIECE_BYTES + 1)
        == whole[PIECE_BYTES - 1 :][:2]
    )
    assert await body(blobs, "blob_1", len(whole)) == b""
    assert await body(blobs, "blob_1", 5, 5) == b""
    path = blobs.root / "_1" / "blob_1"
    assert path.read_bytes() == whole
    assert path.stat().st_mode & 0o777 == 0o644
    assert blobs.root.stat().st_mode & 0o777 == 0o700


async def test_an_empty_body_is_one(blobs: FolderBlobs) -> None:
    assert (await blobs.put("blob_1", chunks(), MOST)).size_bytes == 0
    assert await body(blobs, "blob_1") == b""


async def test_what_is_too_large_leaves_nothing(blobs: FolderBlobs) -> None:
    await blobs.put("blob_1", chunks(b"x" * 10), 10)
    with pytest.raises(TooLarge):
        await blobs.put("blob_2", chunks(b"x" * 10, b"x"), 10)
    assert kept(blobs) == ["blob_1"]


async def test_what_breaks_off_leaves_nothing(blobs: FolderBlobs) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * PIECE_BYTES
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await blobs.put("blob_1", broken(), MOST)
    assert kept(blobs) == []


async def test_who_is_cancelled_leaves_nothing(blobs: FolderBlobs) -> None:
    begun = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * PIECE_BYTES
            begun.set()

    writing = asyncio.create_task(blobs.put("blob_1", endless(), MOST))
    await begun.wait()
    assert kept(blobs) == ["blob_1"]  # the draft
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert kept(blobs) == []


async def test_a_reader_reads_on_when_a_body_is_deleted(blobs: FolderBlobs) -> None:
    await blobs.put("blob_1", chunks(b"x" * 3 * PIECE_BYTES), MOST)
    reading = blobs.read("blob_1")
    first = await anext(reading)
    await blobs.delete("blob_1")
    await blobs.delete("blob_1")
    assert len(first) + sum([len(piece) async for piece in reading]) == 3 * PIECE_BYTES
    with pytest.raises(StoreFault) as missing:
        await body(blobs, "blob_1")
    assert missing.value.kind == "missing"


async def test_old_bodies_are_found_and_old_drafts_removed(blobs: FolderBlobs) -> None:
    assert await blobs.older_than(0) == []
    for name in ("blob_1", "blob_2"):
        await blobs.put(name, chunks(b"x"), MOST)
    for name in ("blob_3", "blob_4"):  # as a process that was killed leaves them
        (blobs.root / INCOMING / name).write_bytes(b"x")
    for path in (blobs.root / "_2" / "blob_2", blobs.root / INCOMING / "blob_4"):
        os.utime(path, (1, 1))
    assert await blobs.older_than(60) == ["blob_2"]
    assert kept(blobs) == ["blob_1", "blob_2", "blob_3"]


async def test_a_full_disk_is_said(blobs: FolderBlobs) -> None:
    await blobs.put("blob_1", chunks(b"x"), MOST)
    (blobs.root / INCOMING / "blob_2").symlink_to("/dev/full")
    with pytest.raises(StoreFault):  # and nothing is written through a link that lies there
        await blobs.put("blob_2", chunks(b"x"), MOST)
