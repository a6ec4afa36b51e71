"""What the scripted model reads in a conversation, and what it remembers of the one it read last.

A conversation is sent whole with every request; a model that read it whole each time would make the
thousandth step of a load test dearer than the first. So what was read is kept and only what is new
is read: told by the very objects of its messages, which nobody changes.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Message = Mapping[str, Any]

UNSETTLED = 5
"""The last messages may come in another form the next time: with or without a cache mark."""
KNOWN_MAX = 2000
"""Conversations remembered."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the first `count` messages hold."""

    count: int = 0
    latest: Message | None = None
    """The last of them."""
    characters: int = 0
    """In all their texts."""
    spoken: int = 0
    """How many hold words of the user."""
    start: int = -1
    """Where the last of those is."""
    answers: int = 0
    """How many of the model's came after it."""


class Readings:
    """The conversations read last."""

    def __init__(self) -> None:
        self.known: OrderedDict[int, tuple[Message, Reading]] = OrderedDict()

    def of(self, messages: Sequence[Message]) -> Reading:
        """What these messages hold."""
        if len(messages) <= UNSETTLED:
            return read_on(None, messages)
        first = messages[0]
        held, known = self.known.get(id(first), (None, None))
        if held is not first:
            known = None
        settled = read_on(known, messages, len(messages) - UNSETTLED)
        self.known[id(first)] = (first, settled)
        self.known.move_to_end(id(first))
        if len(self.known) > KNOWN_MAX:
            self.known.popitem(last=False)
        return read_on(settled, messages)


def read_on(
    known: Reading | None, messages: Sequence[Message], count: int | None = None
) -> Reading:
    """What the first `count` messages hold (all without one), when `known` is what their start may hold."""
    count = len(messages) if count is None else count
    if known is None or known.count > count or known.latest is not messages[known.count - 1]:
        known = Reading()
    characters, spoken = known.characters, known.spoken
    start, answers = known.start, known.answers
    for place in range(known.count, count):
        message = messages[place]
        characters += size(message["content"])
        if speaks(message):
            spoken, start, answers = spoken + 1, place, 0
        elif message["role"] == "assistant":
            answers += 1
    latest = messages[count - 1] if count else None
    return Reading(count, latest, characters, spoken, start, answers)


def speaks(message: Message) -> bool:
    """Whether a message holds the user's own words: not the model's, not bare tool results."""
    if message["role"] != "user":
        return False
    content = message["content"]
    if isinstance(content, str):
        return bool(content)
    return any(block.get("type") == "text" and block["text"] for block in content)


def text_of(content: Any) -> str:
    """The text blocks of a content."""
    if isinstance(content, str):
        return content
    return "\n".join(b["text"] for b in content if b.get("type") == "text")


def size(value: Any) -> int:
    """The characters in all texts of a value."""
    kind = type(value)
    if kind is str:
        return len(value)
    if kind is list or kind is tuple:
        return sum(map(size, value))
    if kind is dict or isinstance(value, Mapping):  # the other check is ten times slower
        return sum(map(size, value.values()))
    return 1
