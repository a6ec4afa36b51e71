"""wire §18 step 2: environments through the official SDK."""

from typing import Any

import anthropic
import pytest

from tests.conformance.requirements import requirement
from tests.support.server import MODEL, Running


@requirement(
    "environments:life", "environments:metadata", "environments:type-change", "environments:deleted"
)
async def test_an_environments_life(client: Any) -> None:
    made = await client.beta.environments.create(name="e", metadata={"a": "1", "b": "2"})
    assert made.config.networking.type == "unrestricted"
    assert made.config.packages.pip == []
    assert made.scope == "organization"
    changed = await client.beta.environments.update(
        made.id, metadata={"a": None, "b": "", "c": "3"}, description=""
    )
    assert (changed.metadata, changed.description) == ({"c": "3"}, "")
    assert (await client.beta.environments.update(made.id, description=None)).description is None
    with pytest.raises(anthropic.BadRequestError) as wrong:
        await client.beta.environments.update(made.id, config={"type": "self_hosted"})
    assert wrong.value.body["error"]["details"] == {"error_code": "invalid_config_type_change"}
    deleted = await client.beta.environments.delete(made.id)
    assert (deleted.id, deleted.type) == (made.id, "environment_deleted")
    with pytest.raises(anthropic.NotFoundError) as gone:
        await client.beta.environments.retrieve(made.id)
    assert gone.value.body["error"]["details"] == {"error_code": "environment_not_found"}


@requirement("environments:every-field")
async def test_an_environment_has_every_field(server: Running) -> None:
    body = {"name": "e", "config": {"type": "anthropic_cloud", "networking": {"type": "limited"}}}
    made = (await server.http().post("/v1/environments", json=body)).json()
    assert made == {
        "id": made["id"], "type": "environment", "name": "e", "description": None,
        "config": {
            "type": "cloud",
            "networking": {"type": "limited", "allowed_hosts": [], "allow_mcp_servers": False,
                           "allow_package_managers": False},
            "packages": {"type": "packages", "apt": [], "cargo": [], "gem": [], "go": [], "npm": [],
                         "pip": []},
        },
        "metadata": {}, "scope": "organization",
        "created_at": made["created_at"], "updated_at": made["created_at"], "archived_at": None,
    }  # fmt: skip


@requirement("environments:archived")
async def test_an_archived_environment_is_read_only(client: Any, agent: Any) -> None:
    made = await client.beta.environments.create(name="e")
    archived = await client.beta.environments.archive(made.id)
    assert archived.archived_at is not None
    for refused in (
        client.beta.environments.update(made.id, name="x"),
        client.beta.sessions.create(agent=agent.id, environment_id=made.id),
    ):
        with pytest.raises(anthropic.BadRequestError) as caught:
            await refused
        assert caught.value.body["error"]["details"] == {"error_code": "environment_archived"}
    assert [one async for one in client.beta.environments.list()] == []
    assert [one.id async for one in client.beta.environments.list(include_archived=True)] == [
        made.id
    ]


WRONG: list[tuple[Any, str | None, str]] = [
    ({}, None, "name: Field required."),
    ({"name": "e", "scope": "account"}, None, "scope: Only"),
    ({"name": "e", "metadata": {str(n): "x" for n in range(17)}}, "invalid_metadata", "metadata"),
    ({"name": "e", "metadata": {"k" * 65: "v"}}, "invalid_metadata", "metadata: Keys have 1 to 64"),
    ({"name": "e", "metadata": {"k": "x" * 513}}, "invalid_metadata", "metadata.k: Should have at most"),
    ({"name": "e", "metadata": {"k": 1}}, "invalid_metadata", "metadata.k: Input should be"),
    ({"name": "e", "metadata": []}, "invalid_metadata", "metadata: Input should be"),
    ({"name": "e", "config": {"type": "cloud", "networking": {"type": "limited"},
      "packages": {"pip": ["pytest"]}}}, None, "config.packages.pip"),
    ({"name": "e", "config": {"type": "cloud", "packages": {"apt": ["jq"], "pip": ["a"]}}}, None,
     "config.packages.apt: apt cannot install on this server."),
    ({"name": "e", "config": {"type": "cloud", "packages": {"pip": ["--index-url=x"]}}}, None,
     "config.packages.pip.0: Must be the name of a package"),
    ({"name": "e", "config": {"type": "cloud", "networking": {"type": "limited",
      "allowed_hosts": ["http://x"]}}}, None, "config.networking.allowed_hosts.0"),
]  # fmt: skip


@requirement("environments:refused-by-path")
async def test_a_wrong_environment_is_refused(server: Running) -> None:
    http = server.http()
    for body, code, said in WRONG:
        answer = await http.post("/v1/environments", json=body)
        assert answer.status_code == 400, answer.text
        error = answer.json()["error"]
        assert error["message"].startswith(said), answer.text
        assert error.get("details", {}).get("error_code") == code
    assert (await http.get("/v1/environments")).json()["data"] == []


@requirement("environments:self-hosted")
async def test_self_hosted_is_stored_and_echoed(client: Any, agent: Any) -> None:
    made = await client.beta.environments.create(name="mine", config={"type": "self_hosted"})
    assert made.config.to_dict() == {"type": "self_hosted"}
    session = await client.beta.sessions.create(agent=agent.id, environment_id=made.id)
    assert (session.environment_id, session.resources) == (made.id, [])
    file: Any = {"type": "file", "file_id": "file_none"}
    with pytest.raises(anthropic.BadRequestError, match="not supported for self_hosted"):
        await client.beta.sessions.create(agent=agent.id, environment_id=made.id, resources=[file])


@requirement("environments:limited-servers")
async def test_servers_must_be_allowed_by_a_limited_network(client: Any) -> None:
    agent = await client.beta.agents.create(
        name="a", model=MODEL, tools=[{"type": "mcp_toolset", "mcp_server_name": "s"}],
        mcp_servers=[{"type": "url", "name": "s", "url": "https://MCP.example.com/x"}],
    )  # fmt: skip

    async def session_on(**network: Any) -> Any:
        made = await client.beta.environments.create(
            name="e", config={"type": "cloud", "networking": {"type": "limited", **network}}
        )
        return await client.beta.sessions.create(agent=agent.id, environment_id=made.id)

    with pytest.raises(anthropic.BadRequestError, match=r"mcp_servers\.0\.url"):
        await session_on()
    assert (await session_on(allow_mcp_servers=True)).status == "idle"
    assert (await session_on(allowed_hosts=["*.example.com"])).status == "idle"
