"""`agentstead.image` of an environment, by the official SDK's `extra_body`, and sessions on it."""

import os
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import anthropic
import pytest

from tests.conformance.requirements import requirement
from tests.support.images import MARK, tiny_image
from tests.support.sandboxes import needed, real_sandboxes
from tests.support.server import MODEL, Running, serving

TOOLSET: Any = [{"type": "agent_toolset_20260401"}]
LOOK = {"command": "grep PRETTY /etc/os-release; id -un"}
WORK = {"turns": [{"tools": [{"name": "bash", "input": LOOK}]}, {"text": "{{results}}"}]}


def image(name: str | None) -> dict[str, Any]:
    return {"agentstead": {"image": name}}


@requirement("environments:image")
async def test_an_unknown_image_is_refused_by_its_field(client: Any) -> None:
    environments = client.beta.environments
    for name in ("nowhere", "", "../x", 7, "x" * 81):
        with pytest.raises(anthropic.BadRequestError) as wrong:
            await environments.create(name="e", extra_body=image(name))
        assert wrong.value.body["error"]["message"].startswith("agentstead.image")
    said = await environments.create(name="e", extra_body=image("host"))
    assert said.to_dict()["agentstead"] == {"image": "host"}
    cleared = await environments.update(said.id, extra_body=image(None))
    assert "agentstead" not in cleared.to_dict()
    with pytest.raises(
        anthropic.BadRequestError, match=r"agentstead\.image: The sandboxes of a self"
    ):
        await environments.create(
            name="e", config={"type": "self_hosted"}, extra_body=image("host")
        )


@requirement("environments:image")
async def test_on_an_engine_there_is_nothing_to_choose(
    client: Any, server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.services.settings, "sandbox", "docker")
    with pytest.raises(anthropic.BadRequestError, match=r"agentstead\.image: Sandboxes on docker"):
        await client.beta.environments.create(name="e", extra_body=image("host"))
    environment = await client.beta.environments.create(name="e")
    agent = await client.beta.agents.create(name="a", model=MODEL)
    await client.beta.sessions.create(agent=agent.id, environment_id=environment.id)


async def seen(client: Any, session_id: str) -> str:
    """What the sandbox of a session says it is."""
    say: Any = {"type": "user.message", "content": [{"type": "text", "text": "go"}]}
    async with await client.beta.sessions.events.stream(session_id) as stream:
        await client.beta.sessions.events.send(session_id, events=[say])
        said = ""
        async for event in stream:
            if event.type == "agent.tool_result":
                said = str(event.content[0].text)
            if event.type == "session.status_idle":
                break
    return said


@requirement("environments:image")
async def test_a_session_keeps_the_image_it_was_made_with(
    database_url: str, tmp_path: Path
) -> None:
    await needed()
    with tiny_image(tmp_path) as (images, made):
        async with (
            real_sandboxes(images=images) as hands,
            serving(
                database_url, workers=1, script=WORK, sandbox=hands, data_dir=tmp_path
            ) as server,
        ):
            client = server.sdk()
            agent = await client.beta.agents.create(name="a", model=MODEL, tools=TOOLSET)

            async def environment(name: str | None) -> str:
                chosen: Any = {"extra_body": image(name)} if name else {}
                new = await client.beta.environments.create(name="e", **chosen)
                return str(new.id)

            async def session(environment_id: str) -> str:
                new = await client.beta.sessions.create(
                    agent=agent.id, environment_id=environment_id
                )
                return str(new.id)

            before, by_name = await session(await environment(None)), await environment(made.name)
            images.use(made.id)
            default = await session(await environment(None))
            named = await session(by_name)
            images.use("")
            assert MARK in await seen(client, default)
            assert MARK not in await seen(client, before)
            assert MARK in await seen(client, named)
            apt: Any = {"type": "cloud", "packages": {"apt": ["jq"], "pip": ["it"]}}
            able = os.geteuid() == 0 and made.ranged
            with nullcontext() if able else pytest.raises(anthropic.BadRequestError) as refused:
                await client.beta.environments.create(
                    name="e", config=apt, extra_body=image(made.name)
                )
            if refused is not None:
                assert "config.packages.apt: apt cannot install" in refused.value.message
                assert "the platform to run as root" in refused.value.message
            images.remove(made)
            with pytest.raises(anthropic.BadRequestError) as gone:
                await session(by_name)
            assert "environment_id: Environment" in gone.value.message
            assert 'There is no image "tiny"' in gone.value.message
