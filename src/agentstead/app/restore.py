"""A platform made from a backup, in a data directory or database that is empty.

Promises: the backup is looked through, every byte, before anything is written; the database comes last
and whole, so that what was cut off is done again from the start; keys that are there are not replaced.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from agentstead.app.backup import (
    BODIES,
    DUMP,
    FORMAT,
    KEY_FILES,
    KEYS,
    LIST,
    MANIFEST,
    Manifest,
    copy_bodies,
    digest,
    listed_bodies,
)
from agentstead.app.database import held, opened
from agentstead.app.rooms import BLOBS
from agentstead.clock import Clock
from agentstead.errors import Misconfigured
from agentstead.log import starts
from agentstead.settings import Settings
from agentstead.store import dump
from agentstead.store.blobs import FolderBlobs
from agentstead.store.data_dir import make, write_private
from agentstead.store.migrate import MIGRATIONS, found, migrate
from agentstead.store.pool import Database


@dataclass(frozen=True, slots=True)
class Said:
    """What a backup of any form says."""

    format: int
    version: str


async def restore(settings: Settings, source: Path, clock: Clock) -> Manifest:
    """Read a backup into what `settings` name; what it said of itself. Misconfigured, StoreFault."""
    manifest = read(source)
    await check(source, manifest)
    make(settings.data_dir)
    check_keys(source, settings.data_dir)
    async with empty_database(settings, clock) as database:
        bodies = [body for body in listed_bodies(source) if body["id"] not in manifest.lost]
        target = FolderBlobs(settings.data_dir / BLOBS)
        if lost := await copy_bodies(FolderBlobs(source / BODIES), target, bodies):
            raise Misconfigured(f"{source} has changed while it was read: {lost[0]}.")
        if manifest.keys:
            put_keys(source, settings.data_dir)
        await dump.restore(database.url, source / DUMP)
        await migrate(database)
        # where the backup was made, time went on: what was being done may have been done
        await starts.doubt(database)
    return manifest


def read(source: Path) -> Manifest:
    """A backup's manifest; Misconfigured when there is none that this build can read."""
    try:
        text = (source / MANIFEST).read_text()
        said = TypeAdapter(Said).validate_json(text)
    except (OSError, ValueError):
        raise Misconfigured(f"{source} is no backup: it has no readable {MANIFEST}.") from None
    if said.format != FORMAT:
        raise Misconfigured(
            f"{source} has form {said.format}, and this build reads form {FORMAT}.\n"
            f"Restore it with Agentstead {said.version}."
        )
    try:
        manifest = TypeAdapter(Manifest).validate_json(text)
    except ValidationError:
        raise Misconfigured(f"{source} is no backup: its {MANIFEST} is not whole.") from None
    known = {migration.name for migration in found(MIGRATIONS)}
    if newer := [name for name in manifest.migrations if name not in known]:
        raise Misconfigured(
            f"{source} is newer than this build: it has {newer[0]}.\n"
            f"Restore it with Agentstead {manifest.version} or newer."
        )
    return manifest


async def check(source: Path, manifest: Manifest) -> None:
    """Look through the whole backup; Misconfigured names what is damaged or missing."""
    for name, wanted in ((DUMP, manifest.database_sha256), (LIST, manifest.list_sha256)):
        if not (source / name).is_file() or digest(source / name) != wanted:
            raise Misconfigured(f"{source / name} is damaged or missing; nothing was restored.")
    for body in listed_bodies(source):
        if body["id"] in manifest.lost:
            continue
        file = source / BODIES / body["id"][-2:] / body["id"]
        if not file.is_file() or digest(file) != body["sha256"]:
            raise Misconfigured(f"{file} is damaged or missing; nothing was restored.")


def check_keys(source: Path, data_dir: Path) -> None:
    """Misconfigured when other keys are in the data directory already."""
    for name in KEY_FILES:
        mine, theirs = data_dir / name, source / KEYS / name
        if mine.exists() and theirs.exists() and mine.read_text() != theirs.read_text():
            raise Misconfigured(
                f"{mine} is there already and is another one than the backup's.\n"
                "Restore into a new data directory, or move the file away."
            )


def put_keys(source: Path, data_dir: Path) -> None:
    """The backup's key files, where they belong."""
    for name in KEY_FILES:
        if (source / KEYS / name).exists():
            write_private(data_dir / name, (source / KEYS / name).read_text())


@asynccontextmanager
async def empty_database(settings: Settings, clock: Clock) -> AsyncIterator[Database]:
    """The database to restore into; Misconfigured when anything is in it."""
    if settings.database_url is not None:
        async with opened(settings.database_url, settings.database_connections_max) as database:
            await check_empty(database, "The database")
            yield database
        return
    async with (
        held(settings, clock) as (_, url),
        opened(url, settings.database_connections_max) as database,
    ):
        await check_empty(database, f"The database of {settings.data_dir}")
        yield database


async def check_empty(database: Database, name: str) -> None:
    """Misconfigured when there is a table."""
    row = await database.fetch_one(
        "select count(*) as tables from pg_tables where schemaname = 'public'"
    )
    if row is None or row["tables"]:
        raise Misconfigured(
            f"{name} is not empty; a backup is restored into an empty one only.\n"
            "Name a new data directory with --data-dir, or a new database with --database-url."
        )
