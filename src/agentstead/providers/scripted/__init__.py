"""The scripted model: fixed words, real tool calls, and not an AI, as its name and note say.

It plays the demo without a key, is the test double of the model, and the model of load tests.
It keeps no state that matters: which turn comes next follows from the request (`place.py`). Only
trouble that happens a number of times is counted, in this process.
"""

import importlib.resources
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Self

from agentstead.clock import Clock, SystemClock
from agentstead.providers.provider import (
    Capabilities,
    Done,
    ModelRequest,
    Part,
    TextDelta,
    TextStart,
    ThinkingStart,
    Usage,
    cut,
    fault,
)
from agentstead.providers.scripted.place import Place, filled, find
from agentstead.providers.scripted.reading import Reading, Readings, size
from agentstead.providers.scripted.scenario import Scenario, Trouble, Turn, load, parse
from agentstead.settings import Settings

MODEL = "scripted-demo"
NOTE = "scripted, not an AI"
CHARACTERS_PER_TOKEN = 4


class Scripted:
    """Plays a scenario."""

    name = "scripted"

    def __init__(
        self,
        scenario: Scenario | None = None,
        *,
        clock: Clock | None = None,
        timeout_seconds: float = 600.0,
    ) -> None:
        self.scenario = scenario or built_in()
        self.clock = clock or SystemClock()
        self.timeout_seconds = timeout_seconds
        self.troubled: Counter[object] = Counter()
        self.readings = Readings()

    @classmethod
    def from_settings(cls, settings: Settings, clock: Clock) -> Self:
        """Make one, with the operator's scenario where there is one."""
        path = settings.scripted_file
        return cls(
            load(path) if path else None,
            clock=clock,
            timeout_seconds=settings.model_timeout_seconds,
        )

    @classmethod
    def missing(cls, settings: Settings) -> str | None:  # noqa: ARG003 - the contract's signature
        """Nothing: it always works."""
        return None

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Its one model."""
        return (MODEL,)

    def capabilities(self, model: str) -> Capabilities:  # noqa: ARG002 - the contract's signature
        """It takes everything, so that any configuration can be tried out with it."""
        return Capabilities(
            display_name="Scripted demo (not an AI)",
            context_window=200_000,
            max_output_tokens=32_000,
            efforts=("low", "medium", "high", "xhigh", "max"),
            mid_conversation_system=True,
            note=NOTE,
            speeds=("standard", "fast"),
            inference_geos=("us", "global"),
        )

    async def close(self) -> None:
        """It holds nothing."""

    async def stream(self, request: ModelRequest) -> AsyncIterator[Part]:
        """Play the turn that is due."""
        read = self.readings.of(request.messages)
        place = find(self.scenario, request, read)
        turn = place.turn or self._without_turn(place)
        trouble = self._trouble(place, turn, request)
        await self._before(trouble)
        limit = trouble.cut_after_pieces if trouble else None
        content = tuple(self._content(turn, place, request))
        for number, part in enumerate(self._parts(content)):
            if limit is not None and number >= limit:
                raise cut("the scenario says so")
            if self.scenario.delays.piece_seconds:
                await self.clock.sleep(self.scenario.delays.piece_seconds)
            yield part
        if limit is not None:
            raise cut("the scenario says so")
        yield self._done(turn, content, request, read)

    def _without_turn(self, place: Place) -> Turn:
        """What it says when the scenario has nothing to say."""
        return Turn(self.scenario.otherwise if place.script is None else self.scenario.closing)

    def _trouble(self, place: Place, turn: Turn, request: ModelRequest) -> Trouble | None:
        """The first trouble of the turn that has not yet happened as often as it should."""
        who = tuple(sorted(request.metadata.items()))
        for number, trouble in enumerate(turn.trouble):
            key = (place.key, place.seen.message, place.seen.user, number, who)
            if trouble.times is None or self.troubled[key] < trouble.times:
                self.troubled[key] += 1
                return trouble
        return None

    async def _before(self, trouble: Trouble | None) -> None:
        """What happens before the first piece."""
        if trouble is not None:
            if trouble.hang:
                await self.clock.sleep(self.timeout_seconds)
                raise cut(f"nothing came for {self.timeout_seconds:g} s")
            if trouble.status is not None:
                raise fault(trouble.status, trouble.message, retry_after=trouble.retry_after)
            if trouble.slow_seconds:
                await self.clock.sleep(trouble.slow_seconds)
        if self.scenario.delays.first_seconds:
            await self.clock.sleep(self.scenario.delays.first_seconds)

    def _content(
        self, turn: Turn, place: Place, request: ModelRequest
    ) -> Iterator[Mapping[str, Any]]:
        """The blocks of the answer; call ids differ all through one conversation."""
        if turn.thinking is not None:
            text = filled(turn.thinking, place.seen)
            yield {"type": "thinking", "thinking": text, "signature": ""}
        for each in turn.texts():
            if text := filled(each, place.seen):
                yield {"type": "text", "text": text}
        mark = f"{zlib.crc32(place.seen.user.encode()):08x}{len(request.messages):06d}"
        for number, call in enumerate(turn.tools):
            yield {
                "type": "tool_use",
                "id": f"toolu_scripted{mark}{number:02d}",
                "name": call.name,
                "input": filled(dict(call.input), place.seen),
            }

    def _parts(self, content: tuple[Mapping[str, Any], ...]) -> Iterator[Part]:
        """The answer in pieces."""
        size = self.scenario.delays.piece_characters
        number = 0
        for block in content:
            if block["type"] == "thinking":
                yield ThinkingStart()
            if block["type"] == "text":
                yield TextStart(number)
                text = block["text"]
                for at in range(0, len(text), size):
                    yield TextDelta(number, text[at : at + size])
                number += 1

    def _done(
        self,
        turn: Turn,
        content: tuple[Mapping[str, Any], ...],
        request: ModelRequest,
        read: Reading,
    ) -> Done:
        refused = turn.refusal
        usual = "refusal" if refused else "tool_use" if turn.tools else "end_turn"
        details = None
        if refused:
            details = {
                "type": "refusal",
                "category": refused.category,
                "explanation": refused.explanation,
            }
        usage = Usage(**turn.usage) if turn.usage is not None else estimated(request, content, read)
        return Done(content, turn.stop_reason or usual, usage, MODEL, details)


def built_in() -> Scenario:
    """The scenario that comes with the platform."""
    file = importlib.resources.files(__name__) / "demo.json"
    return parse(file.read_text(encoding="utf-8"), "demo.json")


def estimated(
    request: ModelRequest, content: tuple[Mapping[str, Any], ...], read: Reading
) -> Usage:
    """Tokens guessed from characters; with cache marks, all but the newest message is cached."""
    newest = size(request.messages[-1]["content"]) if request.messages else 0
    before = size(request.system) + size(request.tools) + read.characters - newest
    marked = any("cache_control" in block for block in (*request.system, *request.tools))
    answer = size(content)
    return Usage(
        input_tokens=max(1, (newest if marked else before + newest) // CHARACTERS_PER_TOKEN),
        cache_read_input_tokens=before // CHARACTERS_PER_TOKEN if marked else 0,
        output_tokens=max(1, answer // CHARACTERS_PER_TOKEN),
    )
