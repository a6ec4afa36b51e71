"""User namespaces for files that belong to many users: unpacking an image, installing into one.

Started by root, the users 0 to 65535 of such a namespace are a range of the host's that nobody else has:
root in there may do as it likes with the image's files and is nobody outside. Started by anybody else,
root in there is that user, and there is nobody besides. Namespaces below it cannot be made.
"""

import ctypes
import os
import struct
from pathlib import Path

FIRST, COUNT = 300_000, 65_536
"""The host's users that own images and install into them; no sandbox of a session has one of them."""
CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWNET = 0x20000, 0x8000000, 0x10000000, 0x40000000
PR_SET_NO_NEW_PRIVS = 38
CAPABILITIES_VERSION = 0x20080522
CHOWN, DAC_OVERRIDE, FOWNER = 1 << 0, 1 << 1, 1 << 3
"""Capabilities."""
NESTING = "/proc/sys/user/max_user_namespaces"


class NoRange(Exception):
    """The range of users cannot be had here; the message says why and what to do."""


def whole() -> bool:
    """Whether the range exists on this host: in some containers it does not."""
    lines = Path("/proc/self/uid_map").read_text().splitlines()
    spans = [tuple(map(int, line.split())) for line in lines]
    return any(first <= FIRST and first + count >= FIRST + COUNT for first, _, count in spans)


def open_range() -> int:
    """As root: a descriptor of a fresh namespace whose users are the range. Raises NoRange."""
    if not whole():
        raise NoRange(
            f"this container has no users {FIRST} to {FIRST + COUNT - 1}, which images belong to:"
            " map more users into it"
        )
    said, say = os.pipe()
    go, begin = os.pipe()
    pid = os.fork()
    if pid == 0:
        _wait_inside(say, go)
    os.close(say)
    os.close(go)
    try:
        words = os.read(said, 1 << 10)
        if words != b"made":
            raise NoRange(f"a user namespace is refused: {words.decode() or 'its process ended'}")
        give_range(pid)
        namespace = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        os.write(begin, b"1")
        words = os.read(said, 1 << 10)
        if words != b"ok":
            os.close(namespace)
            raise NoRange(f"namespaces below ours cannot be closed: {words.decode()}")
    except OSError as error:
        raise NoRange(f"a user namespace is refused: {error.strerror}") from error
    finally:
        os.close(said)
        os.close(begin)
        os.waitpid(pid, 0)
    return namespace


def _wait_inside(say: int, go: int) -> None:
    try:
        enter_range(CLONE_NEWUSER)
        os.write(say, b"made")
        if os.read(go, 1):
            close_below()
            os.write(say, b"ok")
    except OSError as error:
        os.write(say, (error.strerror or str(error)).encode())
    finally:
        os._exit(0)


def enter_range(flags: int) -> None:
    """In a child of root: become the first user of the range, in namespaces of its own."""
    os.setgroups([])
    os.setresgid(FIRST, FIRST, FIRST)
    os.setresuid(FIRST, FIRST, FIRST)
    unshare(flags)


def unshare(flags: int) -> None:
    """Namespaces of our own."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def give_range(pid: int) -> None:
    """As root: say who the users of a child's namespace are."""
    for kind in ("uid", "gid"):
        Path(f"/proc/{pid}/{kind}_map").write_text(f"0 {FIRST} {COUNT}\n")


def be_alone(uid: int, gid: int) -> None:
    """In a namespace that a plain user has just made: be its root."""
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1\n")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1\n")


def close_below() -> None:
    """Nobody in this namespace makes another one."""
    Path(NESTING).write_text("0")


def keep_capabilities(names: int) -> None:
    """Give up every capability but these, a sum of bits; nothing brings one back."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    header = struct.pack("II", CAPABILITIES_VERSION, 0)
    data = struct.pack("IIIIII", names, names, 0, 0, 0, 0)
    if libc.capset(header, data):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
