"""A model that says what a test tells it to, and a judge of the requests it gets.

`Script` is a provider: its answers come from a list (the n-th answer of a conversation, however
often it is asked) or from a function of the request. Each request is checked; what is wrong with
one is kept in `violations`, and thinking blocks must come back as they were given.
`ScriptedModels` maps model names to scripts, in the place of the catalogue.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from agentstead.clock import Clock
from agentstead.errors import Invalid, ProviderFault
from agentstead.providers.prices import Price
from agentstead.providers.provider import (
    Capabilities,
    Done,
    ModelRequest,
    Part,
    TextDelta,
    TextStart,
    ThinkingStart,
    Usage,
)
from agentstead.testing.request_check import THINKING, request_faults

CAPABILITIES = Capabilities("Scripted", 200_000, 64_000, efforts=("low", "medium", "high"))


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of the model, good or bad."""

    content: tuple[Mapping[str, Any], ...] = ()
    """As in `Done`; a tool use without an `id` gets one that is used only once."""
    stop_reason: str | None = None
    """None: `tool_use` or `end_turn`, by the content."""
    stop_details: Mapping[str, Any] | None = None
    fault: ProviderFault | None = None
    """Raised in the place of the end."""
    fault_after: int = 0
    """How many parts come before the fault."""
    first_seconds: float = 0.0
    """Before the first part."""
    part_seconds: float = 0.0
    """Between two parts."""

    def slow(self, first_seconds: float, part_seconds: float = 0.0) -> "Answer":
        """The same answer, taking its time."""
        return replace(self, first_seconds=first_seconds, part_seconds=part_seconds)


def text(words: str) -> Mapping[str, Any]:
    """A text block."""
    return {"type": "text", "text": words}


def thinking(words: str, signature: str) -> Mapping[str, Any]:
    """A thinking block."""
    return {"type": "thinking", "thinking": words, "signature": signature}


def use(name: str, call_id: str | None = None, **arguments: Any) -> Mapping[str, Any]:
    """A tool use; its id is drawn when none is given."""
    block = {"type": "tool_use", "name": name, "input": arguments}
    return block if call_id is None else {**block, "id": call_id}


def say(*content: str | Mapping[str, Any]) -> Answer:
    """An answer of texts and other blocks."""
    return Answer(tuple(text(each) if isinstance(each, str) else each for each in content))


def refuse(explanation: str | None = None) -> Answer:
    """The model declines."""
    details = {"type": "refusal", "category": None, "explanation": explanation}
    return Answer((), "refusal", details)


def cut(*content: str | Mapping[str, Any], parts: int = 2) -> Answer:
    """The stream ends in the middle."""
    fault = ProviderFault("The model's stream ended too early.", kind="cut", retryable=True)
    return replace(say(*content), fault=fault, fault_after=parts)


def fail(kind: str, *, retryable: bool = True, retry_after: float | None = None) -> Answer:
    """The request is refused: `overloaded` (529), `rate_limited` (429), `failed` (500), …"""
    message = f"The model answered with an error: {kind}."
    fault = ProviderFault(message, kind=kind, retryable=retryable, retry_after=retry_after)
    return Answer(fault=fault)


Source = Callable[[ModelRequest], Answer]


def in_turn(answers: Sequence[Answer]) -> Source:
    """The n-th answer for a conversation that holds n answers; so a repeated request gets it again.

    Failing answers come once each, before the next good one.
    """
    failures: dict[int, list[Answer]] = {}
    good: list[Answer] = []
    for answer in answers:
        if answer.fault is None:
            good.append(answer)
        else:
            failures.setdefault(len(good), []).append(answer)

    def source(request: ModelRequest) -> Answer:
        position = sum(1 for message in request.messages if message["role"] == "assistant")
        if failures.get(position):
            return failures[position].pop(0)
        assert position < len(good), f"the script has no answer number {position + 1}"
        return good[position]

    return source


@dataclass(slots=True)
class Script:
    """A provider that answers by script."""

    clock: Clock
    source: Source
    name: str = "script"
    abilities: Capabilities = CAPABILITIES
    price: Price | None = None
    requests: list[ModelRequest] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    given: dict[str, tuple[Mapping[str, Any], ...]] = field(default_factory=dict)
    """Tool use id → the whole content of the answer that made it."""
    thoughts: list[Mapping[str, Any]] = field(default_factory=list)
    calls: int = 0

    def capabilities(self, model: str) -> Capabilities:  # noqa: ARG002 - one script, one model
        """What this model can do."""
        return self.abilities

    async def stream(self, request: ModelRequest) -> AsyncIterator[Part]:
        """Judge the request, then answer by script."""
        self.requests.append(request)
        self.violations += request_faults(request)
        self.violations += self._unfaithful(request)
        answer = self._numbered(self.source(request))
        await self.clock.sleep(answer.first_seconds)
        for index, part in enumerate(parts_of(answer, request)):
            if answer.fault is not None and index >= answer.fault_after:
                raise answer.fault
            if index and answer.part_seconds:
                await self.clock.sleep(answer.part_seconds)
            if isinstance(part, Done):
                self._remember(part)
            yield part

    async def close(self) -> None:
        """Nothing to give back."""

    def _numbered(self, answer: Answer) -> Answer:
        """Give each tool use without an id a new one."""
        content: list[Mapping[str, Any]] = []
        for block in answer.content:
            if block["type"] == "tool_use" and "id" not in block:
                self.calls += 1
                content.append({**block, "id": f"toolu_{self.name}_{self.calls:06d}"})
            else:
                content.append(block)
        return replace(answer, content=tuple(content))

    def _remember(self, done: Done) -> None:
        for block in done.content:
            if block["type"] == "tool_use":
                self.given[block["id"]] = done.content
            if block["type"] in THINKING:
                self.thoughts.append(block)

    def _unfaithful(self, request: ModelRequest) -> list[str]:
        """What of our own words came back changed."""
        faults = []
        for message in request.messages:
            if message["role"] != "assistant":
                continue
            content = [_unmarked(block) for block in message["content"]]
            faults += [
                f"a thinking block came back changed: {block}"
                for block in content
                if block["type"] in THINKING and block not in self.thoughts
            ]
            for block in content:
                given = self.given.get(block.get("id", ""))
                if block["type"] == "tool_use" and given is not None and content != _kept(given):
                    faults.append(f"answer of {block['id']} came back changed: {content}")
                    break
        return faults


def parts_of(answer: Answer, request: ModelRequest) -> list[Part]:
    """The stream of an answer; `Done` is its last part."""
    parts: list[Part] = []
    texts = 0
    for block in answer.content:
        if block["type"] in THINKING:
            parts.append(ThinkingStart())
        if block["type"] == "text":
            words = block["text"]
            middle = len(words) // 2
            parts.append(TextStart(texts))
            parts += [
                TextDelta(texts, piece) for piece in (words[:middle], words[middle:]) if piece
            ]
            texts += 1
    used = any(block["type"] == "tool_use" for block in answer.content)
    size = sum(len(str(message["content"])) for message in request.messages)
    parts.append(
        Done(
            answer.content,
            answer.stop_reason or ("tool_use" if used else "end_turn"),
            Usage(input_tokens=size // 4, output_tokens=len(str(answer.content)) // 4),
            request.model,
            answer.stop_details,
        )
    )
    return parts


def _unmarked(block: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in block.items() if name != "cache_control"}


def _kept(content: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """What must come back of an answer: everything but texts without words."""
    return [block for block in content if block["type"] != "text" or block["text"].strip()]


@dataclass(frozen=True, slots=True)
class ScriptedModel:
    """A model name with the script that answers for it."""

    provider: Script
    upstream: str
    capabilities: Capabilities
    price: Price | None = None


class ScriptedModels:
    """Model names → scripts."""

    def __init__(self, scripts: Mapping[str, Script]) -> None:
        self.scripts = dict(scripts)

    def resolve(self, name: str) -> ScriptedModel:
        """The script for a name; Invalid names what there is."""
        script = self.scripts.get(name)
        if script is None:
            raise Invalid(f"model: there is no {name!r}; there are {sorted(self.scripts)}")
        return ScriptedModel(script, name, script.capabilities(name), script.price)
