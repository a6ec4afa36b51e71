"""A message put together from the events of the Messages API's stream."""

import json
from typing import Any

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

STOP_REASONS = {
    "end_turn": "end_turn",
    "stop_sequence": "end_turn",
    "tool_use": "tool_use",
    "max_tokens": "max_tokens",
    "refusal": "refusal",
    "model_context_window_exceeded": "context_window",
}


class Block:
    """One content block in the making."""

    def __init__(self, kind: str, start: Any) -> None:
        self.kind = kind
        self.start = start
        self.text: list[str] = []
        self.signature = getattr(start, "signature", None) or ""
        self.ended = False

    def finished(self, *, whole: bool) -> dict[str, Any] | None:
        """The block as the contract has it; None for empty text and for kinds we never ask for."""
        text = "".join(self.text)
        match self.kind:
            case "text":
                return {"type": "text", "text": text} if text else None
            case "thinking":
                return {"type": "thinking", "thinking": text, "signature": self.signature}
            case "redacted_thinking":
                return {"type": "redacted_thinking", "data": self.start.data}
            case "tool_use":
                if not text and self.start.input:
                    text = json.dumps(self.start.input)
                read = arguments(text, self.start.name, ended=whole)
                return {
                    "type": "tool_use",
                    "id": self.start.id,
                    "name": self.start.name,
                    "input": read,
                }
            case _:
                return None


class Assembly:
    """The message so far, put together from the stream's events."""

    def __init__(self) -> None:
        self.model = ""
        self.blocks: dict[int, Block] = {}
        self.texts: dict[int, int] = {}
        self.counts: dict[str, int] = {}
        self.stop_reason: str | None = None
        self.stop_details: dict[str, Any] | None = None
        self.stopped = False

    def take(self, event: Any) -> tuple[Part, ...]:
        """Take in one event; the parts it makes visible."""
        match event.type:
            case "content_block_delta":
                return self._block_delta(event)
            case "content_block_start":
                return self._block_start(event)
            case "content_block_stop":
                self.blocks[event.index].ended = True
            case "message_start":
                self._message_start(event)
            case "message_delta":
                self._message_delta(event)
            case "message_stop":
                self.stopped = True
            case _:
                pass
        return ()

    def _message_start(self, event: Any) -> None:
        self.model = event.message.model
        self._count(event.message.usage)
        split = event.message.usage.cache_creation
        if split is not None:
            self.counts["cache_creation_5m_input_tokens"] = split.ephemeral_5m_input_tokens or 0
            self.counts["cache_creation_1h_input_tokens"] = split.ephemeral_1h_input_tokens or 0

    def _block_start(self, event: Any) -> tuple[Part, ...]:
        start = event.content_block
        block = self.blocks[event.index] = Block(start.type, start)
        match start.type:
            case "text":
                return self._say(event.index, start.text)
            case "thinking":
                block.text.append(start.thinking)
                return (ThinkingStart(),)
            case "redacted_thinking":
                return (ThinkingStart(),)
            case _:
                return ()

    def _block_delta(self, event: Any) -> tuple[Part, ...]:
        block, delta = self.blocks[event.index], event.delta
        match delta.type:
            case "text_delta":
                return self._say(event.index, delta.text)
            case "thinking_delta":
                block.text.append(delta.thinking)
            case "signature_delta":
                block.signature += delta.signature
            case "input_json_delta":
                block.text.append(delta.partial_json)
            case _:
                pass
        return ()

    def _say(self, index: int, text: str) -> tuple[Part, ...]:
        """Text of a block; the block begins with its first character, an empty one never does."""
        if not text:
            return ()
        self.blocks[index].text.append(text)
        if index in self.texts:
            return (TextDelta(self.texts[index], text),)
        number = self.texts[index] = len(self.texts)
        return (TextStart(number), TextDelta(number, text))

    def _message_delta(self, event: Any) -> None:
        self._count(event.usage)
        if event.delta.stop_reason is not None:
            self.stop_reason = event.delta.stop_reason
        details = event.delta.stop_details
        if details is not None:
            self.stop_details = {
                "type": "refusal",
                "category": details.category,
                "explanation": details.explanation,
            }

    def _count(self, usage: Any) -> None:
        """The counts in a stream are cumulative: the last one said is the total."""
        for name in (
            "input_tokens",
            "output_tokens",
            "cache_creation_input_tokens",
            "cache_read_input_tokens",
        ):
            said = getattr(usage, name, None)
            if said is not None:
                self.counts[name] = said

    def done(self) -> Done:
        """The whole message; raises when the stream did not come to its end."""
        if not self.stopped or self.stop_reason is None:
            raise cut("the stream ended without its stop event")
        if self.stop_reason == "pause_turn":
            raise cut("the upstream paused in the middle of the turn")
        limited = self.stop_reason in {"max_tokens", "model_context_window_exceeded"}
        last = max(self.blocks, default=-1)
        content = []
        for index in sorted(self.blocks):
            block = self.blocks[index]
            # A call at the very end of an answer that hit its limit may lack its tail unseen.
            whole = block.ended and not (limited and index == last)
            finished = block.finished(whole=whole)
            if finished is not None:
                content.append(finished)
        usual = "tool_use" if any(b["type"] == "tool_use" for b in content) else "end_turn"
        refused = self.stop_reason == "refusal"
        nothing_said = {"type": "refusal", "category": None, "explanation": None}
        return Done(
            content=tuple(content),
            stop_reason=STOP_REASONS.get(self.stop_reason, usual),
            usage=Usage(**self.counts),
            model=self.model,
            stop_details=(self.stop_details or nothing_said) if refused else None,
        )
