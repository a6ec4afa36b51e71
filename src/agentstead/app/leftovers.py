"""What a platform has on its disks and needs no more: found by looking only, and by the same rules by which
it is deleted (`app/tidy.py`).
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from agentstead.app.hands import SANDBOXES
from agentstead.app.rooms import SKILLS, Rooms
from agentstead.log.census import without_session
from agentstead.sandbox.bubblewrap import Bubblewrap
from agentstead.sandbox.supervisor import disk
from agentstead.store import checkpoints, files
from agentstead.worker import skills

COUNTED_BYTES_MAX = 1 << 50
"""A sandbox is counted to its end."""
SHARED = "its session is deleted, archived or terminated"


@dataclass(frozen=True, slots=True)
class Leftover:
    """One thing that would be deleted."""

    kind: str
    """sandbox | checkpoint | file | body | skill | packages"""
    name: str
    size_bytes: int
    """On this disk; 0: not known, or counted with its body."""
    why: str


async def leftovers(rooms: Rooms) -> AsyncIterator[Leftover]:
    """All of it, as it is now."""
    async for one in _sandboxes(rooms):
        yield one
    kept = rooms.settings.checkpoints_kept
    for row in await checkpoints.surplus(rooms.database, kept):
        why = SHARED if row["over"] else f"its session has {max(kept, 1)} later ones"
        name = f"{row['session_id']}/{row['number']}"
        yield Leftover("checkpoint", name, row["size_bytes"], why)
    for row in await files.expired(rooms.database):
        yield Leftover("file", row["id"], row["size_bytes"], "it has expired")
    for row in await files.without_need(rooms.database):
        yield Leftover("body", row["id"], row["size_bytes"], "nothing refers to it")
    for blob_id in await files.lost(rooms.database, rooms.blobs):
        size = (await rooms.blobs.local(blob_id)).stat().st_size
        yield Leftover("body", blob_id, size, "an upload or a checkpoint that was cut off")
    folder = rooms.settings.data_dir / SKILLS
    for name in await skills.unneeded(rooms.database, folder):
        size = await asyncio.to_thread(disk.used, folder / name, COUNTED_BYTES_MAX)
        yield Leftover(
            "skill", name, size, "no session has this version; it is unpacked again at need"
        )
    kept_seconds = rooms.settings.packages_kept_seconds
    if rooms.packages is not None and kept_seconds:
        unused = rooms.packages.layers.unused
        for layer in await asyncio.to_thread(unused, kept_seconds, rooms.clock.now()):
            why = "no sandbox has used them for long; they are installed again at need"
            yield Leftover("packages", layer.key, layer.size_bytes, why)


async def _sandboxes(rooms: Rooms) -> AsyncIterator[Leftover]:
    here = await rooms.sandbox.reconcile(set())
    over = await without_session(rooms.database, here) if here else set()
    for name in sorted(over):
        yield Leftover("sandbox", name, await _size(rooms, name), SHARED)
    seconds = rooms.settings.sandbox_evict_seconds
    if rooms.checkpoints is None or not seconds or not rooms.settings.checkpoints_kept:
        return
    assert isinstance(rooms.sandbox, Bubblewrap)
    for name in await rooms.sandbox.unused(seconds):
        if name not in over and await checkpoints.resting(rooms.database, name):
            why = "unused for long; it is saved first, and restored by the next call"
            yield Leftover("sandbox", name, await _size(rooms, name), why)


async def _size(rooms: Rooms, name: str) -> int:
    folder = rooms.settings.data_dir / SANDBOXES / name
    try:
        return await asyncio.to_thread(disk.used, folder, COUNTED_BYTES_MAX)
    except OSError:  # it lies on an engine, or is being deleted
        return 0
