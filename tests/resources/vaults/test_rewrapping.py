"""Putting stored secrets under the current master key."""

from agentstead.resources.vaults.rewrapping import rewrap
from tests.support.server import serving


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
