"""A message put together from the chunks of a Chat Completions stream.

Five duties that no library does right, all here: a stream without a finish reason is an error; a
new id at the same index is a new call; arguments are read only at the end, and a length limit
inside them is an error; no arguments are `{}`; blocks are whole and in order even when the deltas
of two calls interleave.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from agentstead.errors import ProviderFault
from agentstead.providers.provider import (
    Done,
    Part,
    TextDelta,
    TextStart,
    ThinkingStart,
    Usage,
    arguments,
    cut,
)

CHARACTERS_PER_TOKEN = 4
"""For servers that report no usage."""


@dataclass(slots=True)
class Text:
    """A run of text."""

    number: int
    pieces: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Thought:
    """A run of reasoning; not shown and not sent back."""

    pieces: list[str] = field(default_factory=list)


@dataclass(slots=True)
class ToolCall:
    """A call in the making."""

    id: str
    tool: str = ""
    pieces: list[str] = field(default_factory=list)
    whole: Mapping[str, Any] | None = None
    """From servers that send the arguments as an object instead of text."""

    def complete(self) -> bool:
        """Whether its arguments already form an object, so that more would be another call's."""
        try:
            return isinstance(json.loads("".join(self.pieces)), dict)
        except ValueError:
            return False


class Assembly:
    """The message so far."""

    def __init__(
        self, *, model: str, prompt_characters: Callable[[], int], call_prefix: str
    ) -> None:
        self.model = model
        self.prompt_characters = prompt_characters
        self.call_prefix = call_prefix
        """For ids of calls that the server gave none; unique in the conversation."""
        self.blocks: list[Text | Thought | ToolCall] = []
        self.calls: dict[int, ToolCall] = {}
        self.touched: ToolCall | None = None
        """The call that the last delta belonged to."""
        self.finish_reason: str | None = None
        self.refusal: list[str] = []
        self.usage: Any = None

    def take(self, chunk: Any) -> Iterator[Part]:
        """Take in one chunk; the parts it makes visible."""
        self.model = chunk.model or self.model
        self.usage = getattr(chunk, "usage", None) or self.usage
        for choice in (chunk.choices or ())[:1]:
            delta = choice.delta
            if delta is not None:
                extra = delta.model_extra or {}
                yield from self._think(extra.get("reasoning_content") or extra.get("reasoning"))
                yield from self._say(delta.content)
                if delta.refusal:
                    self.refusal.append(delta.refusal)
                for call in delta.tool_calls or ():
                    self._call(call)
            self.finish_reason = choice.finish_reason or self.finish_reason

    def _think(self, text: object) -> Iterator[Part]:
        if not isinstance(text, str) or not text:
            return
        last = self.blocks[-1] if self.blocks else None
        if not isinstance(last, Thought):
            last = Thought()
            self.blocks.append(last)
            yield ThinkingStart()
        last.pieces.append(text)

    def _say(self, text: str | None) -> Iterator[Part]:
        if not text:
            return
        last = self.blocks[-1] if self.blocks else None
        if not isinstance(last, Text):
            last = Text(sum(isinstance(block, Text) for block in self.blocks))
            self.blocks.append(last)
            yield TextStart(last.number)
        self.touched = None
        last.pieces.append(text)
        yield TextDelta(last.number, text)

    def _call(self, delta: Any) -> None:
        index = delta.index or 0
        function = delta.function
        name = (function.name or "") if function is not None else ""
        given = function.arguments if function is not None else None
        call = self.calls.get(index)
        if call is None or self._is_another(call, delta.id, name):
            number = sum(isinstance(block, ToolCall) for block in self.blocks)
            call = ToolCall(delta.id or f"{self.call_prefix}_{number}")
            self.calls[index] = call
            self.blocks.append(call)
        self.touched = call
        if name and not call.tool:
            call.tool = name
        if isinstance(given, Mapping):
            call.whole = given
        elif given:
            call.pieces.append(given)

    def _is_another(self, call: ToolCall, new_id: str | None, name: str) -> bool:
        """Whether a delta at this index begins another call."""
        if new_id:
            return new_id != call.id
        return bool(name) and call.complete()

    def done(self) -> Done:
        """The whole message; raises when the stream did not come to its end."""
        if self.finish_reason is None:
            raise cut("the stream ended without a finish reason")
        if self.finish_reason == "error":
            raise ProviderFault(
                "The model's server ended the answer with an error.", kind="failed", retryable=True
            )
        content = tuple(self._finished(block) for block in self.blocks)
        stop_reason = self._stop_reason()
        details = None
        if stop_reason == "refusal":
            explanation = "".join(self.refusal) or None
            details = {"type": "refusal", "category": None, "explanation": explanation}
        return Done(content, stop_reason, self._usage(), self.model, details)

    def _finished(self, block: Text | Thought | ToolCall) -> dict[str, Any]:
        match block:
            case Text():
                return {"type": "text", "text": "".join(block.pieces)}
            case Thought():
                text = "".join(block.pieces)
                return {"type": "thinking", "thinking": text, "signature": ""}
            case ToolCall():
                ended = self.finish_reason != "length" or block is not self.touched
                read = block.whole
                if read is None:
                    read = arguments("".join(block.pieces), block.tool, ended=ended)
                return {"type": "tool_use", "id": block.id, "name": block.tool, "input": read}

    def _stop_reason(self) -> str:
        if self.refusal or self.finish_reason == "content_filter":
            return "refusal"
        if self.finish_reason == "length":
            return "max_tokens"
        return "tool_use" if self.calls else "end_turn"

    def _usage(self) -> Usage:
        """What the server counted, else an estimate from the characters."""
        if self.usage is None:
            answer = sum(len(piece) for block in self.blocks for piece in block.pieces)
            return Usage(
                input_tokens=self.prompt_characters() // CHARACTERS_PER_TOKEN,
                output_tokens=max(1, answer // CHARACTERS_PER_TOKEN),
            )
        prompt = self.usage.prompt_tokens or 0
        details = getattr(self.usage, "prompt_tokens_details", None)
        cached = min(prompt, (getattr(details, "cached_tokens", None) or 0) if details else 0)
        return Usage(
            input_tokens=prompt - cached,
            output_tokens=self.usage.completion_tokens or 0,
            cache_read_input_tokens=cached,
        )
