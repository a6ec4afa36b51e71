"""Bodies live as long as something refers to them; expired files give theirs up."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agentstead.clock import SystemClock
from agentstead.errors import Invalid, NotFound
from agentstead.ids import BLOB, RandomIds
from agentstead.store import files as store
from agentstead.store.blobs import FolderBlobs
from agentstead.store.files import NewFile, files
from agentstead.store.pool import Database
from agentstead.store.table import Row, Write
from agentstead.store.workspace import DEFAULT_WORKSPACE

IDS = RandomIds()


@pytest.fixture
def blobs(tmp_path: Path) -> FolderBlobs:
    return FolderBlobs(tmp_path / "blobs")


async def words() -> AsyncIterator[bytes]:
    yield b"words"


async def made(
    database: Database,
    blobs: FolderBlobs,
    *,
    session_id: str | None = None,
    expires_in: float | None = None,
    quota: int | None = None,
) -> Row:
    """A file with a body of five bytes."""
    blob_id, now = IDS.new(BLOB), SystemClock().now()
    body = await blobs.put(blob_id, words(), 100)
    expires_at = None if expires_in is None else now + expires_in
    async with database.transaction() as tx:
        new = NewFile(blob_id, body, "a", "text/plain", False, session_id, expires_at)
        file_id = await store.add(Write(tx, IDS, now, DEFAULT_WORKSPACE), new, quota)
        row = await tx.fetch_one("select * from files where id = %s", (file_id,))
        assert row is not None
        return row


def kept(blobs: FolderBlobs) -> set[str]:
    return {path.name for path in blobs.root.rglob("*") if path.is_file()}


async def swept(database: Database, blobs: FolderBlobs, grace: float = 0.0) -> int:
    found = await store.sweep(database, blobs, grace)
    return found + await store.sweep_lost(database, blobs, grace)


async def test_a_body_lives_as_long_as_a_file_refers_to_it(
    database: Database, blobs: FolderBlobs
) -> None:
    await database.execute(
        "insert into sessions (id, workspace_id, primary_thread_id, agent_id, agent_version, agent,"
        " environment_id, environment, created_at, updated_at, status)"
        " values ('sesn_1', %s, 't', 'a', 1, '{}', 'e', '{}', now(), now(), 'idle')",
        (DEFAULT_WORKSPACE,),
    )
    row = await made(database, blobs)
    now = SystemClock().now()
    async with database.transaction() as tx:
        write = Write(tx, IDS, now, DEFAULT_WORKSPACE)
        (original,) = (await store.originals(tx, DEFAULT_WORKSPACE, [row["id"], "file_0"])).values()
        copy_id = await store.copy(write, original, "sesn_1")
        await files.delete(write, row["id"])
    copied = await files.retrieve(database, DEFAULT_WORKSPACE, copy_id)
    assert copied["id"] != row["id"]
    assert (copied["blob_id"], copied["downloadable"]) == (row["blob_id"], False)
    assert await swept(database, blobs) == 0
    assert kept(blobs) == {row["blob_id"]}
    await database.execute("delete from sessions")
    with pytest.raises(NotFound):  # what belongs to a session is gone with it, at once
        await files.retrieve(database, DEFAULT_WORKSPACE, copied["id"])
    assert await swept(database, blobs, 60.0) == 0  # it may be on its way
    assert await swept(database, blobs) == 1
    assert kept(blobs) == set()
    assert await database.fetch("select 1 from files union all select 1 from blobs") == []


async def test_the_database_keeps_what_is_referred_to(
    database: Database, blobs: FolderBlobs
) -> None:
    await made(database, blobs)
    with pytest.raises(Exception, match="foreign key"):
        await database.execute("delete from blobs")


async def test_a_body_without_a_row_is_deleted_after_its_grace(
    database: Database, blobs: FolderBlobs
) -> None:
    row = await made(database, blobs)
    await blobs.put("blob_lost", words(), 100)
    assert await swept(database, blobs, 60.0) == 0
    assert kept(blobs) == {row["blob_id"], "blob_lost"}
    assert await swept(database, blobs) == 1
    assert kept(blobs) == {row["blob_id"]}


async def test_an_expired_file_gives_up_its_body_and_later_its_row(
    database: Database, blobs: FolderBlobs
) -> None:
    kept_row = await made(database, blobs, expires_in=100.0)
    row = await made(database, blobs, expires_in=-1.0)
    assert await store.expire(database) == 1
    assert await store.expire(database) == 0
    assert await swept(database, blobs) == 1
    assert kept(blobs) == {kept_row["blob_id"]}
    await files.retrieve(database, DEFAULT_WORKSPACE, row["id"])
    await database.execute(
        "update files set expires_at = now() - interval '31 days' where id = %s", (row["id"],)
    )
    assert await store.expire(database) == 1
    with pytest.raises(NotFound):
        await files.retrieve(database, DEFAULT_WORKSPACE, row["id"])


async def test_the_quota_counts_uploads_only(database: Database, blobs: FolderBlobs) -> None:
    await made(database, blobs, quota=10)
    await made(database, blobs, session_id="sesn_1")
    await made(database, blobs, quota=10)
    with pytest.raises(Invalid) as refused:
        await made(database, blobs, quota=10)
    assert refused.value.code == "storage_quota_exceeded"
