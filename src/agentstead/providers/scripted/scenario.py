"""A scenario: what the scripted model says, as data.

A scenario is a list of scripts. The last words of the user choose the script (the first whose
`when` fits); the answers given since then choose the turn. So the next turn follows from the
request's messages alone, and any worker can go on where another one died.

In a JSON file: `{"scripts": [{"when": {"contains": "report"}, "turns": [{"text": "…", "tools":
[{"name": "bash", "input": {"command": "ls"}}]}, …]}], "otherwise": "…"}`; a single script without
`when` may be written as `{"turns": […]}`. Texts and inputs may hold `{{last_result}}`,
`{{last_result_line}}`, `{{results}}`, `{{user}}` and `{{match.name}}` (a group of `when.regex`).
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from agentstead.errors import Misconfigured

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class When:
    """Conditions; all that are given must hold."""

    contains: str | None = None
    """In the last words of the user, ignoring case."""
    regex: str | None = None
    """Found in the last words of the user; its groups can be used as `{{match.…}}`."""
    message: int | None = None
    """Which of the user's messages this is, from 1."""
    system_contains: str | None = None
    """In the system prompt."""
    result_contains: str | None = None
    """In one of the tool results just received."""
    model: str | None = None
    """The model that is asked, e.g. the judge's name."""
    is_error: bool | None = None
    """Whether one of the tool results just received is an error."""


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool call of the model."""

    name: str
    input: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refused:
    """The model declines."""

    category: str | None = None
    explanation: str | None = None


@dataclass(frozen=True, slots=True)
class Trouble:
    """What goes wrong before or during a turn."""

    status: int | None = None
    """The upstream answers with this HTTP status: 429, 529, 500, 402, 400…"""
    message: str = "scripted trouble"
    retry_after: float | None = None
    cut_after_pieces: int | None = None
    """The stream breaks after so many pieces."""
    hang: bool = False
    """Nothing comes until the time limit between two bytes."""
    slow_seconds: float = 0.0
    """Waits so long before the first piece; then goes on as if nothing had been."""
    times: int | None = 1
    """How often; None: always. Counted in this process."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One answer of the model: thinking, then text, then calls."""

    text: str | Sequence[str] = ()
    """One text block or several."""
    thinking: str | None = None
    tools: tuple[ToolUse, ...] = ()
    when: When | None = None
    """Left out unless this holds."""
    stop_reason: str | None = None
    """Default: tool_use with calls, else end_turn."""
    refusal: Refused | None = None
    usage: Mapping[str, int] | None = None
    """Default: estimated from the characters."""
    trouble: tuple[Trouble, ...] = ()

    def texts(self) -> Sequence[str]:
        """The text blocks."""
        return (self.text,) if isinstance(self.text, str) else self.text


@dataclass(frozen=True, slots=True)
class Script:
    """Turns in order, for one message of the user."""

    turns: tuple[Turn, ...]
    when: When | None = None
    loop: bool = False
    """Begin again after the last turn, as long as it calls tools."""


@dataclass(frozen=True, slots=True)
class Delays:
    """How fast it talks; all 0 for tests and load."""

    first_seconds: float = 0.0
    piece_seconds: float = 0.0
    piece_characters: int = 24


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything the scripted model knows."""

    scripts: tuple[Script, ...]
    otherwise: str
    """Said when no script fits; names itself as scripted."""
    closing: str = "(The script ends here.)"
    """Said when a script has no turn left."""
    delays: Delays = Delays()


def load(path: Path) -> Scenario:
    """Read a scenario file; a fault in it is the operator's."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise Misconfigured(f"scripted_file: {path} cannot be read: {error.strerror}.") from error
    return parse(text, str(path))


def parse(text: str, name: str) -> Scenario:
    """A scenario from its JSON text; `name` is for messages."""
    try:
        return scenario(json.loads(text))
    except (ValueError, TypeError, AttributeError, KeyError, re.error) as error:
        raise Misconfigured(f"scripted_file: {name} is not a scenario: {error}.") from error


OTHERWISE = (
    "I am the scripted stand-in of this platform, not an AI: I only know fixed scripts, and none "
    "fits this message. To work with a real model, set AGENTSTEAD_ANTHROPIC_API_KEY for Claude, or "
    "AGENTSTEAD_OPENAI_BASE_URL and AGENTSTEAD_MODELS for any OpenAI-compatible server, and restart."
)


def scenario(data: Mapping[str, Any]) -> Scenario:
    """A scenario from plain data."""
    known = {"scripts", "turns", "otherwise", "closing", "delays"}
    if unknown := set(data) - known:
        raise ValueError(f"unknown field {min(unknown)!r}")
    scripts = data.get("scripts") or [{"turns": data["turns"]}]
    given = {key: data[key] for key in ("otherwise", "closing") if key in data}
    return Scenario(
        scripts=tuple(script(each) for each in scripts),
        delays=made(Delays, data.get("delays", {})),
        **{"otherwise": OTHERWISE, **given},
    )


def script(data: Mapping[str, Any]) -> Script:
    """A script from plain data."""
    inner = dict(data)
    inner["turns"] = tuple(turn(each) for each in data["turns"])
    inner["when"] = when(data.get("when"))
    return made(Script, inner)


def turn(data: Mapping[str, Any]) -> Turn:
    """A turn from plain data."""
    inner = dict(data)
    inner["tools"] = tuple(made(ToolUse, each) for each in data.get("tools", ()))
    inner["trouble"] = tuple(made(Trouble, each) for each in data.get("trouble", ()))
    inner["when"] = when(data.get("when"))
    if data.get("refusal") is not None:
        inner["refusal"] = made(Refused, data["refusal"])
    return made(Turn, inner)


def when(data: Mapping[str, Any] | None) -> When | None:
    """Conditions from plain data; a regular expression that is none is found here."""
    if data is None:
        return None
    found = made(When, data)
    if found.regex is not None:
        re.compile(found.regex)
    return found


def made(kind: type[Made], data: Mapping[str, Any]) -> Made:
    """A dataclass from a mapping, refusing fields it does not have."""
    known = {each.name for each in fields(kind)}  # type: ignore[arg-type]
    if unknown := set(data) - known:
        raise ValueError(f"unknown field {min(unknown)!r} of {kind.__name__}")
    return kind(**data)
