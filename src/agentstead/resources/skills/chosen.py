"""The skills that an agent names, resolved to versions."""

from collections.abc import Sequence
from typing import Any

from agentstead.api.router import Call
from agentstead.errors import Invalid, NotFound
from agentstead.resources.skills.versions import LATEST, found
from agentstead.wire.agent import AnthropicSkill, CustomSkill


async def chosen(
    call: Call, given: Sequence[AnthropicSkill | CustomSkill] | None
) -> list[dict[str, Any]]:
    """Skills as stored and answered: each with a version that exists; Invalid names the one at fault."""
    skills: list[dict[str, Any]] = []
    names: dict[str, int] = {}
    for place, one in enumerate(given or ()):
        path = f"skills.{place}"
        if isinstance(one, AnthropicSkill):
            raise Invalid(
                f'{path}.skill_id: The hosted service\'s own skill "{one.skill_id}" is not ours to give; '
                "upload one of your own and name it with type custom."
            )
        try:
            row = await found(
                call.services.database, call.workspace_id, one.skill_id, one.version or LATEST
            )
        except NotFound:
            wanted = f" in version {one.version}" if one.version not in (None, LATEST) else ""
            raise Invalid(f'{path}: There is no skill "{one.skill_id}"{wanted}.') from None
        first = names.setdefault(row["name"], place)
        if first != place:
            raise Invalid(
                f'{path}: Its name, "{row["name"]}", is that of skills.{first} too; '
                "a sandbox holds one skill of a name."
            )
        skills.append({"type": "custom", "skill_id": one.skill_id, "version": row["id"]})
    return skills
