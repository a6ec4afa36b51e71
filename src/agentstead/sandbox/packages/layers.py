"""The layers of packages on this host: one folder each, whole or not there at all.

`<root>/<key>/tree` is what sandboxes see, `<root>/<key>/layer.json` says what it is; the time of
change of the latter is when the layer was last used. Whoever builds one holds `.lock-<key>`, which the
kernel gives back when it dies; `.now-<key>` says what it is at, `.failed-<key>` why the last build
came to nothing. Every process of this host that shares the folder may do any of it at once.
"""

import fcntl
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentstead.sandbox.supervisor import disk
from agentstead.settings import Settings

FOLDER = "layers"
"""Of the data directory."""
DRAFT, GONE, LOCK, NOW, FAILED = ".new-", ".gone-", ".lock-", ".now-", ".failed-"
TREE, ABOUT = "tree", "layer.json"
DEPTH_MAX = 200
FOLDER_MODE, FILE_MODE = 0o755, 0o644


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer that is there."""

    key: str
    packages: Mapping[str, list[str]]
    size_bytes: int
    built_at: float
    used_at: float
    """When a sandbox last asked for it."""


@dataclass(frozen=True, slots=True)
class Note:
    """What somebody wrote down about a build."""

    key: str
    packages: Mapping[str, list[str]]
    at: float
    """Since when it goes on, or when it failed."""
    words: str
    """The manager at work, or why it failed."""


class Layers:
    """All of them; `root` is `<data-dir>/layers`."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    @staticmethod
    def of(settings: Settings) -> "Layers":
        """Those of the data directory."""
        return Layers(settings.data_dir / FOLDER)

    def tree(self, key: str) -> Path | None:
        """The files of a layer that is there, which is in use from now on."""
        try:
            os.utime(self.root / key / ABOUT)
        except FileNotFoundError:
            return None
        return self.root / key / TREE

    def lock(self, key: str, *, shared: bool = False) -> int | None:
        """Become the one who builds it: a descriptor to close, or None when somebody does already."""
        self.root.mkdir(mode=0o711, parents=True, exist_ok=True)
        descriptor = os.open(
            self.root / f"{LOCK}{key}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        try:
            how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def draft(self, key: str) -> Path:
        """An empty folder to build in, made anew; only under the lock."""
        draft = self.root / f"{DRAFT}{key}"
        disk.delete(draft)
        draft.mkdir(mode=0o755)
        return draft

    def drafts(self) -> list[str]:
        """The layers that somebody builds, or did when he died."""
        return [file.name.removeprefix(DRAFT) for file in self._entries(DRAFT)]

    def publish(
        self, key: str, packages: Mapping[str, Any], now: float, *, ours: bool = True
    ) -> Layer:
        """Let the draft be the layer; `ours`: its tree becomes the platform's own first. Only under the
        lock."""
        draft = self.root / f"{DRAFT}{key}"
        size = owned(draft / TREE) if ours else disk.used(draft / TREE, 1 << 62)
        about = {"packages": packages, "size_bytes": size, "built_at": now}
        written(draft / ABOUT, about)
        # a machine that loses its power must not find files of it empty
        os.sync()
        draft.rename(self.root / key)
        self.forget_failure(key)
        return Layer(key, packages, size, now, now)

    def listed(self) -> list[Layer]:
        """Every layer, and when it was last used."""
        found = []
        for folder in self._entries(""):
            with suppress(OSError, ValueError, KeyError):
                about = json.loads((folder / ABOUT).read_text())
                used_at = (folder / ABOUT).stat().st_mtime
                found.append(
                    Layer(
                        folder.name,
                        about["packages"],
                        about["size_bytes"],
                        about["built_at"],
                        used_at,
                    )
                )
        return found

    def unused(self, seconds: float, now: float) -> list[Layer]:
        """The layers that no sandbox has used for so long."""
        return [layer for layer in self.listed() if now - layer.used_at > seconds]

    def remove(self, key: str) -> bool:
        """Delete a layer, unless it is being built right now. A sandbox that has it mounted loses it."""
        lock = self.lock(key)
        if lock is None:
            return False
        try:
            gone = self.root / f"{GONE}{key}"
            disk.delete(gone)
            with suppress(FileNotFoundError):
                (self.root / key).rename(gone)
            disk.delete(gone)
        finally:
            os.close(lock)
        return True

    # what is said about builds

    def begun(self, key: str, packages: Mapping[str, Any], at: float, words: str) -> None:
        """Write down what is being done; only under the lock."""
        written(self.root / f"{NOW}{key}", {"packages": packages, "at": at, "words": words})

    def clear(self, key: str) -> None:
        """Nothing is being done any more; what was half done is deleted. Only under the lock."""
        (self.root / f"{NOW}{key}").unlink(missing_ok=True)
        disk.delete(self.root / f"{DRAFT}{key}")

    def failed(self, key: str, packages: Mapping[str, Any], at: float, words: str) -> None:
        """Remember why a build came to nothing."""
        written(self.root / f"{FAILED}{key}", {"packages": packages, "at": at, "words": words})

    def failure(self, key: str) -> Note | None:
        """Why the last build came to nothing."""
        return read(self.root / f"{FAILED}{key}", key)

    def forget_failure(self, key: str) -> None:
        """It is there now, or nobody cares any more."""
        (self.root / f"{FAILED}{key}").unlink(missing_ok=True)

    def building(self) -> Iterator[Note]:
        """What is being built now."""
        for file in self._entries(NOW):
            key = file.name.removeprefix(NOW)
            lock = self.lock(key, shared=True)
            if lock is not None:  # whoever wrote it is dead
                os.close(lock)
            elif note := read(file, key):
                yield note

    def failures(self) -> Iterator[Note]:
        """What could not be built when it was last tried."""
        for file in self._entries(FAILED):
            if note := read(file, file.name.removeprefix(FAILED)):
                yield note

    def _entries(self, prefix: str) -> list[Path]:
        try:
            names = sorted(path.name for path in self.root.iterdir())
        except FileNotFoundError:
            return []
        return [
            self.root / name
            for name in names
            if (name.startswith(prefix) if prefix else not name.startswith("."))
        ]


def read(file: Path, key: str) -> Note | None:
    """A note, if there is one."""
    try:
        found = json.loads(file.read_text())
        return Note(key, found["packages"], found["at"], found["words"])
    except (OSError, ValueError, KeyError):
        return None


def written(file: Path, content: Mapping[str, Any]) -> None:
    """Write a file whole or not at all."""
    fresh = file.with_name(f"{file.name}.part")
    fresh.write_text(json.dumps(content))
    fresh.replace(file)


def owned(tree: Path) -> int:
    """Make files that an installer left ours, readable by all and changed by nobody; their bytes.

    Nobody may be at work in there any more. Nothing is followed; what is neither a file, a folder nor
    a link is deleted, and no file is privileged.
    """
    folder = os.open(tree, disk.DIRECTORY)
    try:
        _own(folder)
        return _settle(folder, 0)
    finally:
        os.close(folder)


def _own(folder: int) -> None:
    os.fchown(folder, os.geteuid(), os.getegid())
    os.fchmod(folder, FOLDER_MODE)


def _settle(folder: int, depth: int) -> int:
    if depth > DEPTH_MAX:
        raise ValueError(f"the packages have folders that are more than {DEPTH_MAX} deep")
    total = 0
    for name in os.listdir(folder):
        status = os.lstat(name, dir_fd=folder)
        total += status.st_blocks * 512
        if stat.S_ISDIR(status.st_mode):
            os.chown(name, os.geteuid(), os.getegid(), dir_fd=folder, follow_symlinks=False)
            os.chmod(name, FOLDER_MODE, dir_fd=folder)
            inner = os.open(name, disk.DIRECTORY, dir_fd=folder)
            try:
                total += _settle(inner, depth + 1)
            finally:
                os.close(inner)
        elif stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode):
            os.chown(name, os.geteuid(), os.getegid(), dir_fd=folder, follow_symlinks=False)
            if stat.S_ISREG(status.st_mode):
                mode = FILE_MODE | (status.st_mode & 0o111 and 0o111)
                os.chmod(name, mode, dir_fd=folder)
        else:
            os.unlink(name, dir_fd=folder)
    return total
