"""A platform saved and made again: all of it, of one moment, or a clear word why not."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from agentstead.app.backup import Manifest, back_up
from agentstead.app.restore import restore
from agentstead.clock import SystemClock
from agentstead.errors import Misconfigured
from agentstead.ids import BLOB, RandomIds
from agentstead.settings import Settings
from agentstead.store import files as store
from agentstead.store.blobs import FolderBlobs
from agentstead.store.files import NewFile
from agentstead.store.pool import Database
from agentstead.store.table import Write
from agentstead.store.workspace import DEFAULT_WORKSPACE
from tests.support.places import memory_dir, temporary_dir
from tests.support.postgres import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

IDS = RandomIds()
CLOCK = SystemClock()


class Saved:
    """A platform with files, and where its backup goes."""

    def __init__(self, folder: Path, database: Database) -> None:
        self.database = database
        self.data_dir = folder / "old"
        self.data_dir.mkdir()
        self.blobs = FolderBlobs(self.data_dir / "blobs")
        self.backup = folder / "backup"
        self.new = folder / "new"

    async def file(self, text: bytes) -> str:
        """A file; its body's id."""

        async def chunks() -> AsyncIterator[bytes]:
            yield text

        blob_id = IDS.new(BLOB)
        body = await self.blobs.put(blob_id, chunks(), 100)
        async with self.database.transaction() as tx:
            write = Write(tx, IDS, CLOCK.now(), DEFAULT_WORKSPACE)
            await store.add(write, NewFile(blob_id, body, "a", "text/plain", False))
        return blob_id

    async def save(self, *, keys: bool = False) -> Manifest:
        """Make the backup."""
        return await back_up(
            self.database, self.data_dir, self.blobs, self.backup, CLOCK, keys=keys
        )

    async def restore(self, url: str | None) -> Manifest:
        """Into a database, or into an embedded one of the new data directory."""
        settings = Settings(data_dir=self.new, database_url=url, database_connections_max=3)
        return await restore(settings, self.backup, CLOCK)

    def body(self, blob_id: str) -> bytes:
        """What the new platform has of a body."""
        return (self.new / "blobs" / blob_id[-2:] / blob_id).read_bytes()


@pytest.fixture
def saved(database: Database) -> Iterator[Saved]:
    folder = temporary_dir()
    yield Saved(folder, database)
    shutil.rmtree(folder)


@pytest.fixture
def empty_url(postgres: Server) -> Iterator[str]:
    """A database without a table."""
    url = postgres.create("template0")
    yield url
    postgres.drop(url)


async def files_in(url: str) -> set[str]:
    """The bodies that a database's files name."""
    database = await Database.open(url, connections_max=1)
    try:
        rows = await database.fetch("select blob_id from files")
        return {row["blob_id"] for row in rows}
    finally:
        await database.close()


async def test_a_platform_is_made_again_from_its_backup(saved: Saved, empty_url: str) -> None:
    first = await saved.file(b"first")
    (saved.data_dir / "seal-keys").write_text("a:1\n")
    manifest = await saved.save(keys=True)
    second = await saved.file(b"second, too late")
    assert (manifest.bodies, manifest.bytes, manifest.lost) == (1, 5, [])
    assert saved.backup.stat().st_mode & 0o777 == 0o700

    assert await saved.restore(empty_url) == manifest
    assert await files_in(empty_url) == {first} != {first, second}
    assert saved.body(first) == b"first"
    assert (saved.new / "seal-keys").read_text() == "a:1\n"
    assert (saved.new / "seal-keys").stat().st_mode & 0o777 == 0o600

    with pytest.raises(Misconfigured, match="is not empty"):
        await saved.restore(empty_url)
    with pytest.raises(Misconfigured, match="exists already"):
        await saved.save()


async def test_the_embedded_database_is_restored_too(saved: Saved) -> None:
    await saved.file(b"first")
    await saved.save()
    with memory_dir() as folder:
        saved.new = folder / "data"
        await saved.restore(None)
        assert not (saved.new / "postgres" / "postmaster.pid").exists()
        with pytest.raises(Misconfigured, match=r"is not empty.*\n.*--data-dir"):
            await saved.restore(None)


async def test_keys_are_saved_only_when_asked_for_and_never_replaced(
    saved: Saved, empty_url: str
) -> None:
    (saved.data_dir / "seal-keys").write_text("a:1\n")
    manifest = await saved.save()
    assert not manifest.keys
    assert not (saved.backup / "keys").exists()
    shutil.rmtree(saved.backup)

    await saved.save(keys=True)
    saved.new.mkdir()
    (saved.new / "seal-keys").write_text("b:2\n")
    with pytest.raises(Misconfigured, match="is there already"):
        await saved.restore(empty_url)
    assert (saved.new / "seal-keys").read_text() == "b:2\n"


async def test_a_body_that_is_lost_or_damaged_is_named_and_the_rest_is_saved(
    saved: Saved, empty_url: str
) -> None:
    gone, changed, longer, good = [await saved.file(text) for text in (b"1", b"2", b"3", b"4")]
    (await saved.blobs.local(gone)).unlink()
    (await saved.blobs.local(changed)).write_bytes(b"x")
    (await saved.blobs.local(longer)).write_bytes(b"33")
    assert set((await saved.save()).lost) == {gone, changed, longer}
    await saved.restore(empty_url)
    assert saved.body(good) == b"4"
    left = {file.name for file in (saved.new / "blobs").rglob("*") if file.is_file()}
    assert left == {good}


@pytest.mark.parametrize("name", ["manifest.json", "database.dump", "blobs.jsonl", "body"])
async def test_a_damaged_backup_is_refused_before_anything_is_written(
    saved: Saved, empty_url: str, name: str
) -> None:
    blob_id = await saved.file(b"first")
    await saved.save()
    file = saved.backup / (f"blobs/{blob_id[-2:]}/{blob_id}" if name == "body" else name)
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(Misconfigured, match=file.name):
        await saved.restore(empty_url)
    assert not saved.new.exists()


async def test_a_backup_of_a_newer_build_or_form_is_refused(saved: Saved, empty_url: str) -> None:
    await saved.save()
    path = saved.backup / "manifest.json"
    said = json.loads(path.read_text())
    path.write_text(json.dumps(said | {"migrations": [*said["migrations"], "9999_later.sql"]}))
    with pytest.raises(Misconfigured, match="newer than this build: it has 9999_later"):
        await saved.restore(empty_url)
    path.write_text(json.dumps({"format": 99, "version": "7.0"}))
    with pytest.raises(Misconfigured, match=r"form 99.*\nRestore it with Agentstead 7.0"):
        await saved.restore(empty_url)


async def test_bodies_are_not_deleted_while_they_are_saved(saved: Saved) -> None:
    blob_id = await saved.file(b"first")
    async with store.kept(saved.database):
        await saved.database.execute("delete from files")
        assert await store.sweep(saved.database, saved.blobs) == 0
        assert (await saved.blobs.local(blob_id)).read_bytes() == b"first"
    assert await store.sweep(saved.database, saved.blobs) == 1


async def test_an_attempt_that_was_cut_off_leaves_no_backup_and_is_done_again(
    saved: Saved,
) -> None:
    await saved.file(b"first")
    attempt = asyncio.create_task(saved.save())
    await asyncio.sleep(0.01)
    attempt.cancel()
    await asyncio.gather(attempt, return_exceptions=True)
    if not attempt.cancelled():
        shutil.rmtree(saved.backup)
    assert not saved.backup.exists()
    (saved.backup.parent / ".backup.part").mkdir()
    assert (await saved.save()).bodies == 1
