"""What the agent sees as its file system, as arguments for bubblewrap.

The host's `/usr`, read-only; an `/etc` of our making; its own folders; nothing else.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from agentstead.sandbox.supervisor import staging
from agentstead.sandbox.supervisor.place import UPLOADS, UPLOADS_TARGET, WRITABLE, Place

SHM_BYTES = 64 << 20
RUN_BYTES = 1 << 20
SYSTEM_LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
ETC = {
    "passwd": (
        "root:x:0:0:root:/root:/bin/sh\n"
        "agent:x:1000:1000:agent:/workspace:/bin/bash\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    ),
    "group": "root:x:0:\nagent:x:1000:\nnogroup:x:65534:\n",
    "hosts": "127.0.0.1 localhost sandbox\n::1 localhost\n",
    "resolv.conf": "# there is no name service in this sandbox\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\nnetworks: files\n",
    "hostname": "sandbox\n",
}
ETC_OF_HOST = (
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "alternatives",
    "ssl/certs",
    "ssl/openssl.cnf",
    "ca-certificates",
    "pki/tls/certs",
    "pki/ca-trust",
    "mime.types",
    "localtime",
)
LIBRARY = "/run/agentstead"
"""Where the runner lies, inside."""


class BadMount(Exception):
    """A mount that cannot be made."""


@dataclass
class Arguments:
    """Arguments for bubblewrap and the descriptors they speak of."""

    staged: bool = False
    """Whether bound folders are reached through the stage."""
    words: list[str] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)
    bound: list[Path] = field(default_factory=list)
    """What has a place on the stage, in its order."""

    def add(self, *words: str) -> None:
        """More arguments."""
        self.words += words

    def data(self, text: bytes, target: str) -> None:
        """A read-only file of our making."""
        self.add("--perms", "0444", "--ro-bind-data", str(self.memory(text)), target)

    def bind(self, source: Path, target: str, *, read_only: bool = False) -> None:
        """A file or folder of the host."""
        option = "--ro-bind" if read_only else "--bind"
        if not source.exists():
            raise BadMount(f"cannot bind {target}: {source} does not exist")
        if self.staged:
            self.add(option, staging.staged(len(self.bound)), target)
        else:
            self.add(option, str(source), target)
        self.bound.append(source)

    def memory(self, content: bytes) -> int:
        """A descriptor to read `content` from."""
        descriptor = os.memfd_create("data", os.MFD_CLOEXEC)
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.lseek(descriptor, 0, os.SEEK_SET)
        self.descriptors.append(descriptor)
        return descriptor


def add_file_system(
    arguments: Arguments, place: Place, mounts: Iterable[dict[str, object]], runner: Path
) -> None:
    """All of the file system, in the order in which it must be made."""
    _add_system(arguments)
    _add_etc(arguments)
    arguments.add("--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys")
    arguments.add("--dev", "/dev", "--perms", "1777", "--size", str(SHM_BYTES))
    # bubblewrap's own /dev could otherwise be filled without limit
    arguments.add("--tmpfs", "/dev/shm", "--remount-ro", "/dev")
    arguments.add("--perms", "0755", "--size", str(RUN_BYTES), "--tmpfs", "/run")
    arguments.add("--dir", "/var", "--symlink", "../tmp", "/var/tmp")
    for folder in ("/mnt", "/mnt/session"):
        arguments.add("--perms", "0755", "--dir", folder)
    for name, target in WRITABLE.items():
        arguments.bind(place.files / name, target)
    _add_mounts(arguments, place, mounts)
    _add_runner(arguments, runner)
    # the root itself is memory that belongs to the agent's user until this
    arguments.add("--remount-ro", "/")


def _add_system(arguments: Arguments) -> None:
    arguments.add("--ro-bind", "/usr", "/usr")
    for name in SYSTEM_LINKS:
        path = Path("/", name)
        if path.is_symlink():
            arguments.add("--symlink", str(path.readlink()), str(path))
        elif path.is_dir():
            arguments.add("--ro-bind", str(path), str(path))


def _add_etc(arguments: Arguments) -> None:
    for folder in ("/etc", "/etc/ssl"):
        arguments.add("--perms", "0755", "--dir", folder)
    for name, text in ETC.items():
        arguments.data(text.encode(), f"/etc/{name}")
    for name in ETC_OF_HOST:
        arguments.add("--ro-bind-try", f"/etc/{name}", f"/etc/{name}")
    arguments.add("--symlink", "../usr/lib/os-release", "/etc/os-release")
    arguments.add("--symlink", "../proc/self/mounts", "/etc/mtab")


def _add_mounts(arguments: Arguments, place: Place, mounts: Iterable[dict[str, object]]) -> None:
    uploads = place.files / UPLOADS
    later: list[tuple[Path, str, bool]] = []
    for mount in mounts:
        source, target = Path(str(mount["source"])), os.path.normpath(str(mount["target"]))
        if not target.startswith("/") or target == "/":
            raise BadMount(f"cannot mount at {mount['target']!r}: not an absolute path")
        if target.startswith(f"{UPLOADS_TARGET}/"):
            _mount_point(uploads / target[len(UPLOADS_TARGET) + 1 :], source)
        later.append((source, target, bool(mount["read_only"])))
    arguments.bind(uploads, UPLOADS_TARGET, read_only=True)
    for source, target, read_only in later:
        arguments.bind(source, target, read_only=read_only)


def _mount_point(point: Path, source: Path) -> None:
    """Bubblewrap cannot make the place for a mount in a folder that is read-only already."""
    if source.is_dir():
        point.mkdir(parents=True, exist_ok=True)
    else:
        point.parent.mkdir(parents=True, exist_ok=True)
        point.touch()


def _add_runner(arguments: Arguments, runner: Path) -> None:
    package = "agentstead/sandbox/supervisor"
    arguments.add("--perms", "0755", "--size", str(RUN_BYTES), "--tmpfs", LIBRARY)
    arguments.data((runner.parent / "frames.py").read_bytes(), f"{LIBRARY}/{package}/frames.py")
    for file in sorted(runner.glob("*.py")):
        arguments.data(file.read_bytes(), f"{LIBRARY}/{package}/runner/{file.name}")
    arguments.add("--remount-ro", LIBRARY)
