"""What a session keeps of its skills, whatever becomes of them: name, description, files."""

from collections.abc import Mapping, Sequence
from typing import Any

from agentstead.api.router import Call
from agentstead.errors import Invalid
from agentstead.store.table import Row


async def skill_copies(call: Call, skills: Sequence[Mapping[str, Any]]) -> list[Row]:
    """The versions a session gets; Invalid when one has been deleted since its agent was made."""
    if not skills:
        return []
    rows = await call.services.database.fetch(
        "select v.id, v.skill_id, s.name, v.description, v.blob_id"
        " from skill_versions v join skills s on s.id = v.skill_id"
        " where v.workspace_id = %s and v.id = any(%s)",
        (call.workspace_id, [one["version"] for one in skills]),
    )
    by_id = {row["id"]: row for row in rows}
    for place, one in enumerate(skills):
        if one["version"] not in by_id:
            raise Invalid(
                f"agent.skills.{place}: Version {one['version']} of skill {one['skill_id']} was deleted; "
                "change the agent, or override its skills."
            )
    return [by_id[one["version"]] for one in skills]


async def keep_skills(call: Call, session_id: str, copies: Sequence[Row]) -> None:
    """Keep them; the session may not be written yet: what is kept for one that never comes is swept up."""
    if not copies:
        return
    async with call.services.database.pipeline() as tx:
        for place, row in enumerate(copies):
            await tx.ask(
                "insert into session_skills"
                " (workspace_id, session_id, place, version_id, name, description, blob_id, created_at)"
                " values (%s, %s, %s, %s, %s, %s, %s, to_timestamp(%s))",
                (
                    call.workspace_id, session_id, place, row["id"], row["name"], row["description"], row["blob_id"],
                    call.now,
                ),
            )  # fmt: skip
