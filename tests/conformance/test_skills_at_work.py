"""Skills in agents, sessions, sandboxes and on workers, with the official SDK."""

from pathlib import Path
from typing import Any

import anthropic
import pytest
from anthropic.lib import files_from_dir

from agentstead.resources import environment_keys
from agentstead.store.files import sweep
from agentstead.worker.skills import forget
from tests.conformance.requirements import requirement
from tests.conformance.test_turns import say, texts, watching
from tests.support.sandboxes import needed, real_sandboxes
from tests.support.server import MODEL, Running, serving

TOOLSET: Any = [{"type": "agent_toolset_20260401"}]
LOOK = "cat /mnt/skills/report-maker/SKILL.md; /mnt/skills/report-maker/scripts/run.sh; touch /mnt/skills/report-maker/x"
SCRIPT = {
    "turns": [
        {"tools": [{"name": "bash", "input": {"command": LOOK}}]},
        {"text": "{{results}}"},
    ]
}


def skill_folder(root: Path, name: str, description: str) -> Path:
    place = root / name
    (place / "scripts").mkdir(parents=True)
    (place / "SKILL.md").write_text(f"---\nname: {name}\ndescription: {description}\n---\n# How\n")
    (place / "scripts" / "run.sh").write_text("#!/bin/sh\necho ran as $(id -un)\n")
    return place


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return skill_folder(tmp_path, "report-maker", "Makes reports.")


async def an_agent(client: Any, *skills: Any) -> Any:
    return await client.beta.agents.create(
        name="a", model=MODEL, tools=TOOLSET, skills=list(skills)
    )


def custom(skill_id: str, version: str | None = None) -> Any:
    return {"type": "custom", "skill_id": skill_id, **({"version": version} if version else {})}


@requirement("skills:agents")
async def test_an_agents_skills_are_resolved(client: Any, folder: Path, tmp_path: Path) -> None:
    made = await client.skills.create(files=files_from_dir(folder))
    agent = await an_agent(client, custom(made.id))
    assert agent.to_dict()["skills"] == [
        {"type": "custom", "skill_id": made.id, "version": made.latest_version_id}
    ]
    second = await client.skills.versions.create(made.id, files=files_from_dir(folder))
    assert (await client.beta.agents.retrieve(agent.id)).skills[0].version == made.latest_version_id
    newer = await client.beta.agents.update(
        agent.id, version=agent.version, skills=[custom(made.id, "latest")]
    )
    assert (newer.version, newer.skills[0].version) == (2, second.id)
    pinned = await an_agent(client, custom(made.id, made.latest_version_id))
    assert pinned.skills[0].version == made.latest_version_id
    twin = await client.skills.create(files=files_from_dir(folder))
    for wrong, said in (
        ([custom("skill_nothing")], r'skills\.0: There is no skill "skill_nothing"'),
        ([custom(made.id, "skver_nothing")], r"skills\.0.*in version skver_nothing"),
        ([custom(made.id), custom(twin.id)], r'skills\.1: Its name, "report-maker"'),
        ([{"type": "anthropic", "skill_id": "xlsx"}], r"skills\.0\.skill_id: The hosted service"),
    ):
        with pytest.raises(anthropic.BadRequestError, match=said):
            await an_agent(client, *wrong)
    with pytest.raises(anthropic.BadRequestError, match="need the read tool"):
        await client.beta.agents.create(name="a", model=MODEL, skills=[custom(made.id)])


@requirement("skills:sessions", "skills:mounted")
async def test_a_session_uses_its_skills_whatever_is_deleted(
    database_url: str, folder: Path
) -> None:
    await needed()
    async with (
        real_sandboxes() as hands,
        serving(database_url, workers=1, script=SCRIPT, sandbox=hands) as server,
    ):
        client = server.sdk()
        made = await client.skills.create(files=files_from_dir(folder))
        agent = await an_agent(client, custom(made.id))
        environment = await client.beta.environments.create(name="e")
        session = await client.beta.sessions.create(agent=agent.id, environment_id=environment.id)
        assert session.agent.skills[0].version == made.latest_version_id
        await client.skills.delete(made.id)
        await sweep(server.database, server.services.blobs, grace_seconds=0.0)
        with pytest.raises(
            anthropic.BadRequestError, match=r"agent\.skills\.0: Version .* was deleted"
        ):
            await client.beta.sessions.create(agent=agent.id, environment_id=environment.id)
        async with watching(client, session) as watch:
            await watch.send(say("go"))
            await watch.idle()
            (result,) = watch.calls("agent.tool_result")
            said = result.content[0].text
        assert "Makes reports." in said
        assert "ran as agent" in said
        assert "Read-only file system" in said
        assert "Makes reports." in texts(watch.seen)[-1]
        unpacked = server.folder / "skills"
        assert await forget(server.database, unpacked) == 0
        await client.beta.sessions.delete(session.id)
        await sweep(server.database, server.services.blobs, grace_seconds=0.0)
        assert await forget(server.database, unpacked) == 1
        assert list(unpacked.iterdir()) == []


@requirement("skills:workers")
async def test_a_worker_gets_the_skills_of_its_sessions_only(
    client: Any, server: Running, folder: Path, tmp_path: Path
) -> None:
    made = await client.skills.create(files=files_from_dir(folder))
    other = await client.skills.create(
        files=files_from_dir(skill_folder(tmp_path / "more", "other", "Not for this one."))
    )
    agent = await an_agent(client, custom(made.id))
    environment = await client.beta.environments.create(name="e", config={"type": "self_hosted"})
    await client.beta.sessions.create(
        agent=agent.id, environment_id=environment.id, initial_events=[say("go")]
    )
    _, key = await environment_keys.create(server.database, environment.id, "w")
    worker = server.sdk(api_key=None, auth_token=key)
    version = await worker.beta.skills.versions.retrieve("latest", skill_id=made.id)
    answer = await worker.beta.skills.versions.download(version.id, skill_id=made.id)
    assert (await answer.read()).startswith(b"PK")
    with pytest.raises(anthropic.NotFoundError):
        await worker.beta.skills.versions.retrieve("latest", skill_id=other.id)
    for refused in (
        worker.beta.skills.retrieve(made.id),
        worker.beta.skills.list(),
    ):
        with pytest.raises(anthropic.PermissionDeniedError):
            await refused
