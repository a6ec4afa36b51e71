"""From a thread's conversation to a model request that every provider accepts.

Always valid: roles alternate and begin with the user, each tool use is followed by its result at
once and in order, no block is empty. The prefix (tools, system) is stable and carries prompt-cache
marks, as does the end of the conversation.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentstead.harness import mounts
from agentstead.harness.growing import Growing, Spliced
from agentstead.harness.mounts import Skill
from agentstead.harness.permission import BUILTINS, builtin_policy
from agentstead.harness.thread import Item, Thread
from agentstead.wire.environment import self_hosted

CACHE = {"type": "ephemeral"}
NO_OUTPUT = "(no output)"
NO_WORDS = "(an empty message)"
GONE = "Not available any more. Do not call it."
MANAGERS = ("apt", "cargo", "gem", "go", "npm", "pip")

Message = Mapping[str, Any]
MARKS_WITHIN = 4
"""Roles alternate, so the two latest user messages are among the last four."""

SANDBOX_NOTE = """\
You work in a sandbox of your own: a Linux system where you are the user `agent` without root \
rights. Your working directory is /workspace; it and everything in it stays until the session ends. \
/mnt/user and /tmp are writable too. Put what you want to hand over into /mnt/session/outputs."""

WORKER_NOTE = """\
Your tools bash, read, write, edit, glob and grep run on a machine of this environment's owner, not \
in a sandbox of the platform. What their descriptions say of a user, of folders and of the network \
does not hold there: look where you are (`pwd`, `ls`) and prefer paths relative to the working \
directory. Files that you make stay on that machine."""


@dataclass(frozen=True, slots=True)
class ToolText:
    """What a model is told of a built-in tool."""

    description: str
    input_schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is sent, in the shape of the Messages API."""

    system: tuple[Mapping[str, Any], ...]
    messages: "Conversation"
    tools: tuple[Mapping[str, Any], ...]


def build(
    thread: Thread,
    builtins: Mapping[str, ToolText],
    scribe: "Scribe | None" = None,
    environment: Mapping[str, Any] | None = None,
    servers: Sequence[Mapping[str, Any]] = (),
    mounted: Sequence[str] = (),
    skilled: Sequence[Skill] = (),
    *,
    network: str = "",
    checked_out: Sequence[str] = (),
) -> Prompt:
    """The request for a thread's next message; `builtins` are those the platform can offer.

    `servers`: the definitions of tools of MCP servers. `mounted`: the files that the model finds from
    its first message on. `network`: what the sandbox reaches of it, in words.
    """
    scribe = scribe or Scribe()
    written = scribe.messages(thread.transcript)
    given = (
        thread.agent, builtins, environment or {}, tuple(servers), tuple(mounted), tuple(skilled),
        network, tuple(checked_out),
    )  # fmt: skip
    if scribe.given != given:
        scribe.given, scribe.prefix = given, prefix(*given)
    notes, tools = scribe.prefix
    return Prompt(notes, written, tools or with_mark(stand_ins(written)))


def prefix(
    agent: Mapping[str, Any],
    builtins: Mapping[str, ToolText],
    place: Mapping[str, Any],
    servers: Sequence[Mapping[str, Any]],
    mounted: Sequence[str],
    skilled: Sequence[Skill],
    network: str,
    checked_out: Sequence[str],
) -> tuple[tuple[Mapping[str, Any], ...], tuple[Mapping[str, Any], ...]]:
    """The system prompt and the tools: what stays the same from request to request."""
    tools = [*offered_tools(agent["tools"], builtins), *servers]
    with_hands = any(builtin_policy(agent["tools"], name) for name in builtins)
    hints = [
        *place_notes(place, network),
        *mounts.at_start(mounted),
        *checked_out,
        *mounts.skills(skilled, place),
    ]
    return system(agent, hints if with_hands else []), with_mark(tools)


def with_mark(tools: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """The tools with a prompt-cache mark on the last one."""
    return (*tools[:-1], {**tools[-1], "cache_control": CACHE}) if tools else ()


def place_notes(environment: Mapping[str, Any], network: str) -> list[str]:
    """Where the tools work, and what they reach from there."""
    if self_hosted(environment):
        return [WORKER_NOTE]
    return [f"{SANDBOX_NOTE} {network}".strip(), *package_note(environment)]


def package_note(environment: Mapping[str, Any]) -> list[str]:
    """A note on what is installed for the environment; whether it failed is told with a tool's result."""
    packages = environment.get("config", {}).get("packages", {})
    wanted = [f"{kind}: {', '.join(packages[kind])}" for kind in MANAGERS if packages.get(kind)]
    if not wanted:
        return []
    return [
        f"Installed for this environment, beside what the system has: {'; '.join(wanted)}. Should that "
        "have failed, the result of your first tool call says so."
    ]


def stand_ins(messages: Sequence[Message]) -> list[Mapping[str, Any]]:
    """For a conversation with calls of tools that are all gone: providers want them defined."""
    blocks = [block for message in messages for block in message["content"]]
    names = {block["name"]: None for block in blocks if block["type"] == "tool_use"}
    return [
        {"name": name, "description": GONE, "input_schema": {"type": "object"}} for name in names
    ]


def offered_tools(
    tools: Sequence[Mapping[str, Any]], builtins: Mapping[str, ToolText]
) -> list[Mapping[str, Any]]:
    """The definitions of every tool this agent has, built-in ones first, in a stable order."""
    offered: list[Mapping[str, Any]] = [
        {
            "name": name,
            "description": builtins[name].description,
            "input_schema": builtins[name].input_schema,
        }
        for name in BUILTINS
        if name in builtins and builtin_policy(tools, name) is not None
    ]
    offered += [
        {
            "name": tool["name"],
            "description": tool["description"],
            "input_schema": tool["input_schema"],
        }
        for tool in tools
        if tool["type"] == "custom"
    ]
    return offered


def system(agent: Mapping[str, Any], notes: Sequence[str]) -> tuple[Mapping[str, Any], ...]:
    """The platform's notes, then the agent's own words."""
    texts = list(notes)
    if agent.get("system"):
        texts.append(agent["system"])
    blocks: list[Mapping[str, Any]] = [{"type": "text", "text": text} for text in texts]
    if blocks:
        blocks[-1] = {**blocks[-1], "cache_control": CACHE}
    return tuple(blocks)


class Conversation(Spliced[Message]):
    """The messages of a request; what one knows of all of them costs only what is new."""

    __slots__ = ("_scribe",)

    def __init__(self, scribe: "Scribe", settled: int, tail: Sequence[Message]) -> None:
        super().__init__(scribe.written, settled, tail)
        self._scribe = scribe

    @property
    def characters(self) -> int:
        """How long they are as JSON, nearly."""
        return self._scribe.counted(len(self) - len(self.tail)) + len(json.dumps(self.tail))

    @property
    def files(self) -> bool:
        """Whether any of them may name an uploaded file."""
        return self._scribe.files or any(names_files(message["content"]) for message in self.tail)


class Scribe:
    """Writes the messages of one thread; of a conversation that has grown only what is new."""

    def __init__(self) -> None:
        self.begin()
        self.given: tuple[Any, ...] = ()
        self.prefix: tuple[tuple[Mapping[str, Any], ...], tuple[Mapping[str, Any], ...]] = ((), ())
        """What was made of `given`: the system prompt and the tools."""

    def begin(self) -> None:
        """Know nothing yet."""
        self.known: Sequence[Item] = ()
        self.closed = 0
        """How many items of the conversation stand in `written`: whole groups."""
        self.written: list[Message] = []
        """Only the last one may still change."""
        self.files = False
        """Whether any message in `written` names a file."""
        self.sized = self.characters = 0
        """How many messages in `written` were counted, and their characters."""

    def messages(self, transcript: Sequence[Item]) -> Conversation:
        """User and assistant messages in turn; the two latest of the user are marked."""
        if not begins_with(transcript, self.known, self.closed):
            self.begin()
        *whole, last = grouped(transcript[self.closed :]) or [[]]
        for group in whole:
            write(self.written, group)
            self.closed += len(group)
            self.files = self.files or any(names_files(item.blocks) for item in group)
        self.known = transcript
        settled = max(len(self.written) - MARKS_WITHIN, 0)
        tail = self.written[settled:]
        write(tail, last)
        first = max(len(tail) - MARKS_WITHIN, 0)
        users = [place for place in range(first, len(tail)) if tail[place]["role"] == "user"]
        for place in users[-2:]:
            tail[place] = marked(tail[place])
        return Conversation(self, settled, tail)

    def counted(self, settled: int) -> int:
        """The characters of so many messages, which change no more."""
        fresh = self.written[self.sized : settled]
        self.characters += sum(len(json.dumps(message)) for message in fresh)
        self.sized += len(fresh)
        return self.characters


def begins_with(transcript: Sequence[Item], known: Sequence[Item], count: int) -> bool:
    """Whether the conversation goes on from what is known of it."""
    if isinstance(transcript, Growing):
        return transcript.begins_with(known, count)
    return tuple(transcript[:count]) == tuple(known[:count])


def names_files(blocks: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a block names an uploaded file, or one within a tool's result does."""
    return any(
        names_files(block["content"]) if block["type"] == "tool_result" else names_file(block)
        for block in blocks
    )


def names_file(block: Mapping[str, Any]) -> bool:
    """Whether a block's content is an uploaded file's."""
    source = block.get("source")
    if source is None:
        return False
    return isinstance(source, Mapping) and source.get("type") == "file"


def write(written: list[Message], group: Sequence[Item]) -> None:
    """Add a group's blocks: a new message, or more of the last one when the roles are the same."""
    if not group:
        return
    if group[0].kind == "assistant":
        role = "assistant"
        blocks = [block for item in group for block in item.blocks if not is_empty(block)]
    else:
        role = "user"
        uses = used_ids(written[-1]) if written else ()
        blocks = user_blocks(group, uses) or [{"type": "text", "text": NO_WORDS}]
    if not blocks:
        return
    if written and written[-1]["role"] == role:
        written[-1] = {"role": role, "content": [*written[-1]["content"], *blocks]}
    else:
        written.append({"role": role, "content": blocks})


def marked(message: Message) -> Message:
    """The same with a prompt-cache mark at its end."""
    *blocks, last = message["content"]
    return {**message, "content": [*blocks, {**last, "cache_control": CACHE}]}


def grouped(transcript: Sequence[Item]) -> list[list[Item]]:
    """Runs of assistant items and runs of everything else."""
    groups: list[list[Item]] = []
    for item in transcript:
        same = groups and (groups[-1][0].kind == "assistant") == (item.kind == "assistant")
        if same:
            groups[-1].append(item)
        else:
            groups.append([item])
    return groups


def used_ids(message: Mapping[str, Any]) -> tuple[str, ...]:
    """The tool uses of an assistant message, in order."""
    return tuple(block["id"] for block in message["content"] if block["type"] == "tool_use")


def user_blocks(group: Sequence[Item], uses: Sequence[str]) -> list[Mapping[str, Any]]:
    """The results in the order of their uses, then the input in the order it came."""
    results = {item.provider_id: item for item in group if item.kind == "result"}
    blocks: list[Mapping[str, Any]] = []
    for use in uses:
        item = results[use]
        content = [block for block in item.blocks if not is_empty(block)]
        blocks.append(
            {
                "type": "tool_result",
                "tool_use_id": use,
                "content": content or [{"type": "text", "text": NO_OUTPUT}],
                **({"is_error": True} if item.is_error else {}),
            }
        )
    for item in group:
        if item.kind == "result":
            continue
        shown = [block for block in item.blocks if not is_empty(block)]
        if item.kind == "system":
            shown = [
                {"type": "text", "text": f"<system>{block['text']}</system>"} for block in shown
            ]
        blocks.extend(shown)
    return blocks


def is_empty(block: Mapping[str, Any]) -> bool:
    """A text block without anything in it, which providers refuse."""
    return block["type"] == "text" and not block["text"].strip()
