"""Agents as they are and as they were: the table, and a row at a version."""

from typing import Any

from agentstead.errors import NotFound
from agentstead.store.table import Asks, Row, Table

agents = Table(
    "agents",
    "agent",
    columns="t.*, v.body",
    source="agents t join agent_versions v on v.agent_id = t.id and v.version = t.version",
)


async def at_version(asks: Asks, workspace_id: str, agent_id: str, version: int | None) -> Row:
    """An agent's row at a version (None: the latest); NotFound."""
    row = await agents.retrieve(asks, workspace_id, agent_id)
    if version is None:
        return row
    found = await asks.fetch_one(
        "select version, body, created_at from agent_versions"
        " where workspace_id = %s and agent_id = %s and version = %s",
        (workspace_id, agent_id, version),
    )
    if found is None:
        raise NotFound(f"Agent {agent_id} has no version {version}.")
    return past(row, found)


def past(row: Row, version: Row) -> Row:
    """The row of an agent as it was at a version."""
    at = version["created_at"]
    return {
        **row,
        "version": version["version"],
        "body": version["body"],
        "updated_at": row["created_at"] if version["version"] == 1 else stamp(at),
    }


def stamp(at: Any) -> str:
    """A time of the database as on the wire."""
    return str(at.isoformat(timespec="microseconds")).replace("+00:00", "Z")
