"""Looks at what an agent left in `/mnt/session/outputs`, from the host and without trusting any of it.

The tree is hostile: links that lead out, pipes that never answer, folders of any depth, files that
change while they are read. So nothing is followed, every step is taken by descriptor, only plain
files count, and what is looked at is bounded.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from agentstead.sandbox.sandbox import Output

DEPTH_MAX = 16
ENTRIES_MAX = 20_000
"""Files and folders looked at; what lies beyond is not seen."""
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def look(folder: Path) -> list[Output]:
    """The plain files below `folder`, oldest change first; none when it is not there."""
    try:
        top = os.open(folder, FOLDER)
    except (FileNotFoundError, NotADirectoryError):
        return []
    found: list[tuple[int, Output]] = []
    left = ENTRIES_MAX
    for path, status in _files(top, "", DEPTH_MAX):
        left -= 1
        if left < 0:
            break
        if status is not None:
            found.append((status.st_mtime_ns, Output(path, status.st_size, _stamp(status))))
    return [output for _, output in sorted(found, key=lambda one: (one[0], one[1].path))]


def _files(folder: int, prefix: str, depth: int) -> Iterator[tuple[str, os.stat_result | None]]:
    """Every entry, None for what is no plain file; closes `folder`."""
    try:
        with os.scandir(folder) as entries:  # never all names at once: there may be millions
            for entry in entries:
                path = f"{prefix}{entry.name}"
                with suppress(OSError):  # gone, or not to be read: nothing to hand over
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode):
                        yield path, status
                        continue
                    yield path, None
                    if stat.S_ISDIR(status.st_mode) and depth:
                        inner = os.open(entry.name, FOLDER, dir_fd=folder)
                        yield from _files(inner, f"{path}/", depth - 1)
    finally:
        os.close(folder)


def _stamp(status: os.stat_result) -> str:
    """Another one whenever the file may hold something else: nobody inside can set the time of change."""
    return f"{status.st_ino}.{status.st_size}.{status.st_mtime_ns}.{status.st_ctime_ns}"


def opened(folder: Path, path: str) -> BinaryIO | None:
    """A file of the tree to be read; None when it is no plain file there any more."""
    *folders, name = PurePosixPath(path).parts
    if ".." in (*folders, name) or path.startswith("/"):
        return None
    held = []
    try:
        held.append(os.open(folder, FOLDER))
        for part in folders:
            held.append(os.open(part, FOLDER, dir_fd=held[-1]))
        file = os.open(name, FILE, dir_fd=held[-1])
    except OSError:
        return None
    finally:
        for descriptor in held:
            os.close(descriptor)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        return None
    return os.fdopen(file, "rb", buffering=0)
