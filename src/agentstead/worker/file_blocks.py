"""Blocks that name an uploaded file, turned into what a model can be shown.

Promises: a request that names files holds their content, or words in the place of what is gone or
would make it too large; whatever happens to a file, its conversation goes on.
"""

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agentstead.errors import StoreFault
from agentstead.prompt.context import Conversation, names_file
from agentstead.wire import file
from agentstead.worker.world import Content, SessionFiles

SHOWN_BYTES_MAX = 20 << 20
"""Of all files in one request; providers take 32 MB, and base64 adds a third."""

Block = Mapping[str, Any]


async def with_content(
    files: SessionFiles, session_id: str, messages: Sequence[Mapping[str, Any]]
) -> Sequence[Mapping[str, Any]]:
    """The messages with the content of the files that they name."""
    if isinstance(messages, Conversation) and not messages.files:
        return messages
    named = [block["source"]["file_id"] for message in messages for block in naming(message)]
    if not named:
        return messages
    known = dict(await files.contents(session_id, sorted(set(named))))
    shown: dict[str, Block] = {}
    left = SHOWN_BYTES_MAX
    for file_id in dict.fromkeys(reversed(named)):  # what was said last matters most
        content = known.get(file_id)
        if content is not None and content.size_bytes <= left:
            left -= content.size_bytes
            source = await source_of(content)
            if source is None:
                del known[file_id]
            else:
                shown[file_id] = source
    return [
        {**message, "content": [filled(block, known, shown) for block in message["content"]]}
        for message in messages
    ]


def naming(message: Mapping[str, Any]) -> Iterator[Block]:
    """The blocks of a message that name a file, those within tool results too."""
    for block in message["content"]:
        if block["type"] == "tool_result":
            yield from naming(block)
        elif names_file(block):
            yield block


def filled(block: Block, known: Mapping[str, Content], shown: Mapping[str, Block]) -> Block:
    """A block with its content, or words."""
    if block["type"] == "tool_result":
        return {**block, "content": [filled(one, known, shown) for one in block["content"]]}
    if not names_file(block):
        return block
    file_id = block["source"]["file_id"]
    source = shown.get(file_id)
    if source is not None:
        return {**block, "source": source}
    kept = {"cache_control": block["cache_control"]} if "cache_control" in block else {}
    return {"type": "text", "text": missing(file_id, known.get(file_id)), **kept}


def missing(file_id: str, content: Content | None) -> str:
    """What is said instead of a file."""
    if content is None:
        return f"[The file {file_id} was shown here; it has been deleted or has expired.]"
    return (
        f'[The file "{content.filename}" ({content.size_bytes} bytes) is not shown here: the files of '
        "this conversation are too large together.]"
    )


async def source_of(content: Content) -> Block | None:
    """The source of a block; None when its body is gone."""
    try:
        body = b"".join([piece async for piece in content.read()])
    except StoreFault as fault:
        if fault.retryable:
            raise
        return None
    if file.shown_as(content.mime_type) == "text":
        text = body.decode("utf-8", "replace").replace("\x00", "\ufffd")
        return {
            "type": "text",
            "media_type": "text/plain",
            "data": text if text.strip() else "(empty)",
        }
    data = base64.b64encode(body).decode()
    return {"type": "base64", "media_type": content.mime_type, "data": data}
