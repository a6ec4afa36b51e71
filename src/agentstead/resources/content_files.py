"""Files that the content of messages names: whether they exist and can be shown to a model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agentstead.api.router import Call
from agentstead.errors import Invalid
from agentstead.resources.admission import Sent
from agentstead.store import files as store
from agentstead.store.table import Row
from agentstead.wire.content import DocumentBlock, FileSource
from agentstead.wire.file import IMAGES, shown_as

SHOWN_BYTES_MAX = 20 << 20
"""What a model is sent of one file; larger ones belong into the sandbox."""


@dataclass(frozen=True, slots=True)
class Named:
    """A file that a block names."""

    file_id: str
    document: bool
    path: str


def named(events: Sequence[Sent]) -> Iterator[Named]:
    """The files that these events name."""
    for sent in events:
        for place, block in enumerate(getattr(sent.param, "content", None) or ()):
            source = getattr(block, "source", None)
            if isinstance(source, FileSource):
                path = f"{sent.path}.content.{place}.source.file_id"
                yield Named(source.file_id, isinstance(block, DocumentBlock), path)


async def check_files(call: Call, events: Sequence[Sent]) -> None:
    """Invalid naming the first block whose file is not there or cannot be shown."""
    found = list(named(events))
    if not found:
        return
    ids = sorted({one.file_id for one in found})
    async with call.services.database.transaction() as tx:
        rows = await store.originals(tx, call.workspace_id, ids)
    for one in found:
        if one.file_id not in rows:
            raise Invalid(f'{one.path}: There is no file "{one.file_id}".')
        check_shown(one, rows[one.file_id])


def check_shown(one: Named, row: Row) -> None:
    """Refuse what no model takes."""
    kind, size = row["mime_type"], row["size_bytes"]
    if one.document and shown_as(kind) not in ("pdf", "text"):
        raise Invalid(f"{one.path}: A document is a PDF or text; this file is {kind}.")
    if not one.document and shown_as(kind) != "image":
        raise Invalid(f"{one.path}: An image is one of {', '.join(IMAGES)}; this file is {kind}.")
    if not size:
        raise Invalid(f"{one.path}: The file is empty.")
    if size > SHOWN_BYTES_MAX:
        raise Invalid(
            f"{one.path}: The file has {size} bytes; at most {SHOWN_BYTES_MAX} can be shown to a "
            "model. Mount it as a resource of the session instead."
        )
