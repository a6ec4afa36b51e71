"""Saves and restores what the agent of a sandbox may write to, from the host.

The work is done by a process of its own (`archive/`), as the sandbox's user. `saved.json` beside
the files says which version they go on from and what they were like then; a restoring writes it
last, so that one which was cut off is known.
"""

import asyncio
import fcntl
import json
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from agentstead.clock import Clock
from agentstead.errors import SandboxFault
from agentstead.sandbox import link
from agentstead.sandbox.archiver import Archive, packed, unpacked
from agentstead.sandbox.planting import LIST as PLANTED
from agentstead.sandbox.restorable import Note, Saved, Take
from agentstead.sandbox.supervisor import disk, uids
from agentstead.sandbox.supervisor.place import UIDS, WRITABLE, Place
from agentstead.store.data_dir import write_private

SAVED = "saved.json"
FORMER = ".former-"
"""Prefix of a folder that gives way to what is restored."""
HOST = ".host"
"""Beside the sandboxes: what their host is called."""
LOCK_SECONDS = 10.0
POLL_SECONDS = 0.02
LOCK = "saved.lock"
"""Held by whoever changes `saved.json`: workers save one after the other, and their savings overlap."""
COMING_MAX = 16
"""Versions that the files may be beside the one that was marked last: savings that are under way, and
those before, which somebody may have read in the books a moment ago. The books go forward only."""
NEVER = ""
"""The version of files that were never saved."""


def host(root: Path) -> str:
    """The name of this host's sandboxes; drawn when it is first asked for."""
    file = root / HOST
    try:
        return file.read_text()
    except FileNotFoundError:
        root.mkdir(mode=0o711, parents=True, exist_ok=True)
    draft = root / f"{HOST}-{secrets.token_hex(8)}"
    write_private(draft, secrets.token_hex(16))
    with suppress(FileExistsError):  # another process was quicker
        file.hardlink_to(draft)
    draft.unlink()
    return file.read_text()


def standing(place: Place) -> frozenset[str] | None:
    """The versions that the files here may be; None: there are none."""
    if not (place.files / "workspace").is_dir():
        return None
    known = _read(place)
    return frozenset({known.get("version", NEVER), *known.get("coming", ())})


def calls(place: Place) -> int:
    """Another number once a call has begun."""
    try:
        return place.journal.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


async def save(
    place: Place, version: str, take: Take, *, bytes_max: int, thoroughly: bool
) -> Saved | None:
    """Hand an archive to `take`; None when there is nothing new."""
    known, begun = _read(place), calls(place)
    if standing(place) is None or (not thoroughly and known.get("calls") == begun):
        return None
    async with packed(place, known.get("stamp", ""), bytes_max) as archive:
        if archive is None:
            await asyncio.to_thread(_change, place, calls=begun)
            return None
        # before it may be in anybody's books: whoever dies in between finds these files current
        await asyncio.to_thread(_change, place, version)
        await take(archive.pieces())
        if version not in _read(place).get("coming", ()):
            # half of them may be in it
            raise SandboxFault("Its files were taken away while they were saved.", kind="save")
        return _made(archive, begun)


def mark(place: Place, version: str, saved: Saved) -> None:
    """Write down that the files, as they were when `saved` was made, are `version`."""
    known = standing(place)
    if known is not None and version in known:
        _change(place, version=version, stamp=saved.stamp, calls=saved.calls)


async def restore(
    place: Place, version: str, source: AsyncIterator[bytes] | None, *, note: Note, clock: Clock
) -> Saved:
    """Make the files anew, from an archive or empty."""
    lock = await _locked(place, clock)
    try:
        with _disk():
            await asyncio.to_thread(_make, place)
        saved = Saved("", calls(place))
        try:
            if source is not None:
                saved = _made(await unpacked(place, source), calls(place))
        finally:
            with _disk():
                await asyncio.to_thread(_delete_former, place)
        with _disk():
            place.write_meta(note=note(saved), starts=0)
            _write(place, {"version": version, "stamp": saved.stamp, "calls": saved.calls})
        return saved
    finally:
        os.close(lock)


def _make(place: Place) -> None:
    (place.path / SAVED).unlink(missing_ok=True)
    uid = place.meta().get("uid")
    if uid is None:
        uid = os.geteuid() or uids.take(place.root / UIDS, place.sandbox_id)
        place.write_meta(uid=uid)
    (place.path / PLANTED).unlink(
        missing_ok=True
    )  # what was planted lies in the archive, or is gone
    _delete_former(place)  # of a restoring that was cut off
    spare = disk.free(place.path)
    for name in WRITABLE:
        _make_way(place.files / name, spare)
    place.make_files(uid)


def _make_way(folder: Path, spare: int) -> None:
    """Move it aside, or delete it where the disk may not hold two of it.

    A file system that has just lost thousands of files takes long to make others: ext4 looks at each
    of them again for every new one.
    """
    try:
        small = disk.used(folder, spare // 2) <= spare // 2
        if small:
            folder.rename(folder.with_name(FORMER + folder.name))
    except FileNotFoundError:
        return
    except OSError:
        small = False  # a link, or a file
    if not small:
        disk.delete(folder)


def _delete_former(place: Place) -> None:
    for name in WRITABLE:
        disk.delete(place.files / (FORMER + name))


async def _locked(place: Place, clock: Clock) -> int:
    """The lock that says: nobody starts this sandbox, or restores it, but us."""
    with _disk():
        await asyncio.to_thread(place.make)
    until = clock.monotonic() + LOCK_SECONDS
    while (lock := _held(place)) is None:
        if clock.monotonic() > until:
            raise SandboxFault("Its files cannot be restored: somebody else has it.", kind="start")
        await link.ask(place.path, {"op": "stop"})
        await clock.sleep(POLL_SECONDS)
    return lock


def _held(place: Place) -> int | None:
    """The lock of a sandbox that no supervisor has; it names nobody, so nobody is ended for it."""
    lock = os.open(place.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    os.ftruncate(lock, 0)
    return lock


def set_aside(place: Place, *, even_unsaved: bool) -> bool:
    """Move it to where what is being deleted lies, unless it runs or was used since it was saved."""
    if not place.path.is_dir() or place.gone.exists():
        return False
    lock = _held(place)
    if lock is None:
        return False
    try:
        known = _read(place)
        saved = bool(known.get("version")) and known.get("calls") == calls(place)
        if not saved and not even_unsaved:
            return False
        place.path.rename(place.gone)
    finally:
        os.close(lock)
    return True


def _made(archive: Archive, begun: int) -> Saved:
    report = archive.report
    return Saved(
        stamp=report["stamp"],
        calls=begun,
        files=report["files"],
        content_bytes=report.get("bytes", 0),
        left_out=report["left_out"],
        examples=tuple(report["names"]),
    )


@contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except (OSError, uids.NoUserLeft) as error:
        raise SandboxFault(f"Its files cannot be made: {error}", kind="start") from error


def _read(place: Place) -> dict[str, Any]:
    try:
        known = json.loads((place.path / SAVED).read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _change(place: Place, *coming: str, **news: Any) -> None:
    """Write down what is new. No version that the files may be is forgotten for it."""
    with suppress(FileNotFoundError), place.alone(LOCK):  # else it was deleted meanwhile
        known = _read(place)
        now = {**known, **news}
        may_be = [*known.get("coming", ()), known.get("version", NEVER), *coming]
        others = [one for one in dict.fromkeys(may_be) if one != now.get("version", NEVER)]
        _write(place, {**now, "coming": others[-COMING_MAX:]})


def _write(place: Place, known: dict[str, Any]) -> None:
    fresh = place.path / f"{SAVED}.new"
    try:
        with fresh.open("w") as file:
            json.dump(known, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(place.path / SAVED)
    except FileNotFoundError:
        return  # it was deleted meanwhile
