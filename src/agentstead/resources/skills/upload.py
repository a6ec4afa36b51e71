"""The form that holds a skill's files, and the stored version that comes of it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from agentstead.api.router import Call, Fields
from agentstead.api.uploads import Form
from agentstead.errors import Invalid
from agentstead.ids import BLOB, SKILL_VERSION
from agentstead.resources.skills.bundle import BYTES_MAX, Bundle, bundle, too_large
from agentstead.store import files
from agentstead.store.blobs import Body
from agentstead.store.table import Table, Write

skill_versions = Table(
    "skill_versions",
    "skill_version",
    columns="t.*, s.name",
    source="skill_versions t join skills s on s.id = t.skill_id",
)
FILES = ("files", "files[]")
FORM = Fields(
    {
        "files[]": {"type": "array", "items": {"type": "string", "format": "binary"}},
        "display_name": {"type": "string", "maxLength": 255},
    },
    "files",
    lambda _: 2 * BYTES_MAX,
)
NAMES = ("display_name", "display_title")
"""The second one is what older clients send."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A whole upload, its archive stored."""

    bundle: Bundle
    display_name: str | None
    blob_id: str
    body: Body

    async def add(self, write: Write, skill_id: str) -> str:
        """The rows of the new version; its id."""
        version_id = write.ids.new(SKILL_VERSION)
        latest = await write.tx.fetch_one(
            "select max(number) as number from skill_versions where skill_id = %s", (skill_id,)
        )
        before = (latest and latest["number"]) or 0
        await files.add_body(write, self.blob_id, self.body)
        values = {
            "id": version_id,
            "skill_id": skill_id,
            "description": self.bundle.description,
            "number": max(round(write.at * 1_000_000), before + 1),
            "blob_id": self.blob_id,
            "size_bytes": self.body.size_bytes,
        }
        await skill_versions.insert(write, values)
        return version_id


async def taken_in(call: Call, form: Form, *, named: bool) -> Upload:
    """Read the form and store the archive. When what follows fails, a sweep deletes it later."""
    parts: list[tuple[str | None, bytes]] = []
    display_name: str | None = None
    size = 0
    async for part in form:
        if part.field in FILES:
            data = bytearray()
            async for chunk in part.data():
                size += len(chunk)
                if size > BYTES_MAX:
                    raise too_large()
                data += chunk
            parts.append((part.file_name, bytes(data)))
        elif part.field in NAMES and named:
            display_name = checked_label(await part.text())
        else:
            known = "files[]" + (" and display_name" if named else "")
            raise Invalid(f"{part.field[:64]}: There is no such field; {known} can be sent.")
    found = await asyncio.to_thread(bundle, parts)
    archive = await asyncio.to_thread(found.archive)
    blob_id = call.services.ids.new(BLOB)
    body = await call.services.blobs.put(blob_id, once(archive), len(archive))
    return Upload(found, display_name, blob_id, body)


async def once(data: bytes) -> AsyncIterator[bytes]:
    """The whole at a time."""
    yield data


def checked_label(text: str) -> str | None:
    """What people see instead of the name; Invalid."""
    if len(text) > 255 or any(ord(char) < 32 or ord(char) == 127 for char in text):
        raise Invalid("display_name: Should have at most 255 characters, on one line.")
    return text.strip() or None


def legacy(call: Call) -> bool:
    """Whether the client speaks the older form of this API."""
    return "skills-2025-10-02" in call.betas
