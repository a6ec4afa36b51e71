"""The folder of one sandbox on this host, and which folders there are.

`<root>/<sandbox id>/` is private to the platform's user: `lock` (held by the living supervisor;
its time of change is the last renewal), `ctl.sock`, `meta.json`, `journal/`, `log`, and `files/`
with what is bound into the sandbox, owned by the sandbox's own user.
"""

import fcntl
import json
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentstead.sandbox.supervisor.apart import spread

SANDBOX_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")
WRITABLE = {
    "workspace": "/workspace",
    "tmp": "/tmp",
    "user": "/mnt/user",
    "outputs": "/mnt/session/outputs",
}
"""Folder under `files/` → where the agent sees it. All survive a restart of the sandbox."""
BUILD = "build-"
"""Prefix of the ids of sandboxes in which packages are installed; they belong to no session."""
SOCKET = "ctl.sock"
UPLOADS = "uploads"
UPLOADS_TARGET = "/mnt/session/uploads"
GONE = ".gone-"
"""Prefix of a folder that is being deleted."""
UIDS = ".uids"


@dataclass(frozen=True)
class Place:
    """One sandbox's folder."""

    root: Path
    sandbox_id: str

    def __post_init__(self) -> None:
        if not SANDBOX_ID.fullmatch(self.sandbox_id):
            raise ValueError(f"not the id of a sandbox: {self.sandbox_id!r}")

    @property
    def host_name(self) -> str:
        """A name no other sandbox of this host has: two platforms may know the same id."""
        return f"{self.sandbox_id}-{zlib.crc32(os.fsencode(self.path)):08x}"

    @property
    def path(self) -> Path:
        """The folder."""
        return self.root / self.sandbox_id

    @property
    def gone(self) -> Path:
        """The folder once its deletion has begun."""
        return self.root / f"{GONE}{self.sandbox_id}"

    @property
    def journal(self) -> Path:
        """Which calls were run."""
        return self.path / "journal"

    @property
    def files(self) -> Path:
        """What is bound into the sandbox."""
        return self.path / "files"

    def folder(self, name: str) -> Path:
        """One of the folders that are bound into the sandbox (`WRITABLE`, or the uploads)."""
        return self.files / name

    @property
    def layer(self) -> Path:
        """What a sandbox that installs has installed."""
        return self.files / "layer"

    @property
    def outputs(self) -> Path:
        """What the agent hands over."""
        return self.folder("outputs")

    def take_name(self, sandbox_id: str) -> None:
        """Become another sandbox's, where there is none of that name: OSError where there is.

        Everybody who holds this object follows. Its host user stays noted under the name it was born with.
        """
        self.path.rename(Place(self.root, sandbox_id).path)
        object.__setattr__(self, "sandbox_id", sandbox_id)

    def make(self) -> None:
        """Make the folders, private to us; fine when they exist."""
        self.root.mkdir(mode=0o711, parents=True, exist_ok=True)
        if not self.path.exists():
            spread(self.root)
        for folder in (self.path, self.journal):
            folder.mkdir(mode=0o700, exist_ok=True)

    def make_files(self, uid: int) -> None:
        """Make what is bound into the sandbox, owned by its user."""
        for folder in (self.files, self.files / UPLOADS):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o755)
        for name in WRITABLE:
            folder = self.folder(name)
            if not folder.is_dir():
                folder.mkdir(mode=0o700)
                if uid != os.geteuid():
                    os.chown(folder, uid, uid)
                folder.chmod(0o1777 if name == "tmp" else 0o755)

    def make_layer(self, uid: int) -> None:
        """Make where a sandbox that installs keeps what it installs."""
        for folder in (self.layer, self.layer / "upper", self.layer / "work"):
            folder.mkdir(mode=0o755, exist_ok=True)
            os.chown(folder, uid, uid)

    def lock(self) -> int | None:
        """Become the one supervisor: the held lock, or None when there is one already."""
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        return descriptor

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Nobody else holds this lock of the folder for as long as the block runs; waits for it."""
        lock = os.open(self.path / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def supervised(self) -> bool:
        """Whether a supervisor lives, listening or not."""
        try:
            os.kill(int((self.path / "lock").read_text()), 0)
        except (OSError, ValueError):
            return False
        return True

    def renew(self) -> None:
        """Somebody still wants this sandbox."""
        try:
            os.utime(self.path / "lock")
        except FileNotFoundError:
            return

    def renewed_at(self) -> float:
        """When somebody last wanted it, seconds since the epoch; never, once its folder is gone."""
        try:
            return (self.path / "lock").stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def meta(self, *, gone: bool = False) -> dict[str, Any]:
        """What was written down about it."""
        try:
            text = ((self.gone if gone else self.path) / "meta.json").read_text()
            meta = json.loads(text)
        except (FileNotFoundError, ValueError):
            return {}
        return meta if isinstance(meta, dict) else {}

    def write_meta(self, *, durable: bool = True, **changes: Any) -> None:
        """Write down more about it, whole or not at all; not `durable`: the host may forget it if it crashes."""
        meta = {**self.meta(), **changes}
        fresh = self.path / "meta.json.new"
        with fresh.open("w") as file:
            json.dump(meta, file)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        fresh.replace(self.path / "meta.json")


def sandbox_ids(root: Path) -> Iterator[str]:
    """The sandboxes that have a folder on this host, half-deleted ones included."""
    try:
        names = sorted(entry.name for entry in os.scandir(root) if entry.is_dir())
    except FileNotFoundError:
        return
    for name in names:
        sandbox_id = name.removeprefix(GONE)
        if SANDBOX_ID.fullmatch(sandbox_id):
            yield sandbox_id
