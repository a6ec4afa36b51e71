"""An agent's multiagent block: what a client sends, and what it makes of what is stored.

Promises: `merged` fills every default and knows an omitted key from a null one; the entries of a
roster that was sent stay as they were sent until somebody resolves them (`resources/rosters.py`),
those that were kept are resolved already.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from agentstead.errors import Invalid
from agentstead.wire.reference import AgentReference, ModelName
from agentstead.wire.shape import Id, OneOf, Shape, Shorthand

ROSTER_MAX = 20
COORDINATOR = "coordinator"
MEMBERS = "multiagent_20261001"
ADVISOR_NAME = "anthropic.advisor"
"""What threads of an advisor are called; no agent may be."""


class Self(Shape):
    """The agent that has this block."""

    type: Literal["self"]


class Advisor(Shape):
    """A model that may be asked for advice."""

    type: Literal["advisor"]
    model: ModelName


class Enabled(Shape):
    """On."""

    type: Literal["enabled"]


class Disabled(Shape):
    """Off."""

    type: Literal["disabled"]


class AdvisorEnabled(Shape):
    """The primary thread may ask this model for advice."""

    type: Literal["enabled"]
    model: ModelName


Entry = Annotated[Id | Annotated[AgentReference | Self | Advisor, OneOf()], Shorthand()]
Predefined = Annotated[Id | Annotated[AgentReference | Self, OneOf()], Shorthand()]
Named = Id | AgentReference | Self


class Delegates(Shape):
    """Threads, or runs, of saved agents and of agents made up on the way."""

    type: Literal["enabled"]
    inline_agents: Annotated[Enabled | Disabled, OneOf()] | None = None
    predefined_agents: Annotated[list[Predefined], Field(max_length=ROSTER_MAX)] | None = None


Member = Annotated[Delegates | Disabled, OneOf()]


class Coordinator(Shape):
    """One agent that hands work to others."""

    type: Literal["coordinator"]
    agents: Annotated[list[Entry], Field(min_length=1, max_length=ROSTER_MAX)]


class Members(Shape):
    """Three members, each on or off by itself; on an update omitted keeps, null takes the default."""

    type: Literal["multiagent_20261001"]
    subagents: Member | None = None
    workflows: Member | None = None
    advisor: Annotated[AdvisorEnabled | Disabled, OneOf()] | None = None


Multiagent = Annotated[Coordinator | Members, OneOf()]

ON: Mapping[str, Any] = {
    "type": "enabled",
    "inline_agents": {"type": "enabled"},
    "predefined_agents": [],
}
OFF: Mapping[str, Any] = {"type": "disabled"}
DEFAULTS: Mapping[str, Mapping[str, Any]] = {"subagents": ON, "workflows": ON, "advisor": OFF}


def merged(stored: Mapping[str, Any] | None, given: Members) -> dict[str, Any]:
    """The whole block after `given` (stored: None, or a block of the same type); Invalid."""
    sent = given.given()
    block: dict[str, Any] = {"type": MEMBERS}
    for name, default in DEFAULTS.items():
        before = stored[name] if stored is not None else None
        block[name] = _member(before, sent.get(name), default) if name in sent else before
        block[name] = dict(default) if block[name] is None else block[name]
    for name in ("subagents", "workflows"):
        _something_to_start(name, block[name])
    return block


def _member(before: Mapping[str, Any] | None, given: Any, default: Mapping[str, Any]) -> Any:
    """One member that was sent."""
    if given is None:
        return dict(default)
    if isinstance(given, AdvisorEnabled):
        return {"type": "enabled", "model": given.model}
    if isinstance(given, Disabled):
        return dict(OFF)
    sent = given.given()
    kept = before if before is not None and before["type"] == "enabled" else ON
    inline, roster = given.inline_agents, given.predefined_agents
    return {
        "type": "enabled",
        "inline_agents": {"type": inline.type if inline else "enabled"}
        if "inline_agents" in sent
        else kept["inline_agents"],
        "predefined_agents": list(roster or ())
        if "predefined_agents" in sent
        else kept["predefined_agents"],
    }


def _something_to_start(name: str, member: Mapping[str, Any]) -> None:
    if (
        member["type"] == "enabled"
        and member["inline_agents"]["type"] == "disabled"
        and not member["predefined_agents"]
    ):
        raise Invalid(
            f"multiagent.{name}.predefined_agents: With inline_agents disabled, at least one agent "
            "must be named."
        )


def rosters(block: Mapping[str, Any]) -> dict[str, Sequence[Any]]:
    """The lists of agents of a block, each by its path below `multiagent`."""
    if block["type"] == COORDINATOR:
        return {"agents": block["agents"]}
    return {
        f"{name}.predefined_agents": block[name]["predefined_agents"]
        for name in ("subagents", "workflows")
        if block[name]["type"] == "enabled"
    }


def with_roster(block: Mapping[str, Any], path: str, entries: Sequence[Any]) -> dict[str, Any]:
    """A block with another list of agents at the path that `rosters` gave it."""
    name, _, below = path.partition(".")
    if not below:
        return {**block, name: list(entries)}
    return {**block, name: {**block[name], below: list(entries)}}


def advisor(block: Mapping[str, Any]) -> str | None:
    """The model that gives advice."""
    if block["type"] == COORDINATOR:
        found = (one["model"] for one in block["agents"] if one["type"] == "advisor")
        return next(found, None)
    model: str | None = block["advisor"].get("model")
    return model


def needs(block: Mapping[str, Any] | None) -> str | None:
    """The first thing a session of this agent would need beyond its primary thread."""
    if block is None:
        return None
    if any(rosters(block).values()) and block["type"] == COORDINATOR:
        return "threads for several agents"
    if block["type"] == MEMBERS and block["subagents"]["type"] == "enabled":
        return "threads for several agents"
    if block["type"] == MEMBERS and block["workflows"]["type"] == "enabled":
        return "workflow runs"
    return "advisors" if advisor(block) else None
