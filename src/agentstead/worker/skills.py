"""The skills of sessions on this host: unpacked once per version, and shared read-only by all sandboxes."""

import asyncio
import io
import shutil
import tempfile
import zipfile
from pathlib import Path

from agentstead.errors import StoreFault
from agentstead.harness.mounts import SKILLS, Skill
from agentstead.sandbox.sandbox import Mount
from agentstead.store.blobs import Blobs
from agentstead.store.pool import Database

DRAFT = ".new-"


class StoredSkills:
    """Over the database, the blob store, and one folder, `<data_dir>/skills`."""

    def __init__(self, database: Database, blobs: Blobs, root: Path) -> None:
        self.database = database
        self.blobs = blobs
        self.root = root.absolute()

    async def of(self, session_id: str) -> tuple[Skill, ...]:
        """What a model is told of a session's skills."""
        rows = await self.database.fetch(
            "select name, description from session_skills where session_id = %s order by place",
            (session_id,),
        )
        return tuple(Skill(row["name"], row["description"]) for row in rows)

    async def mounts(self, session_id: str) -> tuple[Mount, ...]:
        """The folders of a session's skills."""
        rows = await self.database.fetch(
            "select name, version_id, blob_id from session_skills where session_id = %s order by place",
            (session_id,),
        )
        found = []
        for row in rows:
            folder = self.root / row["version_id"]
            if not folder.is_dir():
                await self.unpack(row["blob_id"], folder)
            found.append(Mount(str(folder / row["name"]), f"{SKILLS}/{row['name']}"))
        return tuple(found)

    async def unpack(self, blob_id: str, folder: Path) -> None:
        """Make the folder whole or not at all; another process may do the same at once."""
        archive = bytearray()
        async for piece in self.blobs.read(blob_id):
            archive += piece
        try:
            await asyncio.to_thread(unpacked, bytes(archive), folder)
        except OSError as error:
            raise StoreFault(
                f"A skill cannot be unpacked: {error.strerror}.", kind="unavailable", retryable=True
            ) from error


def unpacked(archive: bytes, folder: Path) -> None:
    """Unpack a normalised archive: its paths were checked when it was made."""
    folder.parent.mkdir(mode=0o711, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=DRAFT, dir=folder.parent))
    try:
        draft.chmod(0o755)
        with zipfile.ZipFile(io.BytesIO(archive)) as found:
            for info in found.infolist():
                target = draft / info.filename
                for made in reversed(target.relative_to(draft).parents[:-1]):
                    (draft / made).mkdir(mode=0o755, exist_ok=True)
                    (draft / made).chmod(0o755)
                target.write_bytes(found.read(info))
                target.chmod(0o555 if info.external_attr >> 16 & 0o111 else 0o444)
        try:
            draft.rename(folder)
        except OSError:
            if not folder.is_dir():  # otherwise another process was faster
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


async def unneeded(database: Database, root: Path) -> list[str]:
    """The folders of versions that no session has any more."""
    names = await asyncio.to_thread(unpacked_versions, root)
    rows = await database.fetch(
        "select distinct version_id from session_skills where version_id = any(%s)", (names,)
    )
    return sorted(set(names) - {row["version_id"] for row in rows})


async def forget(database: Database, root: Path) -> int:
    """Delete them; how many."""
    gone = await unneeded(database, root)
    for name in gone:
        await asyncio.to_thread(removed, root / name)
    return len(gone)


def unpacked_versions(root: Path) -> list[str]:
    """The versions that have a folder here."""
    try:
        return [one.name for one in root.iterdir() if not one.name.startswith(DRAFT)]
    except FileNotFoundError:
        return []


def removed(folder: Path) -> None:
    """Move it away first: whoever needs it after all finds it whole or not at all."""
    away = folder.with_name(f"{DRAFT}{folder.name}")
    try:
        folder.rename(away)
    except FileNotFoundError:
        return
    shutil.rmtree(away, ignore_errors=True)
