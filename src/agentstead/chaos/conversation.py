"""Whether a request to the model is one that its API takes, and one that tells the jobs as they went.

Every tool use is answered exactly once, in its order, in the message that follows; nothing that the
model said is missing, changed or there twice; a tool that answered as having run did run that call.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentstead.chaos.jobs import JOB, Call, Job, job

Json = Mapping[str, Any]


class Invalid(Exception):
    """The request is not valid; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Course:
    """Where a conversation has come to, and what the model says next."""

    model: str
    job: Job
    calls: tuple[Call, ...]
    """What is called next; empty at the job's end."""

    @property
    def blocks(self) -> list[dict[str, Any]]:
        """The content of the model's next message."""
        if not self.calls:
            return [{"type": "text", "text": self.job.end}]
        return [
            {"type": "tool_use", "id": use_id(call), "name": call.name, "input": call.input}
            for call in self.calls
        ]


def use_id(call: Call) -> str:
    """The id under which the model calls it."""
    return "toolu_" + call.token.replace("-", "_")


class Reader:
    """Goes through the messages of one request."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.job: Job | None = None
        self.round = 0
        self.owed: list[tuple[str, Call]] = []
        """Uses that the next message has to answer: id and call."""
        self.seen: set[str] = set()

    def user(self, where: str, content: Sequence[Json]) -> None:
        """A message of the user: results first, then jobs."""
        results = [block for block in content if block["type"] == "tool_result"]
        if list(content[: len(results)]) != results:
            raise Invalid(f"{where}: a result comes after other content")
        answered = [block["tool_use_id"] for block in results]
        owed = [use for use, _ in self.owed]
        if answered != owed:
            raise Invalid(f"{where}: results of {answered}, owed {owed}")
        for block, (_, call) in zip(results, self.owed, strict=True):
            said = text_of(block.get("content", ""))
            if not block.get("is_error") and call.answer not in said:
                raise Invalid(f"{where}: the result of {call.token} is {said!r}")
        self.owed = []
        for block in content[len(results) :]:
            if block["type"] != "text":
                raise Invalid(f"{where}: a block of type {block['type']}")
            for name in JOB.findall(block["text"]):
                if name in self.seen:
                    raise Invalid(f"{where}: job {name} is there twice")
                self.seen.add(name)
                self.job, self.round = job(self.seed, name), 0

    def assistant(self, where: str, content: Sequence[Json]) -> None:
        """A message of the model: what it has said at this place."""
        if self.job is None:
            raise Invalid(f"{where}: the model speaks before it is spoken to")
        calls = self.calls()
        uses = [block for block in content if block["type"] == "tool_use"]
        said = [(block["name"], dict(block["input"])) for block in uses]
        if said != [(call.name, call.input) for call in calls]:
            raise Invalid(f"{where}: not what the model said in round {self.round}: {said}")
        texts = [block["text"] for block in content if block["type"] == "text"]
        if texts != ([] if calls else [self.job.end]):
            raise Invalid(f"{where}: not what the model said: {texts}")
        ids = [block["id"] for block in uses]
        if len(set(ids)) != len(ids) or self.seen.intersection(ids):
            raise Invalid(f"{where}: an id of a tool use is there twice: {ids}")
        self.seen.update(ids)
        self.owed = list(zip(ids, calls, strict=True))
        self.round += 1

    def calls(self) -> tuple[Call, ...]:
        """What is called at this place; nothing at the job's end."""
        assert self.job is not None
        return self.job.rounds[self.round] if self.round < len(self.job.rounds) else ()


def course(seed: int, body: Json) -> Course:
    """Read a request. Raises Invalid."""
    reader = Reader(seed)
    messages = body.get("messages") or ()
    if not messages or messages[-1]["role"] != "user":
        raise Invalid("the last message is not the user's")
    before = "assistant"
    for number, message in enumerate(messages):
        where, content = f"messages.{number}", message["content"]
        if message["role"] == before:
            raise Invalid(f"{where}: two messages of the {before} in a row")
        before = message["role"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        (reader.user if before == "user" else reader.assistant)(where, blocks)
    if reader.job is None:
        raise Invalid("no job in it")
    return Course(str(body.get("model")), reader.job, reader.calls())


def text_of(content: str | Sequence[Json]) -> str:
    """The words of a result."""
    if isinstance(content, str):
        return content
    return "\n".join(str(block.get("text", "")) for block in content)
