"""Whether a model request is one that the Messages API would take.

Says everything that is wrong with a request, in sentences. Knows the shape only; that thinking
comes back unchanged is checked by `Script`, which knows what it gave.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from agentstead.providers.provider import ModelRequest

THINKING = ("thinking", "redacted_thinking")
ASSISTANT_BLOCKS = ("text", "tool_use", *THINKING)
TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
"""Claude's limit; a tool of an MCP server keeps to 64, as other providers want."""
TOOLS_MAX = 256
USER_BLOCKS = ("text", "image", "document", "search_result", "tool_result")


def request_faults(request: ModelRequest) -> list[str]:
    """What is wrong with a request; empty when nothing is."""
    return [
        *_frame_faults(request),
        *_order_faults(request.messages),
        *_block_faults(request),
        *_pairing_faults(request.messages),
    ]


def _frame_faults(request: ModelRequest) -> Iterator[str]:
    if request.max_tokens < 1:
        yield "max_tokens is below 1"
    for index, block in enumerate(request.system):
        if block.get("type") != "text" or not str(block.get("text", "")).strip():
            yield f"system.{index} is not a text with words"
    names = [str(tool.get("name", "")) for tool in request.tools]
    if len(names) != len(set(names)):
        yield f"tools with the same name: {sorted(names)}"
    for name, tool in zip(names, request.tools, strict=True):
        schema = tool.get("input_schema")
        if not TOOL_NAME.fullmatch(name):
            yield f"tool {name!r} has a name that providers refuse"
        if not isinstance(schema, Mapping) or schema.get("type") != "object":
            yield f"tool {name!r} has no object schema"
    if not names and any(
        block.get("type") == "tool_use" for block in _all_blocks(request) if block
    ):
        yield "tools were used and none is defined"
    if len(names) > TOOLS_MAX:
        yield f"{len(names)} tools; {TOOLS_MAX} are allowed"


def _order_faults(messages: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not messages:
        yield "no messages"
        return
    if messages[0]["role"] != "user":
        yield "the first message is not the user's"
    if messages[-1]["role"] != "user":
        yield "the last message is not the user's"
    for index, (one, other) in enumerate(pairwise(messages)):
        if one["role"] == other["role"]:
            yield f"messages {index} and {index + 1} are both of the {one['role']}"


def _block_faults(request: ModelRequest) -> Iterator[str]:
    for index, message in enumerate(request.messages):
        content = message["content"]
        if isinstance(content, str) or not content:
            yield f"messages.{index} has no blocks"
            continue
        allowed = USER_BLOCKS if message["role"] == "user" else ASSISTANT_BLOCKS
        for block in content:
            where = f"messages.{index} ({block.get('type')})"
            if block.get("type") not in allowed:
                yield f"{where} is no block of the {message['role']}"
            yield from _empty(where, block)
    marks = sum(1 for block in _all_blocks(request) if "cache_control" in block)
    if marks > 4:
        yield f"{marks} cache marks; 4 are allowed"


def _empty(where: str, block: Mapping[str, Any]) -> Iterator[str]:
    kind = block.get("type")
    if kind == "text" and not str(block.get("text", "")).strip():
        yield f"{where} has no words"
    if kind == "tool_use" and not isinstance(block.get("input"), Mapping):
        yield f"{where} has no object as input"
    if kind == "tool_result":
        inner = block.get("content", ())
        for each in inner if not isinstance(inner, str) else ():
            yield from _empty(f"{where} {block.get('tool_use_id')}", each)


def _all_blocks(request: ModelRequest) -> Iterator[Mapping[str, Any]]:
    yield from request.system
    yield from request.tools
    for message in request.messages:
        if not isinstance(message["content"], str):
            yield from message["content"]


def _pairing_faults(messages: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Every tool use is answered in the very next message, before anything else in it."""
    owed: list[str] = []
    ever: set[str] = set()
    for index, message in enumerate(messages):
        results, others_first = _results(message)
        if sorted(results) != sorted(owed):
            yield f"messages.{index}: results of {sorted(results)}, owed {sorted(owed)}"
        if others_first:
            yield f"messages.{index}: a result comes after other content"
        uses = [block["id"] for block in message["content"] if block.get("type") == "tool_use"]
        if len(set(uses)) != len(uses) or ever.intersection(uses):
            yield f"messages.{index}: a tool use id is used again in {uses}"
        ever.update(uses)
        owed = uses
    if owed:
        yield f"tool uses without a result: {owed}"


def _results(message: Mapping[str, Any]) -> tuple[list[str], bool]:
    results, others, misplaced = [], False, False
    for block in message["content"]:
        if block.get("type") == "tool_result":
            results.append(block["tool_use_id"])
            misplaced = misplaced or others
        else:
            others = True
    return results, misplaced
