"""What an MCP server answers, as content blocks of a tool result.

Promises: what comes out is text, images and documents that the wire and every provider take, within
limits; what cannot be shown is named in words, and what was cut says so. Takes the answer as plain
data, so it needs no library.
"""

import base64
import binascii
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agentstead.sandbox.sandbox import Outcome

Block = Mapping[str, Any]

IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")
PDF = "application/pdf"
BLOCKS_MAX = 100
MEDIA_CHARACTERS_MAX = 5 << 20
"""Of one image or document in base64: what providers take."""
MEDIA_TOTAL_MAX = 20 << 20
NEEDS_INPUT = (
    "The server asks its user for something before it goes on, which is not possible here; "
    "the call was not carried out."
)


def outcome(result: Mapping[str, Any], text_max: int) -> Outcome:
    """A tool result of the answer to `tools/call`; at most `text_max` characters of text."""
    if "content" not in result:
        return Outcome.text(NEEDS_INPUT, is_error=True)
    blocks = [block for item in result["content"] for block in of_item(item)]
    structured = result.get("structuredContent")
    if structured is not None and not any(block["type"] == "text" for block in blocks):
        blocks.append(words(json.dumps(structured, ensure_ascii=False)))
    kept = tuple(within(blocks, text_max))
    return Outcome(kept, is_error=bool(result.get("isError")))


def of_item(item: Mapping[str, Any]) -> Iterator[Block]:
    """The blocks of one item of an answer."""
    match item["type"]:
        case "text":
            if item["text"].strip():
                yield words(item["text"])
        case "image" | "audio":
            yield media(item["data"], item.get("mimeType") or "", f"{item['type']} without a name")
        case "resource_link":
            about = " · ".join(
                str(item[name]) for name in ("title", "description", "mimeType") if item.get(name)
            )
            yield words(f"[Resource {item['name']}: {item['uri']}{f' ({about})' if about else ''}]")
        case "resource":
            yield from resource(item["resource"])
        case kind:
            yield words(f"[{str(kind)[:40]} content, which cannot be shown.]")


def resource(found: Mapping[str, Any]) -> Iterator[Block]:
    """A resource that came whole: a document, or an image."""
    if "blob" in found:
        yield media(found["blob"], found.get("mimeType") or "", found["uri"])
    elif found["text"].strip():
        source = {"type": "text", "media_type": "text/plain", "data": found["text"]}
        yield {"type": "document", "source": source, "title": found["uri"]}


def media(data: str, media_type: str, name: str) -> Block:
    """An image or a document; in words what models do not take."""
    media_type = media_type.partition(";")[0].strip().lower()
    kind = "image" if media_type in IMAGES else "document" if media_type == PDF else None
    size = len(data)
    if kind is None:
        return words(f"[{name}: {media_type or 'data of no type'}, which cannot be shown.]")
    if size > MEDIA_CHARACTERS_MAX:
        return words(f"[{name}: {media_type} of {size * 3 // 4} bytes, too large to be shown.]")
    try:
        usable = bool(base64.b64decode(data, validate=True))
    except (binascii.Error, ValueError):
        usable = False
    if not usable:
        return words(f"[{name}: {media_type} that cannot be read.]")
    block = {
        "type": kind,
        "source": {"type": "base64", "media_type": media_type, "data": data},
    }
    return {**block, "title": name} if kind == "document" else block


def within(blocks: Sequence[Block], text_max: int) -> Iterator[Block]:
    """As much of it as fits, and a word on the rest."""
    media_left = MEDIA_TOTAL_MAX
    for block in blocks[:BLOCKS_MAX]:
        text = text_of(block)
        if text is not None:
            if len(text) > text_max:
                yield words(f"{text[:text_max]}\n[Cut: {len(text) - text_max} more characters.]")
                return
            text_max -= len(text)
            yield block
        elif len(block["source"]["data"]) <= media_left:
            media_left -= len(block["source"]["data"])
            yield block
        else:
            yield words(f"[An {block['source']['media_type']} beyond the size of one result.]")
    if len(blocks) > BLOCKS_MAX:
        yield words(f"[Cut: {len(blocks) - BLOCKS_MAX} more pieces.]")


def text_of(block: Block) -> str | None:
    """The text of a block that is text."""
    if block["type"] == "text":
        return str(block["text"])
    source = block["source"]
    return str(source["data"]) if source["type"] == "text" else None


def words(text: str) -> Block:
    """A text block."""
    return {"type": "text", "text": text}
