"""A request in the shape of the Messages API, rewritten for Chat Completions.

Thinking is left out: it belongs to the model that thought it. What a chat message cannot carry is
replaced by a sentence that says so, never dropped in silence.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from agentstead.providers.provider import ModelRequest

Blocks = Sequence[Mapping[str, Any]]
Content = list[dict[str, Any]]


def messages(request: ModelRequest, *, images: bool) -> list[dict[str, Any]]:
    """The whole conversation as chat messages."""
    found: list[dict[str, Any]] = []
    system = "\n\n".join(str(block["text"]) for block in request.system)
    if system:
        found.append({"role": "system", "content": system})
    for message in request.messages:
        blocks = as_blocks(message["content"])
        match message["role"]:
            case "assistant":
                found += said(blocks)
            case "system":
                text = "\n\n".join(str(b["text"]) for b in blocks if b.get("type") == "text")
                found.append({"role": "system", "content": text})
            case _:
                found += heard(blocks, images=images)
    return found


def as_blocks(content: object) -> Blocks:
    """A message's content as a list of blocks."""
    if isinstance(content, str):
        return ({"type": "text", "text": content},)
    assert isinstance(content, Sequence)
    return content


def said(blocks: Blocks) -> list[dict[str, Any]]:
    """What the model said: its text and its calls in one message."""
    text = "\n\n".join(b["text"] for b in blocks if b["type"] == "text" and b["text"])
    calls = [
        {
            "id": block["id"],
            "type": "function",
            "function": {
                "name": block["name"],
                "arguments": json.dumps(block["input"], ensure_ascii=False),
            },
        }
        for block in blocks
        if block["type"] == "tool_use"
    ]
    if not text and not calls:
        return []
    message: dict[str, Any] = {"role": "assistant", "content": text or None}
    if calls:
        message["tool_calls"] = calls
    return [message]


def heard(blocks: Blocks, *, images: bool) -> list[dict[str, Any]]:
    """What the model was told: results first, each its own message, then the user's words.

    A tool message holds text only, so images of a result follow in a user message that names it.
    """
    results: list[dict[str, Any]] = []
    told: Content = []
    for block in blocks:
        if block["type"] != "tool_result":
            told += part(block, images=images)
            continue
        inner: Content = []
        for piece in as_blocks(block.get("content") or ()):
            inner += part(piece, images=images)
        text = "\n\n".join(p["text"] for p in inner if p["type"] == "text")
        pictures = [p for p in inner if p["type"] == "image_url"]
        if pictures:
            note = f"The images of the tool result {block['tool_use_id']} follow."
            text = f"{text}\n\n[{note}]" if text else f"[{note}]"
            told += [words(f"[Images of the tool result {block['tool_use_id']}:]"), *pictures]
        if block.get("is_error"):
            text = f"Error: {text}"
        results.append({"role": "tool", "tool_call_id": block["tool_use_id"], "content": text})
    if told:
        results.append({"role": "user", "content": plain(told)})
    return results


def plain(content: Content) -> str | Content:
    """Text alone as one string, which every server understands."""
    if all(part["type"] == "text" for part in content):
        return "\n\n".join(part["text"] for part in content)
    return content


def words(text: str) -> dict[str, Any]:
    """A text part."""
    return {"type": "text", "text": text}


def part(block: Mapping[str, Any], *, images: bool) -> Content:
    """One block as parts of a chat message."""
    match block["type"]:
        case "text":
            return [words(block["text"])] if block["text"] else []
        case "image":
            if not images:
                return [words("[An image, which this model cannot see.]")]
            return [{"type": "image_url", "image_url": {"url": image_url(block["source"])}}]
        case "document":
            return document(block, images=images)
        case "search_result":
            text = "\n".join(str(piece.get("text", "")) for piece in block.get("content", ()))
            return [words(f"{block.get('title')} ({block.get('source')})\n{text}")]
        case "thinking" | "redacted_thinking":
            return []
        case kind:
            return [words(f"[A {kind} block, which this model cannot read.]")]


def image_url(source: Mapping[str, Any]) -> str:
    """An image's address; its bytes as a data URL."""
    if source["type"] == "url":
        return str(source["url"])
    return f"data:{source['media_type']};base64,{source['data']}"


def document(block: Mapping[str, Any], *, images: bool) -> Content:
    """A document's text where it has one."""
    source = block["source"]
    title = block.get("title") or "without a title"
    head = words(f"[Document: {title}]")
    match source["type"]:
        case "text":
            return [head, words(source["data"])]
        case "content":
            inner: Content = []
            for piece in as_blocks(source["content"]):
                inner += part(piece, images=images)
            return [head, *inner]
        case "base64" if str(source.get("media_type", "")).startswith("text/"):
            return [head, words(base64.b64decode(source["data"]).decode("utf-8", "replace"))]
        case _:
            kind = source.get("media_type") or source["type"]
            return [words(f"[Document: {title} ({kind}), which this model cannot read.]")]


def tools(request: ModelRequest) -> list[dict[str, Any]]:
    """The tools as functions."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool["name"],
                "description": tool.get("description", ""),
                "parameters": tool["input_schema"],
            },
        }
        for tool in request.tools
    ]
