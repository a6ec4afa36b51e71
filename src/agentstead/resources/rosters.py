"""Rosters: which agents an agent may hand work to, by name and version.

Promises: a roster that is stored names agents that existed, were not archived and hand on no work
themselves, each once, at the version of the moment; a roster that an update leaves out keeps its
versions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentstead.api.router import Call
from agentstead.errors import Invalid, NotFound
from agentstead.resources.agent_versions import at_version
from agentstead.store.table import Asks, Row
from agentstead.wire import multiagent as wire
from agentstead.wire.agent import AgentUpdate
from agentstead.wire.multiagent import Advisor, Coordinator, Members, Self
from agentstead.wire.reference import AgentReference


@dataclass(frozen=True, slots=True)
class Owner:
    """The agent whose rosters these are, as it will be."""

    id: str
    version: int
    name: str
    inference_geo: str | None


def owner(agent_id: str, version: int, snapshot: Mapping[str, Any]) -> Owner:
    """The owner that a snapshot makes."""
    return Owner(agent_id, version, snapshot["name"], snapshot["model"]["inference_geo"])


async def after_update(
    call: Call, asks: Asks, row: Row, snapshot: dict[str, Any], body: AgentUpdate
) -> dict[str, Any]:
    """The snapshot of an update with its rosters; `row`: the agent before it."""
    stored = row["body"]["multiagent"]
    if "multiagent" not in body.given():
        if stored is not None:
            await Resolver(call, asks, owner(row["id"], row["version"], snapshot)).kept(stored)
        return snapshot
    # What names itself names the version that is written; that alone makes no new version.
    for version in (row["version"], row["version"] + 1):
        resolver = Resolver(call, asks, owner(row["id"], version, snapshot))
        block = await resolver.block(body.multiagent, stored)
        snapshot = {**snapshot, "multiagent": block}
        if snapshot == row["body"]:
            break
    return snapshot


class Resolver:
    """Turns the entries of one agent's rosters into agents at versions."""

    def __init__(self, call: Call, asks: Asks, owner: Owner) -> None:
        self.call = call
        self.asks = asks
        self.owner = owner

    async def block(
        self, given: Coordinator | Members | None, stored: Mapping[str, Any] | None
    ) -> dict[str, Any] | None:
        """The block as it is stored and answered; Invalid names the first entry at fault."""
        if given is None:
            return None
        if isinstance(given, Coordinator):
            block: dict[str, Any] = {"type": wire.COORDINATOR, "agents": given.agents}
        else:
            same = stored if stored and stored["type"] == wire.MEMBERS else None
            block = wire.merged(same, given)
        for path, entries in wire.rosters(block).items():
            resolved = await self.roster(f"multiagent.{path}", entries)
            block = wire.with_roster(block, path, resolved)
        self.advised(block)
        return block

    async def roster(self, path: str, entries: Sequence[Any]) -> list[dict[str, Any]]:
        """One list of agents, the advisor last; what is resolved already stays."""
        found: list[dict[str, Any]] = []
        advisors: list[dict[str, Any]] = []
        for place, entry in enumerate(entries):
            where = f"{path}.{place}"
            if isinstance(entry, Advisor):
                if advisors:
                    raise Invalid(f"{where}: There can be only one advisor.")
                advisors.append({"type": "advisor", "model": entry.model})
                continue
            one = dict(entry) if isinstance(entry, dict) else await self.agent(where, entry)
            if any(other["id"] == one["id"] for other in found):
                raise Invalid(f"{where}: Agent {one['id']} is named twice.")
            found.append(one)
        return found + advisors

    async def agent(self, where: str, entry: str | AgentReference | Self) -> dict[str, Any]:
        """One agent that was named in the request."""
        if isinstance(entry, Self):
            return {"type": "agent", "id": self.owner.id, "version": self.owner.version}
        agent_id = entry if isinstance(entry, str) else entry.id
        version = None if isinstance(entry, str) else entry.version
        if agent_id == self.owner.id:
            raise Invalid(f'{where}: An agent names itself with {{"type":"self"}}.')
        row = await self.row(where, agent_id, version)
        self.check(where, row)
        return {"type": "agent", "id": agent_id, "version": row["version"]}

    async def row(self, where: str, agent_id: str, version: int | None) -> Row:
        """An agent of this workspace at a version."""
        try:
            return await at_version(self.asks, self.call.workspace_id, agent_id, version)
        except NotFound as missing:
            raise Invalid(f"{where}: {missing.message}") from None

    async def kept(self, block: Mapping[str, Any]) -> None:
        """Whether what is stored still goes together with the agent as it will be."""
        self.advised(block)
        for path, entries in wire.rosters(block).items():
            for place, entry in enumerate(entries):
                if entry["type"] == "agent" and entry["id"] != self.owner.id:
                    where = f"multiagent.{path}.{place}"
                    self.same_region(where, await self.row(where, entry["id"], entry["version"]))

    def same_region(self, where: str, row: Row) -> None:
        """All agents of a session are served in one region, or none is bound to any."""
        if row["body"]["model"]["inference_geo"] != self.owner.inference_geo:
            raise Invalid(
                f"{where}: The inference_geo of agent {row['id']} differs from this agent's; all "
                "must be the same, or none may be set."
            )

    def check(self, where: str, row: Row) -> None:
        """Whether work can be handed to it."""
        if row["archived_at"] is not None:
            raise Invalid(f"{where}: Agent {row['id']} is archived.")
        if row["body"]["multiagent"] is not None:
            raise Invalid(
                f"{where}: Agent {row['id']} hands on work itself; only one level is possible."
            )
        self.same_region(where, row)
        if row["body"]["name"] == wire.ADVISOR_NAME:
            raise Invalid(f'{where}: The name "{wire.ADVISOR_NAME}" is reserved.')

    def advised(self, block: Mapping[str, Any]) -> None:
        """Whether the advisor, if there is one, can be asked."""
        model = wire.advisor(block)
        if model is None:
            return
        if self.owner.name == wire.ADVISOR_NAME:
            raise Invalid(f'name: "{wire.ADVISOR_NAME}" is reserved while there is an advisor.')
        try:
            self.call.services.catalogue.resolve(model)
        except Invalid as refusal:
            raise Invalid(
                f"multiagent: The advisor's {refusal.message}", code=refusal.code
            ) from None
