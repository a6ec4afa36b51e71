"""A small disk of its own for the data directory, so that it can be filled: a file system in memory."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DISK_BYTES = 2 << 30
BALLAST = "ballast"
PIECE_BYTES = 1 << 20


def no_disk() -> str:
    """Why there can be no small disk here; empty: there can."""
    return "" if os.geteuid() == 0 else "a disk that can be filled needs root, who may mount one"


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A small disk at `folder` for as long as the block runs."""
    folder.mkdir(exist_ok=True)
    options = f"size={DISK_BYTES},mode=0711"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "chaos", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> None:
    """Leave not a byte free."""
    handle = os.open(folder / BALLAST, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        size = PIECE_BYTES
        while size:
            try:
                os.posix_fallocate(handle, os.fstat(handle).st_size, size)
            except OSError:
                size //= 2
    finally:
        os.close(handle)


def make_room(folder: Path) -> None:
    """Take the ballast away."""
    (folder / BALLAST).unlink(missing_ok=True)
