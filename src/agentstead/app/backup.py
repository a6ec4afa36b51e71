"""A backup: everything a platform knows, in one folder, made while it runs.

`manifest.json` says what is in it, `database.dump` is the database at one moment (PostgreSQL's custom
format), `blobs.jsonl` lists the bodies that belong to it, `blobs/` holds them, and `keys/` the master
keys and the local API key where they were asked for.

Promises: database and bodies are of one moment; the folder has its name only once all of it is on the
disk; a body that is lost or damaged is named, and the rest is saved all the same.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agentstead import __version__
from agentstead.app.presence import KEY_FILE as API_KEY_FILE
from agentstead.clock import Clock
from agentstead.errors import Misconfigured, StoreFault, TooLarge
from agentstead.store import dump, files
from agentstead.store.blobs import Blobs, FolderBlobs
from agentstead.store.data_dir import write_private
from agentstead.store.key_ring import KEY_FILE
from agentstead.store.pool import Database

FORMAT = 1
MANIFEST, DUMP, LIST, BODIES, KEYS = (
    "manifest.json", "database.dump", "blobs.jsonl", "blobs", "keys",
)  # fmt: skip
KEY_FILES = (KEY_FILE, API_KEY_FILE)
PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself."""

    format: int
    version: str
    """Of the platform that made it."""
    made_at: float
    """Seconds since the epoch."""
    migrations: list[str]
    """What the database had been brought to."""
    database_sha256: str
    list_sha256: str
    bodies: int
    bytes: int
    """Of the bodies."""
    lost: list[str]
    """Bodies that were not in the data directory, or not as they should be."""
    keys: bool
    """Whether the master keys are in it."""


async def back_up(
    database: Database, data_dir: Path, blobs: Blobs, target: Path, clock: Clock, *, keys: bool
) -> Manifest:
    """Make a backup in a folder that is not there yet; what was made. Misconfigured, StoreFault."""
    draft = target.with_name(f".{target.name}.part")
    try:
        begin(target, draft)
        manifest = await fill(database, blobs, draft, clock, keys=keys)
        if keys:
            copy_keys(data_dir, draft / KEYS)
        write_private(draft / MANIFEST, json.dumps(asdict(manifest), indent=1) + "\n")
        finish(draft, target)
    except OSError as error:
        raise Misconfigured(f"{target} cannot be written: {error}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return manifest


def begin(target: Path, draft: Path) -> None:
    """The folder to fill; what an earlier attempt left is removed."""
    if target.exists():
        raise Misconfigured(f"{target} exists already; name a folder that does not.")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700, parents=True)


def finish(draft: Path, target: Path) -> None:
    """Give it its name, durably."""
    force(draft)
    draft.rename(target)
    force(target.parent)


async def fill(
    database: Database, blobs: Blobs, draft: Path, clock: Clock, *, keys: bool
) -> Manifest:
    """Database and bodies, of one moment."""
    async with files.kept(database), database.transaction() as tx:
        await tx.execute("set transaction isolation level repeatable read, read only")
        await tx.keep_open()
        row = await tx.fetch_one("select pg_export_snapshot() as snapshot")
        assert row is not None
        made_at = clock.now()
        await dump.dump(database.url, draft / DUMP, row["snapshot"])
        applied = await tx.fetch("select name from schema_migrations order by number")
        listed = await tx.fetch("select id, size_bytes, sha256 from blobs order by id")
        lost = await copy_bodies(blobs, FolderBlobs(draft / BODIES), listed)
    write_private(draft / LIST, "".join(f"{json.dumps(body)}\n" for body in listed))
    return Manifest(
        format=FORMAT,
        version=__version__,
        made_at=made_at,
        migrations=[row["name"] for row in applied],
        database_sha256=digest(draft / DUMP),
        list_sha256=digest(draft / LIST),
        bodies=len(listed),
        bytes=sum(body["size_bytes"] for body in listed),
        lost=lost,
        keys=keys,
    )


async def copy_bodies(source: Blobs, target: Blobs, listed: list[dict[str, Any]]) -> list[str]:
    """Copy bodies; the ids of those that are not there or not what their rows say."""
    lost = []
    for body in listed:
        try:
            found = await target.put(body["id"], source.read(body["id"]), body["size_bytes"])
            whole = (found.size_bytes, found.sha256) == (body["size_bytes"], body["sha256"])
        except TooLarge:
            whole = False
        except StoreFault as fault:
            if fault.kind != "missing":
                raise
            whole = False
        if not whole:
            await target.delete(body["id"])
            lost.append(body["id"])
    return lost


def copy_keys(source: Path, target: Path) -> None:
    """The files that hold keys, readable by their owner only."""
    target.mkdir(mode=0o700)
    for name in KEY_FILES:
        if (source / name).exists():
            write_private(target / name, (source / name).read_text())


def listed_bodies(folder: Path) -> Iterator[dict[str, Any]]:
    """The bodies that a backup lists."""
    with (folder / LIST).open() as lines:
        yield from (json.loads(line) for line in lines)


def digest(file: Path) -> str:
    """SHA-256 of a file, in hex."""
    found = hashlib.sha256()
    with file.open("rb") as content:
        while piece := content.read(PIECE_BYTES):
            found.update(piece)
    return found.hexdigest()


def force(folder: Path) -> None:
    """Make a folder's names durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
