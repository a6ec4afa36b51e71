"""Temporary directories for platforms and databases: passable for the database's own user, in memory where there is room."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEMORY = Path("/dev/shm")
MEMORY_BYTES_MIN = 2 << 30
PREFIX = "agentstead-test-"


def temporary_dir(below: Path | None = None) -> Path:
    """A temporary directory that the database's own user may pass through."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=below))
    if os.geteuid() == 0:
        folder.chmod(0o711)
    return folder


@contextmanager
def memory_dir() -> Iterator[Path]:
    """A temporary directory whose `data` is in memory, where that has room and runs programs."""
    folder = temporary_dir()
    data = folder / "data"
    try:
        if roomy(MEMORY):
            data.symlink_to(temporary_dir(MEMORY))
        yield folder
    finally:
        shutil.rmtree(data.resolve(), ignore_errors=True)
        shutil.rmtree(folder)


def roomy(memory: Path) -> bool:
    """Whether a database fits into it and its programs run from there."""
    if not os.access(memory, os.W_OK):
        return False
    state = os.statvfs(memory)
    free = state.f_bavail * state.f_frsize
    return free >= MEMORY_BYTES_MIN and not state.f_flag & os.ST_NOEXEC
