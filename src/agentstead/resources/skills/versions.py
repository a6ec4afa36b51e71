"""Versions of a skill: each a full snapshot of its files.

Promises: a version never changes; its name is the skill's; `latest` is the newest one there is; the
last one stays as long as the skill does, except for older clients, who delete it first.
"""

from collections.abc import Mapping
from typing import Any

from agentstead.api.downloads import Content, Download, download
from agentstead.api.paging import Cursor, cursor, limit, page
from agentstead.api.router import Call, Router
from agentstead.api.uploads import Form
from agentstead.errors import Invalid, NotFound
from agentstead.resources.listing import place
from agentstead.resources.skills.skills import LIMIT, LIMIT_MAX, skills
from agentstead.resources.skills.upload import FORM, legacy, skill_versions, taken_in
from agentstead.store.table import Asks, Filter, Row, Slice
from agentstead.wire.answers.answer import Deleted
from agentstead.wire.answers.file import SkillVersion, SkillVersionPage

router = Router("Skills")
PATH = "/v1/skills/{skill_id}/versions"
ONE = PATH + "/{version}"
LATEST = "latest"
NUMBER_MAX = 2**62


@router.upload(PATH, FORM, answer=SkillVersion)
async def create(call: Call, form: Form, skill_id: str) -> Mapping[str, Any]:
    """Create a version of a skill."""
    await skills.retrieve(call.services.database, call.workspace_id, skill_id)
    upload = await taken_in(call, form, named=False)
    async with call.services.database.transaction() as tx:
        write = call.write(tx)
        row = await skills.lock(write, skill_id)
        if upload.bundle.name != row["name"]:
            raise Invalid(
                f'files: The name in SKILL.md is "{upload.bundle.name}"; every version of this skill is '
                f'named "{row["name"]}".'
            )
        version_id = await upload.add(write, skill_id)
        await skills.update(write, skill_id, {}, "add_version")
        return answer(call, await found(tx, call.workspace_id, skill_id, version_id))


@router.get(PATH, query=("limit", "page"), answer=SkillVersionPage)
async def list_versions(call: Call, skill_id: str) -> Mapping[str, Any]:
    """List the versions of a skill, newest first."""
    await skills.retrieve(call.services.database, call.workspace_id, skill_id)
    kind = f"versions:{skill_id}"
    at = cursor(call.query, kind, "desc", (str, str))
    part = Slice(limit(call.query, LIMIT, LIMIT_MAX), after=place(at) if at else None)
    filters = [Filter("t.skill_id = %s", (skill_id,))]
    rows, more = await skill_versions.list(call.services.database, call.workspace_id, part, filters)
    last = Cursor(kind, "desc", (rows[-1]["created_at"], rows[-1]["id"])) if more else None
    listed = page([answer(call, row) for row in rows], last)
    return {**listed, "has_more": more} if legacy(call) else listed


@router.get(ONE, answer=SkillVersion)
async def retrieve(call: Call, skill_id: str, version: str) -> Mapping[str, Any]:
    """Retrieve a version, by its id or `latest`."""
    return answer(call, await found(call.services.database, call.workspace_id, skill_id, version))


@router.get(ONE + "/content", answer=Download)
async def content(call: Call, skill_id: str, version: str) -> Download:
    """Download a version's files as a zip with one folder, named after the skill."""
    row = await found(call.services.database, call.workspace_id, skill_id, version)
    blob_id = row["blob_id"]
    return await download(
        Content(
            f"{row['name']}.zip",
            "application/zip",
            row["size_bytes"],
            lambda start, end: call.services.blobs.read(blob_id, start, end),
        ),
        call.headers,
    )


@router.delete(ONE, answer=Deleted)
async def delete(call: Call, skill_id: str, version: str) -> Mapping[str, Any]:
    """Delete a version; the newest that is left becomes the latest."""
    async with call.services.database.transaction() as tx:
        write = call.write(tx)
        await skills.lock(write, skill_id)
        row = await found(tx, call.workspace_id, skill_id, version)
        others = await tx.fetch_one(
            "select 1 from skill_versions where skill_id = %s and id <> %s limit 1",
            (skill_id, row["id"]),
        )
        if others is None and not legacy(call):
            raise Invalid(f"{row['id']} is the only version of skill {skill_id}; delete the skill.")
        await skill_versions.delete(write, row["id"])
    return {"id": version if legacy(call) else row["id"], "type": "skill_version_deleted"}


async def found(asks: Asks, workspace_id: str, skill_id: str, version: str) -> Row:
    """One version by its id, by `latest`, or by the number older clients know it under; NotFound."""
    of_skill = Filter("t.skill_id = %s", (skill_id,))
    if version == LATEST:
        named = Filter("true")
    elif version.isascii() and version.isdigit() and int(version) < NUMBER_MAX:
        named = Filter("t.number = %s", (int(version),))
    else:
        named = Filter("t.id = %s", (version,))
    rows, _ = await skill_versions.list(asks, workspace_id, Slice(1), [of_skill, named])
    if not rows:
        raise NotFound(f"Version {version} of skill {skill_id} not found.")
    return rows[0]


def answer(call: Call, row: Row) -> dict[str, Any]:
    """The wire's SkillVersion of a row."""
    older = {"version": str(row["number"]), "directory": row["name"]} if legacy(call) else {}
    return {
        "id": row["id"],
        "type": "skill_version",
        "skill_id": row["skill_id"],
        "name": row["name"],
        "description": row["description"],
        "created_at": row["created_at"],
        **older,
    }
