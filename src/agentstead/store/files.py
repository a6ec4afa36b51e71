"""The rows of files and of the bodies behind them: uploads, sessions' copies, outputs.

Promises: a body that a file refers to is never deleted, the database refuses it; a copy shares the
body of its original; what belongs to a session is gone with it; an upload beyond the workspace's
quota is refused, however many come at once.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from agentstead.errors import Invalid
from agentstead.ids import FILE
from agentstead.store.blobs import Blobs, Body
from agentstead.store.pool import Database, Transaction
from agentstead.store.table import Row, Table, Write, moment

GRACE_SECONDS = 3600.0
"""How old a body without a row, and a row without its session, must be before it is deleted."""
LISTED_SECONDS = 30 * 86400.0
"""How long an expired file is still listed."""
SWEEP_MAX = 500
"""Bodies looked at in one statement."""
COPYING = 7_023_042
"""Advisory lock: exclusive while all bodies are copied, shared to delete some."""

files = Table(
    "files",
    "file",
    source="""(select f.* from files f where f.session_id is null
        or exists (select 1 from sessions s where s.id = f.session_id)) t""",
)


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file whose body is stored already."""

    blob_id: str
    body: Body
    filename: str
    mime_type: str
    downloadable: bool
    session_id: str | None = None
    expires_at: float | None = None


async def add(write: Write, new: NewFile, quota_bytes: int | None = None) -> str:
    """The row of a new file, its body's too; its id. Invalid beyond the quota."""
    if quota_bytes is not None:
        await check_quota(write, new.body.size_bytes, quota_bytes)
    await add_body(write, new.blob_id, new.body)
    values: dict[str, Any] = {
        "blob_id": new.blob_id,
        "filename": new.filename,
        "mime_type": new.mime_type,
        "size_bytes": new.body.size_bytes,
        "downloadable": new.downloadable,
        "session_id": new.session_id,
        "expires_at": None if new.expires_at is None else moment(new.expires_at),
    }
    file_id = write.ids.new(FILE)
    await files.insert(write, {"id": file_id, **values})
    return file_id


async def add_body(write: Write, blob_id: str, body: Body) -> None:
    """The row of a stored body; something must refer to it by the end of the transaction."""
    await write.tx.execute(
        "insert into blobs (id, workspace_id, size_bytes, sha256, created_at)"
        " values (%s, %s, %s, %s, %s)",
        (blob_id, write.workspace_id, body.size_bytes, body.sha256, moment(write.at)),
    )


async def originals(tx: Transaction, workspace_id: str, file_ids: Sequence[str]) -> dict[str, Row]:
    """The files with these ids that there are and that have a body; they stay until `tx` ends."""
    rows = await tx.fetch(
        "select f.* from files f where f.workspace_id = %s and f.id = any(%s)"
        " and f.blob_id is not null and (f.expires_at is null or f.expires_at > now())"
        " and (f.session_id is null or exists (select 1 from sessions s where s.id = f.session_id))"
        " order by f.id for share of f",
        (workspace_id, list(file_ids)),
    )
    return {row["id"]: row for row in rows}


async def copy(write: Write, original: Row, session_id: str) -> str:
    """A session's own copy of a file, which cannot be downloaded and does not expire; its id."""
    file_id = write.ids.new(FILE)
    names = ("blob_id", "filename", "mime_type", "size_bytes")
    values = {name: original[name] for name in names}
    values |= {"id": file_id, "downloadable": False, "session_id": session_id}
    await files.insert(write, values)
    return file_id


async def discard(write: Write, file_id: str) -> None:
    """Delete a file; fine when somebody else just has."""
    if await write.tx.fetch_one("select 1 from files where id = %s for update", (file_id,)):
        await files.delete(write, file_id)


async def check_quota(write: Write, more: int, quota_bytes: int) -> None:
    """Refuse what would not fit; the workspace's uploads wait for each other here."""
    await write.tx.execute(
        "select pg_advisory_xact_lock(hashtextextended('files ' || %s, 0))", (write.workspace_id,)
    )
    row = await write.tx.fetch_one(
        "select coalesce(sum(size_bytes), 0)::bigint as used from files"
        " where workspace_id = %s and session_id is null and blob_id is not null",
        (write.workspace_id,),
    )
    used = row["used"] if row else 0
    if used + more > quota_bytes:
        raise Invalid(
            f"file: The workspace's files may take {quota_bytes} bytes in all and take {used} "
            "already; delete some.",
            code="storage_quota_exceeded",
        )


async def expire(database: Database) -> int:
    """Give up the bodies of expired files, and the rows of those that expired long ago."""
    gone = await database.execute(
        "delete from files where expires_at < now() - make_interval(secs => %s)", (LISTED_SECONDS,)
    )
    return gone + await database.execute(
        "update files set blob_id = null where expires_at < now() and blob_id is not null"
    )


async def sweep(database: Database, blobs: Blobs, grace_seconds: float = GRACE_SECONDS) -> int:
    """Delete rows and bodies nobody refers to any more; how many bodies. Several may sweep at once.

    A body and what refers to it are written in one transaction, so only rows that may be written
    before their session need a time of grace.
    """
    await database.execute(
        "delete from files f where f.session_id is not null"
        " and f.created_at < now() - make_interval(secs => %s)"
        " and not exists (select 1 from sessions s where s.id = f.session_id)",
        (grace_seconds,),
    )
    await database.execute(
        "delete from session_skills k where k.created_at < now() - make_interval(secs => %s)"
        " and not exists (select 1 from sessions s where s.id = k.session_id)",
        (grace_seconds,),
    )
    deleted = 0
    while True:
        # A row goes before its body: a body without a row is found again, a row without one is a loss.
        dead = await _without_need(database)
        for row in dead:
            await blobs.delete(row["id"])
        deleted += len(dead)
        if len(dead) < SWEEP_MAX:
            return deleted


NEEDLESS = """not exists (select 1 from files f where f.blob_id = b.id)
    and not exists (select 1 from skill_versions v where v.blob_id = b.id)
    and not exists (select 1 from session_skills k where k.blob_id = b.id)
    and not exists (select 1 from checkpoints c where c.blob_id = b.id)"""
"""Of bodies `b` that have a row."""


async def expired(database: Database) -> list[Row]:
    """Files whose bodies `expire` would give up."""
    return await database.fetch(
        "select id, size_bytes from files where expires_at < now() and blob_id is not null order by id"
    )


async def without_need(database: Database) -> list[Row]:
    """Bodies that nothing refers to."""
    sql = f"select b.id, b.size_bytes from blobs b where {NEEDLESS} order by b.id"  # noqa: S608
    return await database.fetch(sql)


async def lost(database: Database, blobs: Blobs, grace_seconds: float = GRACE_SECONDS) -> list[str]:
    """Bodies without a row; looks at every body there is."""
    found = []
    old = await blobs.older_than(grace_seconds)
    for start in range(0, len(old), SWEEP_MAX):
        part = old[start : start + SWEEP_MAX]
        known = await database.fetch("select id from blobs where id = any(%s)", (part,))
        found += sorted(set(part) - {row["id"] for row in known})
    return found


async def _without_need(database: Database) -> list[Row]:
    """Delete rows of bodies that nothing refers to; none while somebody copies bodies."""
    async with database.transaction() as tx:
        free = await tx.fetch_one("select pg_try_advisory_xact_lock_shared(%s) as free", (COPYING,))
        if free is None or not free["free"]:
            return []
        sql = f"""delete from blobs where id in (select b.id from blobs b where {NEEDLESS}
            limit %s for update skip locked) returning id"""  # noqa: S608
        return await tx.fetch(sql, (SWEEP_MAX,))


@asynccontextmanager
async def kept(database: Database) -> AsyncIterator[None]:
    """No body that has a row now is deleted for as long as the block runs."""
    async with database.transaction() as tx:
        await tx.keep_open()
        await tx.execute("select pg_advisory_xact_lock(%s)", (COPYING,))
        yield


async def sweep_lost(database: Database, blobs: Blobs, grace_seconds: float = GRACE_SECONDS) -> int:
    """Delete bodies without a row, which uploads left that died; how many."""
    found = await lost(database, blobs, grace_seconds)
    for blob_id in found:
        await blobs.delete(blob_id)
    return len(found)
