"""The file tools, inside: read, write and edit.

They run as the agent's own user inside its own namespaces: no path can lead anywhere that a shell
command of the agent could not go to.
"""

from __future__ import annotations

import base64
import errno
import os
import stat

TYPE_CHECKING = False  # importing typing would cost a tenth of a sandbox's start
if TYPE_CHECKING:
    from typing import Any

HOME = "/workspace"
TEXT_BYTES_MAX = 256 << 10
IMAGE_BYTES_MAX = 5 * (1 << 20) // 4 * 3
"""5 MiB once base64-encoded: what model APIs take of one image."""
PDF_BYTES_MAX = 20 << 20
MEDIA = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".pdf": "application/pdf",
}
REASONS = {
    errno.ENOENT: "no such file or directory",
    errno.ENOTDIR: "not a directory",
    errno.EEXIST: "a part of the path is not a directory",
    errno.EISDIR: "is a directory",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EROFS: "the file system is read-only here",
    errno.ELOOP: "too many levels of symbolic links",
    errno.ENOSPC: "no space left",
    errno.EFBIG: "file too large",
    errno.ENAMETOOLONG: "the name is too long",
}


class ToolError(Exception):
    """What the model is told when a tool cannot do what it was asked."""


def reason(error: OSError) -> str:
    """Why the file system refused, in words that are the same everywhere."""
    return REASONS.get(error.errno or 0) or (error.strerror or "input/output error").lower()


def absolute(path: str) -> str:
    """The path, relative ones taken from the working directory."""
    if not path:
        raise ToolError("the path is empty")
    if "\0" in path:
        raise ToolError("the path contains a NUL character")
    return os.path.join(HOME, path)


def read(given: dict[str, Any]) -> list[dict[str, Any]]:
    """A text file whole or in part, or an image or PDF as a block."""
    path, shown = absolute(given["file_path"]), given["file_path"]
    lines = given.get("view_range")
    try:
        with _opened(path) as file:
            size = _regular(file.fileno(), "read", shown)
            media = MEDIA.get(os.path.splitext(path)[1].lower())
            if media:
                return [_media_block(file, size, media, lines, shown)]
            if lines:
                return [_text(_range(file, lines, shown))]
            if size > TEXT_BYTES_MAX:
                raise ToolError(
                    f"read: {shown} has {size} bytes, more than the {TEXT_BYTES_MAX} that can be read at"
                    " once. Give view_range to read some of its lines, for example [1, 500]."
                )
            return [_text(file.read(TEXT_BYTES_MAX + 1).decode("utf-8"))]
    except UnicodeDecodeError:
        raise ToolError(
            f"read: {shown}: not UTF-8 text (of binary files only images and PDFs can be read)"
        ) from None
    except OSError as error:
        raise ToolError(f"read: {shown}: {reason(error)}") from None


def write(given: dict[str, Any]) -> list[dict[str, Any]]:
    """A file's whole content, its folders made where missing."""
    path, shown = absolute(given["file_path"]), given["file_path"]
    data = _encoded(given["content"], "write", "content")
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        _store(path, data, "write", shown)
    except OSError as error:
        raise ToolError(f"write: {shown}: {reason(error)}") from None
    return [_text(f"wrote {len(data)} bytes to {shown}")]


def edit(given: dict[str, Any]) -> list[dict[str, Any]]:
    """One passage of a text file replaced, or each place where it occurs."""
    path, shown = absolute(given["file_path"]), given["file_path"]
    old, new, everywhere = given["old_string"], given["new_string"], bool(given.get("replace_all"))
    if not old:
        raise ToolError("edit: old_string is empty; use write to create a file")
    try:
        with _opened(path) as file:
            size = _regular(file.fileno(), "edit", shown)
            if size > TEXT_BYTES_MAX:
                raise ToolError(
                    f"edit: {shown} has {size} bytes, more than the {TEXT_BYTES_MAX} that edit can"
                    " hold. Use bash (sed, python3) for it."
                )
            text = file.read(TEXT_BYTES_MAX + 1).decode("utf-8")
        count = text.count(old)
        if count == 0:
            raise ToolError(f"edit: old_string not found in {shown}")
        if count > 1 and not everywhere:
            raise ToolError(
                f"edit: old_string occurs {count} times in {shown}; it must be unique, or set replace_all"
            )
        changed = text.replace(old, new, -1 if everywhere else 1)
        _store(path, _encoded(changed, "edit", "new_string"), "edit", shown)
    except UnicodeDecodeError:
        raise ToolError(f"edit: {shown}: not UTF-8 text") from None
    except OSError as error:
        raise ToolError(f"edit: {shown}: {reason(error)}") from None
    return [_text(f"edited {shown} ({count} replacement{'s' if count != 1 else ''})")]


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _opened(path: str) -> Any:
    # not blocking: opening a named pipe must not wait for its other end
    return open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC), "rb")


def _regular(descriptor: int, tool: str, shown: str) -> int:
    status = os.fstat(descriptor)
    if stat.S_ISDIR(status.st_mode):
        raise ToolError(f"{tool}: {shown}: is a directory")
    if not stat.S_ISREG(status.st_mode):
        raise ToolError(f"{tool}: {shown}: not a regular file")
    return status.st_size


def _store(path: str, data: bytes, tool: str, shown: str) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o666)
    try:
        _regular(descriptor, tool, shown)
        os.ftruncate(descriptor, 0)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    finally:
        os.close(descriptor)


def _encoded(text: str, tool: str, field: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise ToolError(f"{tool}: {field} is not valid Unicode text") from None


def _media_block(file: Any, size: int, media: str, lines: Any, shown: str) -> dict[str, Any]:
    if lines:
        raise ToolError("read: view_range does not go with images and PDFs")
    pdf = media == "application/pdf"
    limit = PDF_BYTES_MAX if pdf else IMAGE_BYTES_MAX
    if size > limit:
        kind = "a PDF" if pdf else "an image"
        raise ToolError(f"read: {shown} has {size} bytes, more than the {limit} allowed for {kind}")
    data = base64.b64encode(file.read(limit)).decode("ascii")
    return {
        "type": "document" if pdf else "image",
        "source": {"type": "base64", "media_type": media, "data": data},
    }


def _range(file: Any, lines: list[int], shown: str) -> str:
    first, last = max(1, lines[0]), lines[1]
    kept, size = [], 0
    for number, line in enumerate(file, 1):
        if 0 < last < number:
            break
        if number < first:
            continue
        size += len(line)
        if size > TEXT_BYTES_MAX:
            raise ToolError(
                f"read: lines {first} to {number} of {shown} alone have more than {TEXT_BYTES_MAX}"
                " bytes; ask for fewer lines"
            )
        kept.append(line)
    text = b"".join(kept).decode("utf-8")
    # the end of the last line asked for is not part of it, the end of the file's last line is
    return text[:-1] if last > 0 and len(kept) == last - first + 1 and text.endswith("\n") else text
