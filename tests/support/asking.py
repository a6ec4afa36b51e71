"""Short ways to ask a provider in tests."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from agentstead.providers.provider import Done, ModelRequest, Part, TextDelta, TextStart


class Streams(Protocol):
    def stream(self, request: ModelRequest) -> AsyncIterator[Part]: ...


def said(words: str) -> dict[str, Any]:
    """A message of the user."""
    return {"role": "user", "content": [{"type": "text", "text": words}]}


def answered(*blocks: Mapping[str, Any]) -> dict[str, Any]:
    """A message of the model."""
    return {"role": "assistant", "content": list(blocks)}


def result(call_id: str, words: str, *, is_error: bool = False) -> dict[str, Any]:
    """A tool result block."""
    content = [{"type": "text", "text": words}]
    return {
        "type": "tool_result",
        "tool_use_id": call_id,
        "content": content,
        "is_error": is_error,
    }


def told(*blocks: Mapping[str, Any]) -> dict[str, Any]:
    """A message of the user made of blocks."""
    return {"role": "user", "content": list(blocks)}


BASH = {
    "name": "bash",
    "description": "Run a command.",
    "input_schema": {"type": "object", "properties": {"command": {"type": "string"}}},
}


def request(
    *messages: Mapping[str, Any],
    model: str = "test-model",
    system: str = "Be brief.",
    tools: Sequence[Mapping[str, Any]] = (BASH,),
    **more: Any,
) -> ModelRequest:
    """A request with one tool."""
    blocks = [{"type": "text", "text": system, "cache_control": {"type": "ephemeral"}}]
    given: dict[str, Any] = {"max_tokens": 1000, **more}
    return ModelRequest(
        model=model,
        system=blocks if system else [],
        messages=messages or (said("hello"),),
        tools=tools,
        **given,
    )


@dataclass
class Heard:
    """Everything a stream gave."""

    parts: list[Part] = field(default_factory=list)

    @property
    def done(self) -> Done:
        last = self.parts[-1]
        assert isinstance(last, Done)
        return last

    @property
    def texts(self) -> list[str]:
        """The text blocks as their deltas make them; asserts that their indices are contiguous."""
        found: list[str] = []
        for part in self.parts:
            if isinstance(part, TextStart):
                assert part.index == len(found)
                found.append("")
            if isinstance(part, TextDelta):
                assert part.index == len(found) - 1
                assert part.text
                found[part.index] += part.text
        return found

    @property
    def calls(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Id, name and input of the calls."""
        blocks = [block for block in self.done.content if block["type"] == "tool_use"]
        return [(block["id"], block["name"], block["input"]) for block in blocks]


async def hear(provider: Streams, asked: ModelRequest | None = None) -> Heard:
    """Ask and listen to the end."""
    heard = Heard()
    async for part in provider.stream(asked or request()):
        heard.parts.append(part)
    return heard
