"""The books of checkpoints: where the files of each session's sandbox stand, and which archives there are.

Promises: a checkpoint is written only over files that were current, whoever else saves or restores
meanwhile; what belongs to a session is gone with it; `files.sweep` deletes the bodies.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from agentstead.store.blobs import Body
from agentstead.store.files import add_body
from agentstead.store.pool import Database, Transaction
from agentstead.store.table import Asks, Write, moment

NEVER = ""
"""The version of files that were never saved."""
RESTS = """status = 'idle' and wake_at is null and (lease_until is null or lease_until < now())"""
OVER = """select c.session_id, c.number from checkpoints c where exists (
        select 1 from checkpoints n where n.session_id = c.session_id and n.number >= c.number + %s
    ) or exists (
        select 1 from sessions s where s.id = c.session_id
        and (s.archived_at is not null or s.terminated_at is not null)
    )"""


@dataclass(frozen=True, slots=True)
class NewCheckpoint:
    """An archive that is stored, and what is in it."""

    blob_id: str
    """Its version too."""
    body: Body
    files: int
    content_bytes: int
    left_out: str | None


async def version(asks: Asks, session_id: str) -> str | None:
    """What a host's files must be to be current; None: the session has used no sandbox."""
    row = await asks.fetch_one("select version from sandboxes where session_id = %s", (session_id,))
    return None if row is None else str(row["version"])


async def host(database: Database, session_id: str) -> str | None:
    """Where its files were last used; None: it has used no sandbox, or it is not known."""
    row = await database.fetch_one(
        "select host from sandboxes where session_id = %s", (session_id,)
    )
    return None if row is None else row["host"]


async def begin(database: Database, session_id: str, present: str, at_host: str) -> None:
    """The session uses a sandbox of this host from now on, whose files are `present`."""
    await database.execute(
        "insert into sandboxes (session_id, workspace_id, version, host)"
        " select id, workspace_id, %s, %s from sessions where id = %s on conflict do nothing",
        (present, at_host, session_id),
    )


async def workspace(database: Database, session_id: str) -> str | None:
    """Whose sandbox it is; None: there is no such session, or it is over."""
    row = await database.fetch_one(
        "select workspace_id from sessions where id = %s"
        " and archived_at is null and terminated_at is null",
        (session_id,),
    )
    return None if row is None else str(row["workspace_id"])


async def add(write: Write, session_id: str, before: Collection[str], new: NewCheckpoint) -> bool:
    """Write a checkpoint of files that were one of `before`; False when those are not current."""
    row = await write.tx.fetch_one(
        "select version from sandboxes where session_id = %s for update", (session_id,)
    )
    if row is None or row["version"] not in before:
        return False
    await add_body(write, new.blob_id, new.body)
    await write.tx.execute(
        "insert into checkpoints (session_id, number, workspace_id, blob_id, files, content_bytes,"
        " left_out, created_at) select %s, coalesce(max(number), 0) + 1, %s, %s, %s, %s, %s, %s"
        " from checkpoints where session_id = %s",
        (
            session_id,
            write.workspace_id,
            new.blob_id,
            new.files,
            new.content_bytes,
            new.left_out,
            moment(write.at),
            session_id,
        ),
    )
    await write.tx.execute(
        "update sandboxes set version = %s, trouble = null, trouble_at = null where session_id = %s",
        (new.blob_id, session_id),
    )
    return True


async def of(database: Database, session_id: str) -> list[dict[str, Any]]:
    """The checkpoints of a session, latest first."""
    return await database.fetch(
        "select blob_id, left_out, created_at from checkpoints where session_id = %s"
        " order by number desc",
        (session_id,),
    )


async def restored(
    database: Database,
    session_id: str,
    change: tuple[str, str],
    at_host: str,
    said: str,
    at: float,
) -> bool:
    """The files were `change[0]` and are `change[1]` of this host; False when another was quicker."""
    before, after = change
    touched = await database.execute(
        "update sandboxes set version = %s, host = %s, restored = %s, restored_at = %s"
        " where session_id = %s and version = %s",
        (after, at_host, said, moment(at), session_id, before),
    )
    return touched > 0


async def failed(database: Database, session_id: str, why: str, at: float) -> None:
    """The latest saving failed."""
    await database.execute(
        "update sandboxes set trouble = %s, trouble_at = %s where session_id = %s",
        (why, moment(at), session_id),
    )


async def told(asks: Asks, session_id: str) -> dict[str, Any] | None:
    """What became of the latest saving and restoring; None: the session has used no sandbox."""
    return await asks.fetch_one(
        "select trouble, trouble_at, restored, restored_at from sandboxes where session_id = %s",
        (session_id,),
    )


async def resting(asks: Asks, session_id: str) -> bool:
    """Whether the session waits for a client and no worker has it."""
    sql = f"select 1 from sessions where id = %s and {RESTS}"  # noqa: S608
    return await asks.fetch_one(sql, (session_id,)) is not None


async def held_resting(tx: Transaction, session_id: str) -> bool:
    """The same; no worker can take it until `tx` ends."""
    sql = f"select 1 from sessions where id = %s and {RESTS} for update skip locked"  # noqa: S608
    return await tx.fetch_one(sql, (session_id,)) is not None


async def surplus(database: Database, kept: int) -> list[dict[str, Any]]:
    """Checkpoints beyond the latest `kept` of their session, and those of sessions that are over."""
    sql = f"""select c.session_id, c.number, b.size_bytes,
        s.archived_at is not null or s.terminated_at is not null as over
        from ({OVER}) o join checkpoints c using (session_id, number)
        join blobs b on b.id = c.blob_id join sessions s on s.id = c.session_id
        order by 1, 2"""  # noqa: S608
    return await database.fetch(sql, (max(kept, 1),))


async def thin_out(database: Database, kept: int) -> int:
    """Forget those; how many. The latest one stays also where none is to be kept any more."""
    return await database.execute(
        f"delete from checkpoints where (session_id, number) in ({OVER})",  # noqa: S608
        (max(kept, 1),),
    )
