"""Ends the sandboxes of sessions that are over; deletes files that expired and bodies nobody needs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agentstead.app.egress import note_egress
from agentstead.app.hands import SANDBOXES
from agentstead.app.rooms import SKILLS, Rooms
from agentstead.errors import Fault
from agentstead.log.census import without_session
from agentstead.resources.work.ending import Ending
from agentstead.store import checkpoints, files
from agentstead.telemetry import logs
from agentstead.worker import repositories, skills

TIDY_SECONDS = 2.0
SWEEP_SECONDS = 60.0
LOST_SECONDS = 3600.0
"""Between two looks at every body there is."""

log = logs.get("app")


@asynccontextmanager
async def tidying(rooms: Rooms) -> AsyncIterator["asyncio.Task[None]"]:
    """Tidy up every other second for as long as the block runs, and once at the end."""
    task = asyncio.create_task(tidy_for_ever(rooms), name="tidy")
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await tidy(rooms)


async def tidy_for_ever(rooms: Rooms) -> None:
    """Tidy up every other second, and files now and then."""
    sweep_at = look_at = rooms.clock.monotonic()
    while True:
        await rooms.clock.sleep(TIDY_SECONDS)
        await tidy(rooms)
        await tidy_work(rooms)
        now = rooms.clock.monotonic()
        if now >= sweep_at:
            sweep_at = now + SWEEP_SECONDS
            await tidy_checkpoints(rooms)
            await tidy_files(rooms, thoroughly=now >= look_at)
            await tidy_work(rooms, thoroughly=True)
            await tidy_packages(rooms)
            if now >= look_at:
                look_at = now + LOST_SECONDS


async def tidy_now(rooms: Rooms) -> None:
    """All of it, once."""
    await tidy(rooms)
    await tidy_checkpoints(rooms)
    await tidy_files(rooms, thoroughly=True)
    await tidy_packages(rooms)


async def tidy_files(rooms: Rooms, *, thoroughly: bool) -> None:
    """Expire files and delete bodies; `thoroughly`: those too that no row ever spoke of."""
    try:
        await files.expire(rooms.database)
        await repositories.forget(rooms.database)
        deleted = await files.sweep(rooms.database, rooms.blobs)
        if thoroughly:
            await skills.forget(rooms.database, rooms.settings.data_dir / SKILLS)
            deleted += await files.sweep_lost(rooms.database, rooms.blobs)
        if deleted:
            log.info("bodies deleted", bodies=deleted)
    except (Fault, OSError) as fault:
        log.warning("files could not be tidied up", error=str(fault))


async def tidy_packages(rooms: Rooms) -> None:
    """Delete packages nobody uses, and what is left of builds whose process died."""
    if rooms.packages is None:
        return
    try:
        await rooms.packages.sweep()
        if rooms.settings.packages_kept_seconds:
            await rooms.packages.forget(rooms.settings.packages_kept_seconds)
    except (Fault, OSError) as fault:
        log.warning("packages could not be tidied up", error=str(fault))


async def tidy_checkpoints(rooms: Rooms) -> None:
    """Evict sandboxes nobody uses, and forget checkpoints nobody needs; their bodies go with the files'."""
    try:
        if rooms.checkpoints is not None and rooms.settings.sandbox_evict_seconds:
            evicted = await rooms.checkpoints.evict_unused(rooms.settings.sandbox_evict_seconds)
            if evicted:
                log.info("sandboxes evicted", sandboxes=evicted)
        await checkpoints.thin_out(rooms.database, rooms.settings.checkpoints_kept)
    except (Fault, OSError) as fault:
        log.warning("checkpoints could not be tidied up", error=str(fault))


async def tidy_work(rooms: Rooms, *, thoroughly: bool = False) -> None:
    """Take back work whose holders were lost; `thoroughly`: forget what has long been over."""
    ending = Ending(rooms.database, rooms.log, rooms.settings, rooms.clock, rooms.ids)
    try:
        await ending.lapse()
        if thoroughly:
            await ending.forget()
    except Fault as fault:
        log.warning("work could not be tidied up", error=fault.message)


async def tidy(rooms: Rooms) -> None:
    """End every sandbox here whose session is over; take detached files out of the others.

    Sandboxes are listed before sessions: one that starts meanwhile has a session by then.
    """
    await note_egress(rooms.settings.data_dir / SANDBOXES, rooms.clock, rooms.metrics)
    await note_egress(rooms.checkouts.hands.root, rooms.clock, rooms.metrics)
    try:
        here = await rooms.sandbox.reconcile(set())
        for sandbox_id in await without_session(rooms.database, here) if here else ():
            await rooms.sandbox.destroy(sandbox_id)
            log.info("sandbox ended", session_id=sandbox_id)
        for checkout_id in await rooms.checkouts.old(2 * rooms.settings.repository_seconds):
            await rooms.checkouts.hands.destroy(checkout_id)
        if lying := await rooms.sandbox.uploaded():
            for sandbox_id, gone in (await rooms.files.detached(lying)).items():
                await rooms.sandbox.take_away(sandbox_id, gone)
    except (Fault, OSError) as fault:
        log.warning("sandboxes could not be tidied up", error=str(fault))
