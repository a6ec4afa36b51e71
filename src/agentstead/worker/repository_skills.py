"""The skills that a repository brings along: `.claude/skills/<name>/SKILL.md` at its root.

What is read belongs to nobody we trust: no link is followed, and nothing is read that is too large.
"""

import asyncio
import os
import stat
from pathlib import Path

from agentstead.errors import Invalid
from agentstead.resources.skills.bundle import front_matter

FOLDER = (".claude", "skills")
MANIFEST = "SKILL.md"
SKILLS_MAX = 50
"""Of one repository."""
MANIFEST_BYTES_MAX = 64 << 10
NAME_MAX, DESCRIPTION_MAX = 64, 1024
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


async def find(tree: Path, place: str) -> list[dict[str, str]]:
    """Name, description and folder of each, in the order of their names; `place`: where `tree` will lie."""
    return await asyncio.to_thread(found, tree, place)


def found(tree: Path, place: str) -> list[dict[str, str]]:
    """The same, on this thread."""
    skills: list[dict[str, str]] = []
    folder = opened(os.open(tree, DIRECTORY), FOLDER)
    if folder is None:
        return skills
    try:
        for name in sorted(entry.name for entry in os.scandir(folder)):
            if len(skills) == SKILLS_MAX:
                break
            manifest = read(folder, name)
            if manifest is not None and (said := told(manifest)):
                where = "/".join((place, *FOLDER, name))
                skills.append({"name": name, "description": said, "folder": where})
    finally:
        os.close(folder)
    return skills


def opened(folder: int, names: tuple[str, ...]) -> int | None:
    """The folder below an open one, which is closed; None when there is none."""
    for name in names:
        try:
            inner = os.open(name, DIRECTORY, dir_fd=folder)
        except OSError:
            os.close(folder)
            return None
        os.close(folder)
        folder = inner
    return folder


def read(folder: int, name: str) -> bytes | None:
    """A skill's manifest; None when there is none that can be read."""
    if len(name) > NAME_MAX or not name.isprintable():
        return None
    place = opened(os.dup(folder), (name,))
    if place is None:
        return None
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        file = os.open(MANIFEST, flags, dir_fd=place)
    except OSError:
        return None
    finally:
        os.close(place)
    with os.fdopen(file, "rb") as stream:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode) or status.st_size > MANIFEST_BYTES_MAX:
            return None
        return stream.read(MANIFEST_BYTES_MAX)


def told(manifest: bytes) -> str | None:
    """The description that a manifest gives, on one line."""
    try:
        said = front_matter(manifest).get("description")
    except Invalid:
        return None
    if not isinstance(said, str) or not said.strip():
        return None
    return " ".join(said.split())[:DESCRIPTION_MAX]
