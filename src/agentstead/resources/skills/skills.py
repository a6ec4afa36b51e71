"""Skills: create, list, retrieve, delete.

Promises: a skill is created with its first version or not at all; its name never changes; deleting it
removes all versions, and what sessions have of it stays with them.
"""

from collections.abc import Mapping
from typing import Any

from agentstead.api.paging import Cursor, cursor, limit, page
from agentstead.api.router import Call, Router
from agentstead.api.uploads import Form
from agentstead.errors import Invalid, NotFound
from agentstead.ids import SKILL
from agentstead.resources.listing import place
from agentstead.resources.skills.upload import FORM, legacy, taken_in
from agentstead.store.table import Filter, Row, Slice, Table
from agentstead.wire.answers.answer import Deleted
from agentstead.wire.answers.file import Skill, SkillPage

router = Router("Skills")
LIMIT, LIMIT_MAX = 20, 1000
skills = Table(
    "skills",
    "skill",
    columns="t.*",
    source="(select s.*, l.id as latest_version_id, l.number as latest_number"
    " from skills s left join lateral (select v.id, v.number from skill_versions v"
    " where v.skill_id = s.id order by v.number desc limit 1) l on true) t",
)
SOURCES = ("custom", "anthropic", "anthropic_example", "plugin")


@router.upload("/v1/skills", FORM, answer=Skill)
async def create(call: Call, form: Form) -> Mapping[str, Any]:
    """Create a skill with its first version."""
    upload = await taken_in(call, form, named=True)
    skill_id = call.services.ids.new(SKILL)
    values = {
        "id": skill_id,
        "name": upload.bundle.name,
        "display_name": upload.display_name or upload.bundle.name,
    }
    async with call.services.database.transaction() as tx:
        write = call.write(tx)
        await skills.insert(write, values)
        await upload.add(write, skill_id)
        return answer(call, await skills.retrieve(tx, call.workspace_id, skill_id))


@router.get("/v1/skills", query=("source", "limit", "page"), answer=SkillPage)
async def list_skills(call: Call) -> Mapping[str, Any]:
    """List skills, newest first; older clients get the oldest first."""
    source = (
        call.query.choice("source", SOURCES, "custom") if call.query.text("source") else "custom"
    )
    filters = [] if legacy(call) else [Filter("t.latest_version_id is not null")]
    if source != "custom":
        filters.append(Filter("false"))  # none of the vendor's own are here
    order = "asc" if legacy(call) else "desc"
    at = cursor(call.query, "skills", order, (str, str))
    part = Slice(
        limit(call.query, LIMIT, LIMIT_MAX),
        descending=order == "desc",
        after=place(at) if at else None,
    )
    rows, more = await skills.list(call.services.database, call.workspace_id, part, filters)
    last = Cursor("skills", order, (rows[-1]["created_at"], rows[-1]["id"])) if more else None
    found = page([answer(call, row) for row in rows], last)
    return {**found, "has_more": more} if legacy(call) else found


@router.get("/v1/skills/{skill_id}", answer=Skill)
async def retrieve(call: Call, skill_id: str) -> Mapping[str, Any]:
    """Retrieve a skill."""
    return answer(call, await skills.retrieve(call.services.database, call.workspace_id, skill_id))


@router.delete("/v1/skills/{skill_id}", answer=Deleted)
async def delete(call: Call, skill_id: str) -> Mapping[str, Any]:
    """Delete a skill and all its versions."""
    async with call.services.database.transaction() as tx:
        write = call.write(tx)
        row = await skills.lock(write, skill_id)
        if legacy(call) and row["latest_version_id"] is not None:
            raise Invalid(f"Skill {skill_id} has versions; delete them first.")
        await tx.execute("delete from skill_versions where skill_id = %s", (skill_id,))
        await skills.delete(write, skill_id)
    return {"id": skill_id, "type": "skill_deleted"}


def answer(call: Call, row: Row) -> dict[str, Any]:
    """The wire's Skill of a row. One whose only version an older client deleted is there for such only."""
    times = {"created_at": row["created_at"], "updated_at": row["updated_at"]}
    if legacy(call):
        number = row["latest_number"]
        return {
            "id": row["id"],
            "type": "skill",
            "display_title": row["display_name"],
            "latest_version": None if number is None else str(number),
            "source": "custom",
            **times,
        }
    if row["latest_version_id"] is None:
        raise NotFound(f"Skill {row['id']} has no version.")
    return {
        "id": row["id"],
        "type": "skill",
        "display_name": row["display_name"],
        "latest_version_id": row["latest_version_id"],
        "source": {"type": "custom"},
        **times,
    }
