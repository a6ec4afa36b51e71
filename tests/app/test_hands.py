"""A session whose hands are on an engine: from the SDK to the container, and its output back."""

from typing import Any

import pytest

from agentstead.app.hands import hands_of, owner_of
from agentstead.clock import SystemClock
from agentstead.errors import Misconfigured
from agentstead.settings import Settings, load
from agentstead.store.pool import Database
from tests.support.engines import on_docker
from tests.support.server import MODEL, serving

TOOLSET: Any = [{"type": "agent_toolset_20260401"}]
WORK = {
    "turns": [
        {"tools": [{"name": "bash", "input": {"command": "cat /mnt/session/uploads/given.txt; echo made > /mnt/session/outputs/o.txt"}}]},
        {"text": "It says:\n{{results}}"},
    ]
}  # fmt: skip


async def test_an_agent_works_in_a_container(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTSTEAD_SANDBOX", "docker")
    async with (
        on_docker() as docker,
        serving(database_url, workers=1, script=WORK, sandbox=docker.another()) as server,
    ):
        client = server.sdk()
        agent = await client.beta.agents.create(name="a", model=MODEL, tools=TOOLSET)
        environment = await client.beta.environments.create(name="e")
        given = await client.beta.files.upload(file=("given.txt", b"from the client", "text/plain"))
        files: Any = [
            {"type": "file", "file_id": given.id, "mount_path": "/mnt/session/uploads/given.txt"}
        ]
        session = await client.beta.sessions.create(
            agent=agent.id, environment_id=environment.id, resources=files
        )
        say: Any = {"type": "user.message", "content": [{"type": "text", "text": "go"}]}
        async with await client.beta.sessions.events.stream(session.id) as stream:
            await client.beta.sessions.events.send(session.id, events=[say])
            events = []
            async for event in stream:
                events.append(event)
                if event.type == "session.status_idle":
                    break
        said = [one for one in events if one.type == "agent.message"][-1].content[0].text
        assert "from the client" in said
        listed = await client.beta.files.list(extra_query={"scope_id": session.id})
        (output,) = [file for file in listed.data if file.filename == "o.txt"]
        body = await client.beta.files.download(output.id)
        assert await body.read() == b"made\n"
        refused = await server.http().post(
            "/v1/environments", json={"name": "i", "agentstead": {"image": "mine"}}
        )
        assert refused.status_code == 400
        assert "agentstead.image: Sandboxes on docker" in refused.json()["error"]["message"]


async def test_who_owns_a_sandbox_is_the_database(database_url: str) -> None:
    database = await Database.open(database_url, connections_max=1)
    try:
        name = await owner_of(Settings(), database)
        assert len(name) == 12
        assert name == await owner_of(Settings(), database)
        assert await owner_of(Settings(container_owner="mine"), database) == "mine"
    finally:
        await database.close()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"docker_host": "ssh://x", "sandbox_network": "none"}, "AGENTSTEAD_DOCKER_HOST"),
        ({"docker_certificates": "/nowhere", "sandbox_network": "none"}, "go with an address of the network"),
        ({"docker_certificates": "/nowhere", "docker_host": "tcp://h:2376", "sandbox_network": "none"}, "No such file"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused(given: dict[str, str], said: str) -> None:
    settings = load(sandbox="docker", **given)
    with pytest.raises(Misconfigured, match=said) as refused:
        hands_of(settings, SystemClock(), "test")
    assert len(refused.value.message.splitlines()) == 2
