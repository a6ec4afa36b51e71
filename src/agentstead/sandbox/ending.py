"""The end of a sandbox: its supervisor, its control groups, its files, its user."""

import fcntl
import os
import signal
import time
from pathlib import Path

from agentstead.errors import SandboxFault
from agentstead.sandbox.supervisor import disk, limits, uids
from agentstead.sandbox.supervisor.place import UIDS, Place

GRACE_SECONDS = 5.0
POLL_SECONDS = 0.01


def end(place: Place) -> None:
    """Wait for the supervisor (and kill it when it does not go), then delete everything."""
    if place.path.is_dir():
        lock = _taken(place)
        try:
            if place.gone.exists():
                _delete(place)
            # moved first: nobody can start a half-deleted sandbox
            place.path.rename(place.gone)
        finally:
            os.close(lock)
    if place.gone.is_dir():
        _delete(place)


def ended(place: Place) -> None:
    """Wait until its supervisor is gone, and kill it when it does not go; its files stay."""
    os.close(_taken(place))


def take_workspace(place: Place, target: Path) -> None:
    """Wait for the supervisor and every process of the sandbox, then move its workspace away.

    Its files still belong to the sandbox's user.
    """
    lock = _taken(place)
    try:
        uid = place.meta().get("uid")
        until = time.monotonic() + GRACE_SECONDS
        # as a plain user the platform's own processes are that user's too: bubblewrap's end is all there is
        while uid not in (None, os.geteuid()) and uids.runs(uid):
            if time.monotonic() > until:
                raise SandboxFault(f"The processes of {place.sandbox_id} do not end.", kind="lost")
            time.sleep(POLL_SECONDS)
        (place.files / "workspace").rename(target)
    finally:
        os.close(lock)


def _taken(place: Place) -> int:
    """The lock that the supervisor holds while it lives."""
    lock = os.open(place.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    begun = time.monotonic()
    killed = False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except BlockingIOError:
            waited = time.monotonic() - begun
            if waited > 2 * GRACE_SECONDS:
                os.close(lock)
                raise SandboxFault(
                    f"The supervisor of {place.sandbox_id} cannot be ended.", kind="lost"
                ) from None
            if waited > GRACE_SECONDS and not killed:
                killed = _kill_holder(lock)
            time.sleep(POLL_SECONDS)


def _kill_holder(lock: int) -> bool:
    # as long as the lock is held, the number in it is its holder's
    text = os.pread(lock, 32, 0).strip()
    if text.isdigit():
        try:
            os.kill(int(text), signal.SIGKILL)
        except ProcessLookupError:
            pass
    return True


def _delete(place: Place) -> None:
    meta = place.meta(gone=True)
    limits.remove(list(meta.get("groups", [])))
    disk.delete(place.gone / "files")
    # the last thing to go is what says whose user it was
    uid = meta.get("uid")
    if uid is not None and os.geteuid() == 0:
        uids.give_back(place.root / UIDS, uid, meta.get("born", place.sandbox_id))
    disk.delete(place.gone)
