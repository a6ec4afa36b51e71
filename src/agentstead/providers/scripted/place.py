"""Where in a scenario a request stands: found from its messages alone."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from agentstead.providers.provider import ModelRequest
from agentstead.providers.scripted.reading import Message, Reading, read_on, text_of
from agentstead.providers.scripted.scenario import Scenario, Script, Turn, When


@dataclass(frozen=True, slots=True)
class Result:
    """A tool result as the model reads it."""

    text: str
    is_error: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """What the conditions and the placeholders of a turn look at."""

    user: str
    """The last words of the user."""
    message: int
    """How many messages of the user there are."""
    system: str
    results: tuple[Result, ...] = ()
    """Of the calls just answered."""
    groups: Mapping[str, str] = field(default_factory=dict)
    model: str = ""
    """The name under which it is asked."""


@dataclass(frozen=True, slots=True)
class Place:
    """The script, the turn in it, and what it looks at."""

    script: Script | None
    turn: Turn | None
    seen: Seen
    key: tuple[int, int] = (-1, -1)
    """Index of the script and number of the answer; counts trouble."""


def find(scenario: Scenario, request: ModelRequest, read: Reading | None = None) -> Place:
    """The turn that answers this request; `read`: what is known of its messages."""
    read = read or read_on(None, request.messages)
    start = read.start
    user = text_of(request.messages[start]["content"]) if read.spoken else ""
    system = "\n".join(str(block["text"]) for block in request.system)
    seen = Seen(user, read.spoken, system, model=request.model)
    for index, script in enumerate(scenario.scripts):
        groups = holds(script.when, seen)
        if groups is None:
            continue
        if groups:
            seen = replace(seen, groups=groups)
        return walk(script, index, seen, request.messages, read)
    return Place(None, None, seen)


def walk(
    script: Script, index: int, seen: Seen, messages: Sequence[Message], read: Reading
) -> Place:
    """Go through the answers already given, to the turn that is due."""
    answers = read.answers
    last = messages[-1] if len(messages) > read.start + 1 else None
    if last and last["role"] != "user":
        last = None
    now = with_results(seen, tuple(results_of(last)) if last else ())
    if any(turn.when is not None for turn in script.turns):
        position = after(script, seen, messages[read.start + 1 :])
    else:
        position = answers % max(1, len(script.turns)) if script.loop else answers
    position = due(script, position, now)
    if script.loop and position >= len(script.turns):
        position = due(script, 0, now)
    turn = script.turns[position] if position < len(script.turns) else None
    return Place(script, turn, now, (index, answers))


def after(script: Script, seen: Seen, since: Sequence[Message]) -> int:
    """The position behind the answers already given, each chosen by the results before it."""
    results: tuple[Result, ...] = ()
    position = 0
    for message in since:
        if message["role"] == "assistant":
            position = due(script, position, with_results(seen, results)) + 1
        else:
            results = tuple(results_of(message))
    return position


def with_results(seen: Seen, results: tuple[Result, ...]) -> Seen:
    """The same, after these results."""
    return replace(seen, results=results) if results != seen.results else seen


def due(script: Script, position: int, seen: Seen) -> int:
    """The first turn from `position` on whose condition holds; past the end when none does."""
    if script.loop and position >= len(script.turns):
        position = 0
    while position < len(script.turns) and holds(script.turns[position].when, seen) is None:
        position += 1
    return position


def holds(when: When | None, seen: Seen) -> Mapping[str, str] | None:
    """The groups of the match when the condition holds, else None."""
    if when is None:
        return {}
    groups: dict[str, str] = {}
    if when.regex is not None:
        match = re.search(when.regex, seen.user)
        if match is None:
            return None
        numbered = {str(n): text or "" for n, text in enumerate(match.groups(), 1)}
        groups = numbered | {name: text or "" for name, text in match.groupdict().items()}
    wanted, text = when.result_contains, when.contains
    kept = (
        (text is None or text.lower() in seen.user.lower())
        and (when.model is None or when.model == seen.model)
        and (when.message is None or when.message == seen.message)
        and (when.system_contains is None or when.system_contains in seen.system)
        and (wanted is None or any(wanted in result.text for result in seen.results))
        and (when.is_error is None or when.is_error == any(r.is_error for r in seen.results))
    )
    return groups if kept else None


def results_of(message: Message) -> Iterator[Result]:
    """The tool results of a message."""
    if isinstance(message["content"], str):
        return
    for block in message["content"]:
        if block.get("type") == "tool_result":
            yield Result(text_of(block.get("content") or ""), bool(block.get("is_error")))


PLACEHOLDER = re.compile(r"\{\{(last_result|last_result_line|results|user|match\.\w+)\}\}")


def filled(value: Any, seen: Seen) -> Any:
    """A text, or every text inside a tool's input, with its placeholders replaced, each once."""
    if isinstance(value, str):
        return PLACEHOLDER.sub(lambda found: replacement(found[1], seen), value)
    if isinstance(value, Mapping):
        return {key: filled(inner, seen) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [filled(inner, seen) for inner in value]
    return value


def replacement(name: str, seen: Seen) -> str:
    """What a placeholder stands for."""
    last = seen.results[-1].text if seen.results else ""
    match name:
        case "last_result":
            return last
        case "last_result_line":
            return last.strip().rpartition("\n")[2]
        case "results":
            return "\n".join(result.text for result in seen.results)
        case "user":
            return seen.user
        case _:
            return seen.groups.get(name.removeprefix("match."), "")
