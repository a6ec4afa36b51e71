"""Connectors: declared over HTTP, used by the official SDK as servers of tools."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.conformance.requirements import requirement
from tests.conformance.test_mcp import ALLOW, a_session, declared, script, toolset, uses
from tests.conformance.test_turns import say, watching
from tests.support.customers import Customers, customers_serving
from tests.support.server import Running, serving

SCRIPT = {
    "scripts": [
        script("look up", {"tools": [{"name": "customers_get", "input": {"id": "1"}}]}),
        script(
            "write", {"tools": [{"name": "customers_create", "input": {"body": {"name": "Eve"}}}]}
        ),
        script("wrong", uses("customers_get")),
        script("delete", {"tools": [{"name": "customers_delete", "input": {"id": "1"}}]}),
    ],
    "otherwise": "Nothing to do.",
}


@pytest.fixture
async def server(database_url: str) -> AsyncIterator[Running]:
    async with serving(
        database_url, workers=1, script=SCRIPT, connector_private_hosts=["127.0.0.1"]
    ) as running:
        yield running


@pytest.fixture
async def api() -> AsyncIterator[Customers]:
    async with customers_serving() as served:
        yield served


def a_connector(api: Customers, **more: Any) -> dict[str, Any]:
    return {
        "name": "customers",
        "config": {
            "type": "api", "endpoint": f"{api.url}/customers",
            "auth": {"type": "bearer", "token": "a-secret-token"},
        },
        "permissions": {"read": True, "write": True},
        "retries_max": 0,
        **more,
    }  # fmt: skip


async def made(server: Running, body: dict[str, Any]) -> dict[str, Any]:
    response = await server.http().post("/v1/connectors", json=body)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    assert "a-secret-token" not in response.text
    return found


async def turn(server: Running, words: str) -> Any:
    client = server.sdk()
    session = await a_session(
        client, [toolset("customers", ALLOW)], [declared("connector://customers", "customers")]
    )
    async with watching(client, session) as watch:
        await watch.send(say(words))
        await watch.idle()
    return watch


@requirement("connectors:used")
async def test_a_model_uses_what_is_declared(server: Running, api: Customers) -> None:
    connector = await made(server, a_connector(api))
    assert [tool["name"] for tool in connector["tools"]] == [
        "customers_list", "customers_get", "customers_create", "customers_update",
    ]  # fmt: skip
    watch = await turn(server, "look up")
    (use,), (result,) = watch.calls("agent.mcp_tool_use"), watch.calls("agent.mcp_tool_result")
    assert (use.name, use.mcp_server_name) == ("customers_get", "customers")
    assert not result.is_error
    assert '"name":"Ada"' in result.content[0].text
    assert api.asked[0].headers["authorization"] == "Bearer a-secret-token"
    assert "idempotency-key" not in api.asked[0].headers


@requirement("connectors:used")
async def test_a_write_carries_the_events_id(server: Running, api: Customers) -> None:
    await made(server, a_connector(api))
    watch = await turn(server, "write")
    (use,) = watch.calls("agent.mcp_tool_use")
    assert [(one.method, one.headers["idempotency-key"]) for one in api.asked] == [("POST", use.id)]
    assert api.rows["2"] == {"name": "Eve"}
