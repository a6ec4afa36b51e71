"""Putting stored secrets under the current master key."""

from agentstead.resources.session_repositories import context
from agentstead.resources.vaults.rewrapping import rewrap
from tests.support.server import MODEL, serving


async def test_rewrapping_touches_what_is_under_another_key_only(database_url: str) -> None:
    async with serving(database_url) as server:
        vaults, services = server.sdk().beta.vaults, server.services
        vault = await vaults.create(display_name="v")
        auth = {
            "type": "static_bearer", "mcp_server_url": "https://m.example.com", "token": "one",
        }  # fmt: skip
        await vaults.credentials.create(vault.id, auth=auth)
        assert await rewrap(services.database, services.seal) == 0
        added = services.seal.ring.add()
        assert await rewrap(services.database, services.seal) == 1
        rows = await services.database.fetch("select sealed from vault_credentials")
        assert [row["sealed"]["token"].split(".")[1] for row in rows] == [added]


async def test_tokens_of_repositories_are_rewrapped_too(database_url: str) -> None:
    async with serving(database_url) as server:
        services, client = server.services, server.sdk()
        agent = await client.beta.agents.create(name="a", model=MODEL)
        environment = await client.beta.environments.create(name="e")
        url = "https://github.com/acme"
        await client.beta.sessions.create(
            agent=agent.id,
            environment_id=environment.id,
            resources=[
                {"type": "github_repository", "url": f"{url}/a", "authorization_token": "ghp_a"},
                {"type": "github_repository", "url": f"{url}/b"},
            ],
        )
        assert await rewrap(services.database, services.seal) == 0
        services.seal.ring.add()
        assert await rewrap(services.database, services.seal) == 1
        services.seal.ring.drop_old()
        (row,) = await services.database.fetch(
            "select resource_id, sealed from session_repositories where sealed is not null"
        )
        assert services.seal.open(context(row["resource_id"]), row["sealed"]) == "ghp_a"


async def test_secrets_of_connectors_are_rewrapped_too(database_url: str) -> None:
    async with serving(database_url) as server:
        services = server.services
        auth = {"type": "bearer", "token": "hidden"}
        config = {"type": "api", "endpoint": "https://a.example.com", "auth": auth}
        body = {"name": "a", "config": config, "permissions": {"read": True}}
        made = (await server.http().post("/v1/connectors", json=body)).json()
        services.seal.ring.add()
        assert await rewrap(services.database, services.seal) == 1
        services.seal.ring.drop_old()
        tried = await server.http().get(f"/v1/connectors/{made['id']}")
        assert [one["name"] for one in tried.json()["tools"]] == ["a_list", "a_get"]
