"""What the agent sees as its file system, as arguments for bubblewrap.

The host's `/usr`, read-only, and an `/etc` of our making; or an image's folders, read-only, with ours
put over the files of `/etc` that say who and where one is. Then its own folders; nothing else.
"""

import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentstead.sandbox.supervisor import compiled, staging
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
HIDDEN = ("/usr/etc", "/usr/local/etc", "/usr/local/var")
"""Of the host, and not shown: programs keep settings and data there that may hold keys of registries."""
HIDDEN_FILES = ("/usr/pip.conf",)
HIDDEN_BYTES = 4096
NOT_OF_IMAGE = frozenset(
    (
        "proc",
        "sys",
        "dev",
        "run",
        "tmp",
        "mnt",
        "workspace",
        "root",
        "boot",
        "lost+found",
        ".dockerenv",
    )
)
"""At the top of an image, and never shown: it is ours, or nobody's business."""
OPAQUE = "user.overlay.opaque"
LIBRARY_FOLDER = "/run/agentstead"
LIBRARY, NATIVE = f"{LIBRARY_FOLDER}/library.zip", f"{LIBRARY_FOLDER}/runner"
"""Where the runner lies, inside: what is in Python, and what is in C."""

KEYS = ("/proc/keys", "/proc/key-users")
"""Name the kernel's keys of this user, which are the platform's where it runs as a plain one."""


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

    def file(self, text: bytes, target: str, mode: str = "0444") -> None:
        """A file of our making where everything is made read-only later; costs no mount of its own."""
        self.add("--perms", mode, "--file", str(self.memory(text)), target)

    def bind(self, source: Path, target: str, *, read_only: bool = False) -> None:
        """A file or folder of the host."""
        if not source.exists():
            raise BadMount(f"cannot bind {target}: {source} does not exist")
        self.add("--ro-bind" if read_only else "--bind", self.reached(source), target)

    def reached(self, source: Path) -> str:
        """Where bubblewrap finds a file or folder of the host."""
        where = staging.staged(len(self.bound)) if self.staged else str(source)
        self.bound.append(source)
        return where

    def memory(self, content: bytes) -> int:
        """A descriptor to read `content` from."""
        descriptor = os.memfd_create("data", os.MFD_CLOEXEC)
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.lseek(descriptor, 0, os.SEEK_SET)
        self.descriptors.append(descriptor)
        return descriptor


@dataclass(frozen=True, slots=True)
class System:
    """What a sandbox's programs come from."""

    image: Path | None = None
    """The root of an image; None: the host's own `/usr`."""
    layers: Sequence[Path] = ()
    """What was installed on top, the lowest first."""
    upper: Path | None = None
    """Where what is installed now goes, in `upper`; `work` beside it is for the kernel."""

    @staticmethod
    def of(config: dict[str, Any], place: Place) -> "System":
        """As a supervisor is told. Raises BadMount for what is not there."""
        image = Path(config["image"]) if config.get("image") else None
        layers = tuple(Path(layer) for layer in config.get("layers", ()))
        for folder in (*layers, *((image,) if image else ())):
            if not folder.is_dir():
                raise BadMount(f"a part of the file system is not there any more: {folder.name}")
        return System(image, layers, place.layer if config.get("installing") else None)


def add_file_system(
    arguments: Arguments,
    place: Place,
    system: System,
    mounts: Iterable[dict[str, object]],
    native: bytes = b"",
) -> None:
    """All of the file system, in the order in which it must be made; `native`: the runner in C, if any."""
    if system.upper is not None:
        _add_whole(arguments, system, system.upper)
    elif system.image is not None:
        _add_image(arguments, system.image, system.layers)
        for name, text in ETC.items():
            arguments.data(text.encode(), f"/etc/{name}")
    else:
        _add_host(arguments, system.layers)
        _add_etc(arguments)
    arguments.add("--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys")
    for name in filter(os.path.exists, KEYS):
        arguments.data(b"", name)
    arguments.add("--dev", "/dev", "--perms", "1777", "--size", str(SHM_BYTES))
    # bubblewrap's own /dev could otherwise be filled without limit
    arguments.add("--tmpfs", "/dev/shm", "--remount-ro", "/dev")
    arguments.add("--perms", "0755", "--size", str(RUN_BYTES), "--tmpfs", "/run")
    if system.image is None:
        arguments.add("--dir", "/var", "--symlink", "../tmp", "/var/tmp")
    else:
        arguments.bind(place.files / "tmp", "/var/tmp")
    for folder in ("/mnt", "/mnt/session"):
        arguments.add("--perms", "0755", "--dir", folder)
    for name, target in WRITABLE.items():
        arguments.bind(place.files / name, target)
    _add_mounts(arguments, place, mounts)
    _add_runner(arguments, native=native, made_here=system.image is None)
    if system.upper is None:
        # the root itself is memory that belongs to the agent's user until this
        arguments.add("--remount-ro", "/")


def _add_whole(arguments: Arguments, system: System, upper: Path) -> None:
    """An image whose changes are kept."""
    assert system.image is not None
    for folder in (system.image, *system.layers):
        arguments.add("--overlay-src", arguments.reached(folder))
    place = arguments.reached(upper)
    arguments.add("--overlay", f"{place}/upper", f"{place}/work", "/")


def _add_image(arguments: Arguments, image: Path, layers: Sequence[Path]) -> None:
    """The image's folders, each together with what the layers have of it."""
    parts = [(folder, arguments.reached(folder)) for folder in (image, *layers)]
    names = {name for folder, _ in parts for name in os.listdir(folder)} - NOT_OF_IMAGE
    for name in sorted(names):
        _add_folder(arguments, name, parts)
    for name in ETC:
        _check_plain(f"etc/{name}", [folder for folder, _ in reversed(parts)])


def _add_host(arguments: Arguments, layers: Sequence[Path]) -> None:
    """The host's folders of programs, and the layers'."""
    host = Path("/")
    parts = [(folder, arguments.reached(folder)) for folder in layers]
    names = {name for folder, _ in parts for name in os.listdir(folder)} - NOT_OF_IMAGE
    for name in sorted((names | {"usr", *SYSTEM_LINKS}) - {"etc", "var"}):
        own = [(host, "")] if name == "usr" or name in SYSTEM_LINKS else []
        _add_folder(arguments, name, [*own, *parts])
    for path in map(Path, HIDDEN):
        if path.is_dir() and not path.is_symlink():
            arguments.add("--perms", "0755", "--size", str(HIDDEN_BYTES), "--tmpfs", str(path))
            arguments.add("--remount-ro", str(path))
    for path in map(Path, HIDDEN_FILES):
        if path.is_file() and not path.is_symlink():
            arguments.data(b"", str(path))


def _add_folder(arguments: Arguments, name: str, parts: Sequence[tuple[Path, str]]) -> None:
    """One name of the root, as the topmost part that has it says; folders are put together."""
    sources: list[str] = []
    link = ""
    for folder, reached in parts:
        path = folder / name
        if path.is_dir() and not path.is_symlink() and OPAQUE not in os.listxattr(path):
            sources.append(f"{reached}/{name}")
        elif os.path.lexists(path):
            # a link, a folder that hides those below, or the mark that a layer deleted it
            sources = [f"{reached}/{name}"] if path.is_dir() and not path.is_symlink() else []
        else:
            continue
        link = str(path.readlink()) if path.is_symlink() else ""
    if link:
        arguments.add("--symlink", link, f"/{name}")
    elif len(sources) == 1:
        arguments.add("--ro-bind", sources[0], f"/{name}")
    elif sources:
        for source in sources:
            arguments.add("--overlay-src", source)
        arguments.add("--ro-overlay", f"/{name}")


def _check_plain(name: str, parts: Sequence[Path]) -> None:
    """What is put over a file must not follow a link of the image's."""
    if any((part / name).parent.is_symlink() for part in parts):
        raise BadMount(f"the folder of /{name} in the image must not be a link")
    for part in parts:
        try:
            mode = (part / name).lstat().st_mode
        except FileNotFoundError:
            continue
        if not stat.S_ISREG(mode):
            raise BadMount(f"/{name} of the image must be a file")
        return
    raise BadMount(f"/{name} is missing in the image")


def _add_etc(arguments: Arguments) -> None:
    for folder in ("/etc", "/etc/ssl"):
        arguments.add("--perms", "0755", "--dir", folder)
    for name, text in ETC.items():
        arguments.file(text.encode(), f"/etc/{name}")
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


def _add_runner(arguments: Arguments, *, native: bytes, made_here: bool) -> None:
    """The runner; `made_here`: for the host's Python, which may have compiled its part."""
    arguments.add("--perms", "0755", "--size", str(RUN_BYTES), "--tmpfs", LIBRARY_FOLDER)
    arguments.file(compiled.library(made_here=made_here), LIBRARY)
    if native:
        # what nobody may read cannot be looked into from its first moment on
        arguments.file(native, NATIVE, mode="0111")
    startup = (compiled.FOLDER / "runner" / "sitecustomize.py").read_bytes()
    arguments.file(startup, f"{LIBRARY_FOLDER}/startup/sitecustomize.py")
    arguments.add("--remount-ro", LIBRARY_FOLDER)
