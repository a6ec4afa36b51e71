"""Makes trees again from an archive, as whoever runs this.

Every step is taken by descriptor and follows nothing, so that no link of the archive leads out of
the trees. What one entry cannot have is noted and the rest is made; a full disk or a damaged
archive ends it. Only files that nobody uses are made: a mode counts from the beginning.
"""

import errno
import os
from collections.abc import Mapping

from agentstead.sandbox.archive.headers import FILE, FOLDER, LINK, PIPE, TWIN, Damaged, Header
from agentstead.sandbox.archive.members import Members, Source
from agentstead.sandbox.archive.walk import FOLDER as OPEN_FOLDER
from agentstead.sandbox.archive.walk import LeftOut

NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
FATAL = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)
OURS = 0o700
"""What we need of a folder to fill it."""


class Unpack:
    """One archive being unpacked into folders that are empty: name → descriptor."""

    def __init__(self, trees: Mapping[str, int]) -> None:
        self.trees = {os.fsencode(name): folder for name, folder in trees.items()}
        self.left_out = LeftOut()
        self.files = 0
        self._open: list[tuple[bytes, int]] = []
        """The folders from a tree down to where the latest entry lies."""
        self._where = b""
        """The path of the last of them."""
        self._folders: list[Header] = []
        """What is set last: before, it would hinder us or be changed again."""

    def read(self, source: Source) -> None:
        """All of it; raises Damaged, and OSError when the disk does not take it."""
        mask = os.umask(0)
        try:
            members = Members(source)
            for header in members:
                self._entry(members, header)
            for header in reversed(self._folders):
                self._finish(header)
        except (ValueError, ArithmeticError, MemoryError) as error:
            raise Damaged(str(error) or type(error).__name__) from error
        finally:
            os.umask(mask)
            self._leave(0)

    def _entry(self, members: Members, header: Header) -> None:
        folder, _, name = header.path.rpartition(b"/")
        if name in (b"", b".", b".."):
            raise Damaged(f"{header.path!r} is no path of an archive")
        if not folder and name not in self.trees:
            raise Damaged(f"{header.path!r} lies outside")
        try:
            if header.kind == FOLDER:
                if folder:
                    os.mkdir(name, header.mode | OURS, dir_fd=self._at(folder))
                self._folders.append(header)
            else:
                self._leaf(members, header, self._at(folder), name)
        except OSError as error:
            if error.errno in FATAL:
                raise
            self.left_out.add(header.path, error.strerror)

    def _leaf(self, members: Members, header: Header, folder: int, name: bytes) -> None:
        if header.kind == FILE:
            self.files += 1
            self._file(members, header, os.open(name, NEW_FILE, header.mode, dir_fd=folder))
        elif header.kind == LINK:
            os.symlink(header.target, name, dir_fd=folder)
            os.utime(name, (header.time, header.time), dir_fd=folder, follow_symlinks=False)
        elif header.kind == TWIN:
            self.files += 1
            self._twin(header.target, folder, name)
        elif header.kind == PIPE:
            os.mkfifo(name, header.mode, dir_fd=folder)
        else:
            raise Damaged(f"{header.path!r} is of no kind that is kept")

    def _twin(self, first: bytes, folder: int, name: bytes) -> None:
        # the way to the first name may take the place of the way to this one
        held = os.dup(folder)
        try:
            way, _, last = first.rpartition(b"/")
            if last in (b"", b".", b".."):
                raise Damaged(f"{first!r} is no path of an archive")
            source = self._at(way)
            os.link(last, name, src_dir_fd=source, dst_dir_fd=held, follow_symlinks=False)
        finally:
            os.close(held)

    def _file(self, members: Members, header: Header, file: int) -> None:
        try:
            at = 0
            for start, length in members.parts(header):
                if start != at:
                    os.lseek(file, start, os.SEEK_SET)
                for piece in members.content(length):
                    write(file, piece)
                at = start + length
            if header.sparse is not None:
                os.ftruncate(file, header.sparse)
            os.utime(file, (header.time, header.time))
        finally:
            os.close(file)

    def _finish(self, header: Header) -> None:
        try:
            folder = self._at(header.path)
            os.utime(folder, (header.time, header.time))
            if header.mode & OURS != OURS or header.path in self.trees:
                os.fchmod(folder, header.mode)
        except OSError as error:
            self.left_out.add(header.path, error.strerror)

    def _at(self, path: bytes) -> int:
        """The descriptor of a folder that was made, reached from the one before."""
        if path == self._where and self._open:
            return self._open[-1][1]
        parts = parts_of(path)
        if parts[0] not in self.trees:
            raise Damaged(f"{path!r} lies outside")
        same = 0
        for (name, _), part in zip(self._open, parts, strict=False):
            if name != part:
                break
            same += 1
        self._leave(same)
        for part in parts[same:]:
            if self._open:
                folder = os.open(part, OPEN_FOLDER, dir_fd=self._open[-1][1])
            else:
                folder = os.dup(self.trees[part])
            self._open.append((part, folder))
        self._where = path
        return self._open[-1][1]

    def _leave(self, kept: int) -> None:
        self._where = b""
        while len(self._open) > kept:
            os.close(self._open.pop()[1])


def write(file: int, piece: bytes | memoryview) -> None:
    """All of it."""
    while len(piece):
        piece = piece[os.write(file, piece) :]


def parts_of(path: bytes) -> list[bytes]:
    """The steps of a relative path; Damaged when it is not one."""
    parts = path.split(b"/")
    if any(part in (b"", b".", b"..") for part in parts):
        raise Damaged(f"{path!r} is no path of an archive")
    return parts
