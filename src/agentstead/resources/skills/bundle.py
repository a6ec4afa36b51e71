"""The files of a skill: what an upload may hold, and the archive that is made of it.

Promises: every path stays inside, is spelled once, and is a plain file; a zip is unpacked no further
than its limit, whatever it claims; the same files always give the same archive, with one folder named
after the skill at its top.
"""

import io
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from agentstead.errors import Invalid, TooLarge

BYTES_MAX = 30_000_000
FILES_MAX = 1000
PATH_MAX = 1024
COMPONENT_MAX = 255
MANIFEST = "SKILL.md"
CLUTTER = re.compile(r"(^|/)(__MACOSX/|\.DS_Store$)")
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
NAME_MAX, DESCRIPTION_MAX = 64, 1024
RESERVED = ("anthropic", "claude")
TAG = re.compile(r"<[/!?A-Za-z][^>]*>")
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time a zip can hold, given to every file: when it was sent is not part of it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file."""

    path: str
    data: bytes
    executable: bool


@dataclass(frozen=True, slots=True)
class Bundle:
    """The files of a skill, paths relative to its folder."""

    name: str
    description: str
    entries: tuple[Entry, ...]

    def archive(self) -> bytes:
        """A zip of them, below one folder with the skill's name."""
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for entry in self.entries:
                info = zipfile.ZipInfo(f"{self.name}/{entry.path}", EPOCH)
                mode = 0o755 if entry.executable else 0o644
                info.create_system = 3  # Unix: only its attributes hold a mode
                info.external_attr = (stat.S_IFREG | mode) << 16
                info.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(info, entry.data)
        return target.getvalue()


def bundle(parts: Sequence[tuple[str | None, bytes]]) -> Bundle:
    """The skill in an upload: (file name as sent, content) per part. Invalid, TooLarge."""
    if not parts:
        raise Invalid(f"files: Required: the skill's files, among them {MANIFEST}.")
    if len(parts) == 1 and parts[0][1].startswith(b"PK\x03\x04"):
        found = list(unpacked(parts[0][1]))
    else:
        found = [Entry(checked(name or ""), data, data.startswith(b"#!")) for name, data in parts]
    found = [entry for entry in found if not CLUTTER.search(entry.path)]
    check_together(found)
    folder, entries = rooted(found)
    manifest = next(entry for entry in entries if entry.path == MANIFEST)
    said = front_matter(manifest.data)
    name = said.get("name", folder)
    if name is None:
        raise Invalid(f"files: {MANIFEST} needs a name in its front matter.")
    return Bundle(
        checked_name(name),
        checked_description(said.get("description")),
        tuple(sorted(entries, key=lambda entry: entry.path)),
    )


def unpacked(data: bytes) -> Iterator[Entry]:
    """The files of a zip."""
    left = BYTES_MAX
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir()]
            if len(infos) > FILES_MAX:
                raise Invalid(f"files: A skill has at most {FILES_MAX} files.")
            for info in infos:
                path = checked(info.filename)
                mode = info.external_attr >> 16
                if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                    raise Invalid(
                        f"files: {path} in the zip is a link or a device; only files are allowed."
                    )
                with archive.open(info) as file:
                    content = file.read(left + 1)
                left -= len(content)
                if left < 0:
                    raise too_large()
                yield Entry(path, content, bool(mode & 0o111) or content.startswith(b"#!"))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise Invalid(f"files: The zip cannot be read: {error}.") from None


def checked(path: str) -> str:
    """A relative path of plain components; Invalid."""
    parts = path.split("/")
    if (
        len(path) > PATH_MAX
        or "\\" in path
        or any(ord(char) < 32 or ord(char) == 127 for char in path)
        or any(part in ("", ".", "..") or len(part) > COMPONENT_MAX for part in parts)
    ):
        raise Invalid(
            f'files: "{path[:PATH_MAX]}" cannot be the path of a file: it must be relative, with /, without '
            "empty components, . and .., as the file name of its part."
        )
    return path


def check_together(entries: Sequence[Entry]) -> None:
    """Invalid when the files cannot lie side by side."""
    if len(entries) > FILES_MAX:
        raise Invalid(f"files: A skill has at most {FILES_MAX} files.")
    if sum(len(entry.data) for entry in entries) > BYTES_MAX:
        raise too_large()
    paths = {entry.path for entry in entries}
    if len(paths) < len(entries):
        raise Invalid("files: Two files have the same path.")
    for path in paths:
        folders = path.split("/")[:-1]
        for end in range(1, len(folders) + 1):
            if "/".join(folders[:end]) in paths:
                raise Invalid(f"files: {'/'.join(folders[:end])} is both a file and a folder.")


def rooted(entries: Sequence[Entry]) -> tuple[str | None, list[Entry]]:
    """The folder that all files share, if they do, and the files relative to the skill's root."""
    if any(entry.path == MANIFEST for entry in entries):
        return None, list(entries)
    tops = {entry.path.partition("/")[0] for entry in entries}
    if len(tops) == 1 and any(entry.path == f"{next(iter(tops))}/{MANIFEST}" for entry in entries):
        return next(iter(tops)), [
            Entry(entry.path.partition("/")[2], entry.data, entry.executable) for entry in entries
        ]
    raise Invalid(
        f"files: There is no {MANIFEST} at the root of the upload, nor at the top of one folder that holds "
        "everything."
    )


def front_matter(manifest: bytes) -> dict[str, Any]:
    """What a SKILL.md says of itself, between its first two lines of three dashes."""
    import yaml  # only uploads of skills need it

    try:
        text = manifest.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise Invalid(f"files: {MANIFEST} must be UTF-8.") from None
    found = re.match(r"---[ \t]*\n(.*?\n)?---[ \t]*(\n|$)", text, re.DOTALL)
    if found is None:
        raise Invalid(f"files: {MANIFEST} must begin with front matter between two lines ---.")
    try:
        said = yaml.safe_load(found.group(1) or "")
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise Invalid(f"files: The front matter of {MANIFEST} is not YAML: {error}.") from None
    if not isinstance(said, dict):
        raise Invalid(f"files: The front matter of {MANIFEST} must hold name and description.")
    return said


def checked_name(name: Any) -> str:
    """A skill's name; Invalid."""
    if not isinstance(name, str) or len(name) > NAME_MAX or not NAME.fullmatch(name):
        raise Invalid(
            f"files: The name in {MANIFEST} must have at most {NAME_MAX} lower-case letters, digits and "
            "hyphens between them."
        )
    for word in RESERVED:
        if word in name:
            raise Invalid(f'files: The name in {MANIFEST} must not contain "{word}".')
    return name


def checked_description(text: Any) -> str:
    """A skill's description; Invalid."""
    if not isinstance(text, str) or not 1 <= len(text.strip()) <= DESCRIPTION_MAX:
        raise Invalid(
            f"files: The description in {MANIFEST} must have 1 to {DESCRIPTION_MAX} characters."
        )
    if TAG.search(text) or "\x00" in text:
        raise Invalid(f"files: The description in {MANIFEST} must not contain XML tags.")
    return text.strip()


def too_large() -> TooLarge:
    """More than a skill may have."""
    return TooLarge(f"files: At most {BYTES_MAX} bytes are allowed, unpacked and together.")
