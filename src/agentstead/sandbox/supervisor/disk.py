"""Walks over files that the agent made: how much they take, and deleting them.

The tree is hostile: links that lead out, folders of any depth, folders without permissions. So
nothing is followed, every step is taken by descriptor, and the number of open descriptors does
not grow with the depth.
"""

import errno
import os
import stat
from pathlib import Path

DEPTH_MAX = 48
COUNTED_DEPTH_MAX = 200
"""A tree that is deeper counts as endless: nothing sane is, and nothing may hide there."""
ENTRY_BYTES = 256
"""What a file takes besides its blocks: empty ones must not be free."""
TRASH = ".deep-"
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def used(path: Path, stop_at: int) -> int:
    """Bytes on disk below `path`; counting ends soon after `stop_at`."""
    return _sum(os.open(path, DIRECTORY), 0, stop_at)


def free(path: Path) -> int:
    """Bytes that the disk of `path` has left; 0 when that cannot be known."""
    try:
        found = os.statvfs(path)
    except OSError:
        return 0
    return found.f_bfree * found.f_frsize


def _sum(folder: int, depth: int, stop_at: int) -> int:
    total = 0
    try:
        for name in os.listdir(folder):
            try:
                status = os.lstat(name, dir_fd=folder)
                total += status.st_blocks * 512 + ENTRY_BYTES
                if stat.S_ISDIR(status.st_mode):
                    if depth >= COUNTED_DEPTH_MAX:
                        return stop_at + 1
                    inner = os.open(name, DIRECTORY, dir_fd=folder)
                    total += _sum(inner, depth + 1, stop_at - total)
            except OSError:
                continue
            if total > stop_at:
                break
    finally:
        os.close(folder)
    return total


def disarm(path: Path) -> None:
    """Take set-user-id and set-group-id from every file below `path`. OSError when it is too deep."""
    _disarm(os.open(path, DIRECTORY), 0)


def _disarm(folder: int, depth: int) -> None:
    try:
        if depth > COUNTED_DEPTH_MAX:
            raise OSError(errno.ELOOP, "folders lie too deep in each other")
        for name in os.listdir(folder):
            status = os.lstat(name, dir_fd=folder)
            if stat.S_ISDIR(status.st_mode):
                _disarm(os.open(name, DIRECTORY, dir_fd=folder), depth + 1)
            elif stat.S_ISREG(status.st_mode) and status.st_mode & 0o6000:
                file = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
                os.chmod(f"/proc/self/fd/{file}", status.st_mode & 0o1777)
                os.close(file)
    finally:
        os.close(folder)


def delete(path: Path) -> None:
    """Delete a folder and all that is in it; fine when it is not there."""
    if not path.exists() and not path.is_symlink():
        return
    top = _open(path.name, os.open(path.parent, DIRECTORY), close=True)
    moved = 0
    try:
        # folders that lie too deep are moved up to the top and deleted from there
        while os.listdir(top):
            moved = _empty(top, top, 0, moved)
    finally:
        os.close(top)
    path.rmdir()


def _empty(folder: int, top: int, depth: int, moved: int) -> int:
    for name in os.listdir(folder):
        status = os.lstat(name, dir_fd=folder)
        if not stat.S_ISDIR(status.st_mode):
            os.unlink(name, dir_fd=folder)
            continue
        if depth >= DEPTH_MAX:
            moved += 1
            # moving a folder changes its `..`, for which its owner needs write permission on it
            os.close(_open(name, folder))
            os.rename(name, f"{TRASH}{moved}", src_dir_fd=folder, dst_dir_fd=top)
            continue
        inner = _open(name, folder)
        try:
            moved = _empty(inner, top, depth + 1, moved)
        finally:
            os.close(inner)
        os.rmdir(name, dir_fd=folder)
    return moved


def _open(name: str, parent: int, *, close: bool = False) -> int:
    """A folder opened for deleting in it; permissions that are in the way are changed first."""
    try:
        try:
            folder = os.open(name, DIRECTORY, dir_fd=parent)
            if os.fstat(folder).st_mode & 0o700 == 0o700:
                return folder
            os.fchmod(folder, 0o700)
            return folder
        except PermissionError:
            handle = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
            try:
                os.chmod(f"/proc/self/fd/{handle}", 0o700)
            finally:
                os.close(handle)
            return os.open(name, DIRECTORY, dir_fd=parent)
    finally:
        if close:
            os.close(parent)
