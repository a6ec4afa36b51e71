"""Makes trees again from an archive, as whoever runs this.

Every step is taken by descriptor and follows nothing, so that no link of the archive leads out of
the trees. What one entry cannot have is noted and the rest is made; a full disk or a damaged
archive ends it.
"""

import errno
import os
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from agentstead.sandbox.archive.walk import FOLDER, LeftOut

COPY_BYTES = 256 << 10
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
FATAL = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)


class Damaged(Exception):
    """The archive is not what was written."""


@dataclass(slots=True)
class Unpack:
    """One archive being unpacked into folders that are empty: name → descriptor."""

    trees: Mapping[str, int]
    left_out: LeftOut = field(default_factory=LeftOut)
    files: int = 0
    _open: list[tuple[str, int]] = field(default_factory=list)
    """The folders from a tree down to where the latest entry lies."""
    _folders: list[tuple[tuple[str, ...], int, float]] = field(default_factory=list)
    """What is set last: before, it would hinder us or be changed again."""

    def read(self, source: BinaryIO) -> None:
        """All of it; raises Damaged, and OSError when the disk does not take it."""
        try:
            with tarfile.open(
                fileobj=source, mode="r|", encoding="utf-8", errors="surrogateescape"
            ) as archive:
                seen: Any = archive
                while (info := archive.next()) is not None:
                    seen.members.clear()  # it would remember them all
                    self._entry(archive, info)
            while source.read(COPY_BYTES):
                pass  # what the whole is checked by comes at the very end
        except (tarfile.TarError, EOFError, ValueError, ArithmeticError, MemoryError) as error:
            raise Damaged(str(error) or type(error).__name__) from error
        finally:
            self._leave(0)
        for parts, mode, at in reversed(self._folders):
            self._finish(parts, mode, at)
        self._leave(0)

    def _entry(self, archive: tarfile.TarFile, info: tarfile.TarInfo) -> None:
        parts = parts_of(info.name)
        if parts[0] not in self.trees:
            raise Damaged(f"{info.name!r} lies outside")
        try:
            if info.isdir():
                if len(parts) > 1:
                    os.mkdir(parts[-1], 0o700, dir_fd=self._at(parts[:-1]))
                self._folders.append((parts, info.mode, info.mtime))
            else:
                self._leaf(archive, parts, info)
        except OSError as error:
            if error.errno in FATAL:
                raise
            self.left_out.add(os.fsencode(info.name), error.strerror)

    def _leaf(
        self, archive: tarfile.TarFile, parts: tuple[str, ...], info: tarfile.TarInfo
    ) -> None:
        folder, name = self._at(parts[:-1]), parts[-1]
        if info.issym():
            os.symlink(info.linkname, name, dir_fd=folder)
            os.utime(name, (info.mtime, info.mtime), dir_fd=folder, follow_symlinks=False)
        elif info.islnk():
            self.files += 1
            self._twin(parts_of(info.linkname), folder, name)
        elif info.isfifo():
            os.mkfifo(name, info.mode, dir_fd=folder)
        elif info.isreg():
            self.files += 1
            self._file(archive, info, os.open(name, NEW_FILE, 0o600, dir_fd=folder))
        else:
            raise Damaged(f"{info.name!r} is of no kind that is kept")

    def _twin(self, first: tuple[str, ...], folder: int, name: str) -> None:
        # the way to the first name may take the place of the way to this one
        held = os.dup(folder)
        try:
            if first[0] not in self.trees:
                raise Damaged("a hard link leads out")
            source = self._at(first[:-1])
            os.link(first[-1], name, src_dir_fd=source, dst_dir_fd=held, follow_symlinks=False)
        finally:
            os.close(held)

    def _file(self, archive: tarfile.TarFile, info: tarfile.TarInfo, file: int) -> None:
        try:
            source: Any = archive.fileobj
            source.seek(info.offset_data)
            extents: Any = info.sparse
            for start, length in [(0, info.size)] if extents is None else extents:
                os.lseek(file, start, os.SEEK_SET)
                copy(source, file, length)
            if extents is not None:
                os.ftruncate(file, info.size)
            os.fchmod(file, info.mode)
            os.utime(file, (info.mtime, info.mtime))
        finally:
            os.close(file)

    def _finish(self, parts: tuple[str, ...], mode: int, at: float) -> None:
        try:
            folder = self._at(parts)
            os.utime(folder, (at, at))
            os.fchmod(folder, mode)
        except OSError as error:
            self.left_out.add(os.fsencode("/".join(parts)), error.strerror)

    def _at(self, parts: tuple[str, ...]) -> int:
        """The descriptor of a folder that was made, reached from the one before."""
        if not parts:
            raise Damaged("an entry lies in no tree")
        same = 0
        for (name, _), part in zip(self._open, parts, strict=False):
            if name != part:
                break
            same += 1
        self._leave(same)
        for part in parts[same:]:
            if self._open:
                folder = os.open(part, FOLDER, dir_fd=self._open[-1][1])
            else:
                folder = os.dup(self.trees[part])
            self._open.append((part, folder))
        return self._open[-1][1]

    def _leave(self, kept: int) -> None:
        while len(self._open) > kept:
            os.close(self._open.pop()[1])


def copy(source: Any, file: int, length: int) -> None:
    """Write so many bytes of the archive to a file."""
    while length:
        piece = source.read(min(COPY_BYTES, length))
        if not piece:
            raise Damaged("it ends in the middle of a file")
        length -= len(piece)
        rest = memoryview(piece)
        while rest:
            rest = rest[os.write(file, rest) :]


def parts_of(path: str) -> tuple[str, ...]:
    """The steps of a relative path; Damaged when it is not one."""
    parts = tuple(path.split("/"))
    if any(part in ("", ".", "..") for part in parts):
        raise Damaged(f"{path!r} is no path of an archive")
    return parts
