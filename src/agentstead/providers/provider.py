"""The contract of a model provider.

A provider turns a `ModelRequest` in the shape of the Messages API into a stream of the parts below
and ends with exactly one `Done`. A stream that ends otherwise raises `ProviderFault(kind="cut")`,
never a short answer. Its SDK's own retries are set to 0: the harness retries.

What every provider needs alike is here too: how an upstream's HTTP status becomes a
`ProviderFault`, and how the arguments of a tool call are read.
"""

import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Protocol, Self

from agentstead.clock import Clock
from agentstead.errors import ProviderFault
from agentstead.settings import Settings

CONNECT_SECONDS = 10.0
"""A host that does not answer for so long is unreachable."""


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
    inference_geo: str | None = None
    """Where the request must be served; None: wherever the provider's account says."""
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
    speeds: tuple[str, ...] = ("standard",)
    """`fast` besides `standard` where the model has it."""
    inference_geos: tuple[str, ...] = ()
    """Regions that inference can be bound to; empty: none."""
    thinking: str = "none"
    """none | budget (only with a budget of tokens) | adaptive | always (adaptive, never off)"""
    line: str | None = None
    """haiku | sonnet | opus | fable | mythos; None for other makers' models."""
    released: str | None = None
    """Day of release, `YYYY-MM-DD`; None: not known."""
    lifecycle: str = "active"
    """active | deprecated | retired"""
    retires: str | None = None
    """Day of retirement, `YYYY-MM-DD`, once it is announced."""


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


class ProviderKind(Provider, Protocol):
    """What an entry of the registry names: a provider that is made from the settings."""

    @classmethod
    def from_settings(cls, settings: Settings, clock: Clock) -> Self:
        """Make one; imports no SDK yet."""
        ...

    @classmethod
    def missing(cls, settings: Settings) -> str | None:
        """What the operator has to set before it can be used; None: nothing."""
        ...

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Models it knows without being told, newest first."""
        ...


TOO_LONG = re.compile(
    r"prompt is too long|context[ _](length|window|size)|maximum context|too many (input )?tokens"
    r"|input is too long|exceeds? the (available )?context",
    re.IGNORECASE,
)
BILLING = re.compile(r"insufficient_quota|credit balance|billing|payment required", re.IGNORECASE)

KINDS = {
    401: ("auth", False),
    402: ("billing", False),
    403: ("auth", False),
    408: ("failed", True),
    409: ("failed", True),
    413: ("too_long", False),
    425: ("failed", True),
    429: ("rate_limited", True),
    503: ("overloaded", True),
    529: ("overloaded", True),
}
"""HTTP status → fault kind and whether it is tried again; other 4xx are `invalid`, 5xx `failed`."""


def fault(status: int, message: str, *, retry_after: float | None = None) -> ProviderFault:
    """The fault for an upstream's refusal."""
    if status in {400, 404, 422} and TOO_LONG.search(message):
        kind, retryable = "too_long", False
    elif status in {400, 403, 429} and BILLING.search(message):
        kind, retryable = "billing", False
    elif status in KINDS:
        kind, retryable = KINDS[status]
    else:
        kind, retryable = ("invalid", False) if 400 <= status < 500 else ("failed", True)
    return ProviderFault(message, kind=kind, retryable=retryable, retry_after=retry_after)


def unreachable(url: str, reason: object) -> ProviderFault:
    """The fault for an upstream that cannot be talked to."""
    return ProviderFault(
        f"The model's upstream {url} cannot be reached: {reason}.",
        kind="unreachable",
        retryable=True,
    )


def cut(reason: str) -> ProviderFault:
    """The fault for a stream that did not come to its end."""
    return ProviderFault(f"The model's answer was cut off: {reason}.", kind="cut", retryable=True)


def retry_after_seconds(headers: Mapping[str, str], now: float) -> float | None:
    """What `retry-after-ms` or `retry-after` (seconds or a date) asks for."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name, "").strip()
        if not value:
            continue
        try:
            return max(0.0, float(value) * scale)
        except ValueError:
            pass
        try:
            return max(0.0, parsedate_to_datetime(value).timestamp() - now)
        except (ValueError, TypeError):
            continue
    return None


def arguments(text: str, tool: str, *, ended: bool) -> dict[str, Any]:
    """A tool call's input from its JSON text, read only when the call is complete.

    Empty text is `{}`. With `ended` false the answer stopped at its length limit inside this call:
    then unreadable or missing text is an error that repeating would not mend. Nothing is repaired.
    """
    blank = not text.strip()
    if blank and ended:
        return {}
    try:
        value = {} if text.strip() == "null" else json.loads(text)
    except ValueError:
        value = None
    if isinstance(value, dict):
        return value
    if not ended:
        raise ProviderFault(
            f"The model's answer reached its length limit inside a call of {tool!r}, so the call "
            "is incomplete and is not run. Raise AGENTSTEAD_MAX_OUTPUT_TOKENS.",
            kind="cut",
        )
    raise ProviderFault(
        f"The model called {tool!r} with arguments that are not a JSON object.",
        kind="failed",
        retryable=True,
    )
