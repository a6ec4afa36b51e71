"""The contract of a model provider.

A provider turns a `ModelRequest` in the shape of the Messages API into a stream of the parts below
and ends with exactly one `Done`. A stream that ends otherwise raises `ProviderFault(kind="cut")`,
never a short answer. Its SDK's own retries are set to 0: the harness retries.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """A request in the shape of the Messages API."""

    model: str
    system: Sequence[Mapping[str, Any]]
    """Text blocks, with `cache_control` on the last one of the stable prefix."""
    messages: Sequence[Mapping[str, Any]]
    """Alternating user and assistant messages with block lists."""
    tools: Sequence[Mapping[str, Any]]
    """`{name, description, input_schema}`"""
    max_tokens: int
    effort: str | None = None
    """low | medium | high | xhigh | max"""
    speed: str = "standard"
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_creation_input_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_creation_5m_input_tokens: int = 0
    cache_creation_1h_input_tokens: int = 0


@dataclass(frozen=True, slots=True)
class TextStart:
    """A text block begins. `index` counts text blocks of this message from 0."""

    index: int


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More text of the block `index`."""

    index: int
    text: str


@dataclass(frozen=True, slots=True)
class ThinkingStart:
    """A thinking block begins."""


@dataclass(frozen=True, slots=True)
class Done:
    """The whole message.

    `content`: blocks in order: `{"type":"text","text"}`, `{"type":"thinking","thinking","signature"}`,
    `{"type":"redacted_thinking","data"}`, `{"type":"tool_use","id","name","input"}`; `input` is
    always an object.
    """

    content: tuple[Mapping[str, Any], ...]
    stop_reason: str
    """end_turn | tool_use | max_tokens | refusal | context_window (stop_sequence counts as end_turn)"""
    usage: Usage
    model: str
    """The name the upstream answered with."""
    stop_details: Mapping[str, Any] | None = None
    """For a refusal: `{"type":"refusal","category":…|null,"explanation":…|null}`."""


Part = TextStart | TextDelta | ThinkingStart | Done


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a model can do."""

    display_name: str
    context_window: int
    """Tokens."""
    max_output_tokens: int
    efforts: tuple[str, ...] = ()
    """Levels it takes; empty: none."""
    default_effort: str = "high"
    images: bool = True
    documents: bool = True
    mid_conversation_system: bool = False
    note: str | None = None
    """Shown wherever the model is, e.g. that it is scripted and not an AI."""


class Provider(Protocol):
    """One source of models."""

    name: str

    def capabilities(self, model: str) -> Capabilities:
        """What this model can do; a cautious default for an unknown one."""
        ...

    def stream(self, request: ModelRequest) -> AsyncIterator[Part]:
        """Stream the answer; ends with `Done` or raises ProviderFault."""
        ...

    async def close(self) -> None:
        """Give back connections."""
        ...
