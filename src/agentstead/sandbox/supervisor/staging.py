"""Makes folders of the host reachable for the sandbox's user, without opening any path to them.

bubblewrap resolves what it binds by path, as the user it runs as; our folders may lie in a private
home. Started by root we therefore bind them, in a mount namespace of the child's own, to plain names in an empty folder. Nobody else sees that, and it ends with the sandbox.
"""

import ctypes
import os
import stat
from pathlib import Path

STAGE = "/tmp"
"""Exists everywhere; covered in the child's own namespace only."""
CLONE_NEWNS = 0x20000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
MS_NOSUID, MS_NODEV = 0x2, 0x4
STAGE_BYTES = "1m"


CAP_SYS_ADMIN = 21


def possible() -> bool:
    """Whether we may make mounts: as root, but not in most containers."""
    status = Path("/proc/self/status").read_text()
    (caps,) = [line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")]
    return os.geteuid() == 0 and bool(int(caps, 16) >> CAP_SYS_ADMIN & 1)


def staged(number: int) -> str:
    """Where the n-th file or folder will be."""
    return f"{STAGE}/{number}"


def stage(sources: list[Path]) -> None:
    """In the child, still as root: bind each file or folder to its place."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS):
        raise _error("a mount namespace")
    _mount(libc, "none", "/", None, MS_REC | MS_PRIVATE)
    # opened before the stage covers some of them, and in the namespace in which they are bound
    descriptors = [os.open(source, os.O_PATH | os.O_CLOEXEC) for source in sources]
    _mount(libc, "tmpfs", STAGE, "tmpfs", MS_NOSUID | MS_NODEV, f"mode=0755,size={STAGE_BYTES}")
    for number, descriptor in enumerate(descriptors):
        target = staged(number)
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            os.mkdir(target)
        else:
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
        _mount(libc, f"/proc/self/fd/{descriptor}", target, None, MS_BIND | MS_REC)
        os.close(descriptor)


def _mount(
    libc: ctypes.CDLL, source: str, target: str, kind: str | None, flags: int, data: str = ""
) -> None:
    words = (source.encode(), target.encode(), kind.encode() if kind else None)
    if libc.mount(*words, ctypes.c_ulong(flags), data.encode() or None):
        raise _error(f"a mount at {target}")


def _error(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what} is refused: {os.strerror(number)}")
