"""One `serve` per data directory, by a lock that dies with the process."""

import fcntl
import os
from pathlib import Path

from agentstead.errors import Misconfigured
from agentstead.store import data_dir as folders


class Instance:
    """The right to serve a data directory; hand it back with `release` or by dying."""

    def __init__(self, handle: int) -> None:
        self.handle = handle

    @classmethod
    def hold(cls, data_dir: Path) -> "Instance":
        """Take the lock; Misconfigured, naming the holder, when another process has it."""
        path = folders.make(data_dir) / "serve.lock"
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(handle)
            raise Misconfigured(
                f"Another 'agentstead serve' (process {holder}) holds the data directory "
                f"{path.parent}. Stop it, or choose another directory with --data-dir."
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        return cls(handle)

    def release(self) -> None:
        """Give it back."""
        if self.handle >= 0:
            os.ftruncate(self.handle, 0)
            os.close(self.handle)
            self.handle = -1
