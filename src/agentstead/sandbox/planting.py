"""Folders of the host become part of a sandbox's workspace, also while it runs: moved, never merged.

The workspace is the agent's, so nothing in it is trusted: every step is taken by descriptor and no
link is followed. What was planted once is not planted again, whatever the agent has made of it.
"""

import errno
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from agentstead.errors import SandboxFault
from agentstead.sandbox.supervisor import uids
from agentstead.sandbox.supervisor.disk import DIRECTORY
from agentstead.sandbox.supervisor.place import UIDS, Place

LIST = "planted.json"
"""The paths at which something was planted."""
LOCK = "planted.lock"
REPOSITORY = ".git"
DEPTH_MAX = 200
TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.ELOOP)
"""What moving a folder says when its place, or the way there, is something else."""


def grown(place: Place, path: str) -> bool:
    """Whether something was planted at a path, or a repository lies there all the same."""
    return path in listed(place) or _lies(place, path)


def plant(place: Place, tree: Path, path: str) -> None:
    """Move a folder to a path below the workspace; FileExistsError when something else is there."""
    uid = _owner(place)
    with place.alone(LOCK):
        if grown(place, path):
            _write(place, path)
            return
        try:
            _give(tree, uid)
            _move(place, tree, path)
        except OSError as error:
            if error.errno in TAKEN:
                raise FileExistsError(f"/workspace/{path} is taken") from error
            raise SandboxFault(
                f"A folder cannot be put into the workspace: {error.strerror}", kind="start"
            ) from error
        _write(place, path)


def _owner(place: Place) -> int:
    """The sandbox's user, whose folders are made when it has never run. Raises SandboxFault."""
    place.make()
    lock = None if place.meta().get("uid") else place.lock()
    if lock is not None:  # nobody starts it now
        try:
            uid = place.meta().get("uid") or _new_owner(place)
            place.make_files(uid)
            place.write_meta(uid=uid)
        except uids.NoUserLeft as error:
            raise SandboxFault(str(error), kind="start") from error
        finally:
            os.close(lock)
    found: int | None = place.meta().get("uid")
    if found is None:
        raise SandboxFault("it is being started at this moment", kind="start")
    return found


def _new_owner(place: Place) -> int:
    uid = os.geteuid()
    return uids.take(place.root / UIDS, place.sandbox_id) if uid == 0 else uid


def listed(place: Place) -> list[str]:
    """Where something was planted."""
    try:
        found: list[str] = json.loads((place.path / LIST).read_text())
    except (FileNotFoundError, ValueError):
        return []
    return found


def _write(place: Place, path: str) -> None:
    paths = listed(place)
    if path not in paths:
        fresh = place.path / f"{LIST}.new"
        fresh.write_text(json.dumps([*paths, path]))
        fresh.replace(place.path / LIST)


def _lies(place: Place, path: str) -> bool:
    try:
        with _walked(place, (*_parts(path), REPOSITORY), make=False):
            return True
    except OSError:
        return False


def _move(place: Place, tree: Path, path: str) -> None:
    *above, name = _parts(path)
    with _walked(place, tuple(above), make=True) as folder:
        # takes the place of an empty folder; anything else that lies there makes it fail
        os.rename(tree, name, dst_dir_fd=folder)


@contextmanager
def _walked(place: Place, names: tuple[str, ...], *, make: bool) -> Iterator[int]:
    """The folder that these names lead to from the workspace on; they may be made on the way."""
    folder = os.open(place.folder("workspace"), DIRECTORY)
    try:
        owner = os.fstat(folder).st_uid
        for name in names:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(name, 0o755, dir_fd=folder)
                    if owner != os.geteuid():
                        os.chown(name, owner, owner, dir_fd=folder, follow_symlinks=False)
            inner = os.open(name, DIRECTORY, dir_fd=folder)
            os.close(folder)
            folder = inner
        yield folder
    finally:
        os.close(folder)


def _give(tree: Path, uid: int) -> None:
    """Make all of it a user's; it lies where nobody else can reach it."""
    if os.geteuid() == 0:
        _give_inner(os.open(tree, DIRECTORY), uid, 0)


def _give_inner(folder: int, uid: int, depth: int) -> None:
    if depth > DEPTH_MAX:
        os.close(folder)
        raise OSError(0, "it is nested too deeply")
    try:
        os.chown(folder, uid, uid)
        for name in os.listdir(folder):
            status = os.lstat(name, dir_fd=folder)
            if stat.S_ISDIR(status.st_mode):
                _give_inner(os.open(name, DIRECTORY, dir_fd=folder), uid, depth + 1)
            else:
                os.chown(name, uid, uid, dir_fd=folder, follow_symlinks=False)
    finally:
        os.close(folder)


def _parts(path: str) -> tuple[str, ...]:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts:
        raise SandboxFault(f"{path!r} is not a path below the workspace", kind="start")
    return parts
