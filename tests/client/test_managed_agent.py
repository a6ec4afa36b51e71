"""An agent by declaration, against a real database, a real API and a real receiver of webhooks."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import psycopg
import pytest

from agentstead import (
    ApprovalNeeded,
    ClaudeManagedAgent,
    NotAvailableYet,
    api_tool,
    database_tool,
    notification_tool,
    tool,
)
from agentstead.client.follow import follow
from agentstead.errors import Invalid
from tests.support.customers import Customers, customers_serving
from tests.support.relay import on_a_port
from tests.support.server import Running, serving

INSERT = {"sql": "insert into people values (1, :name)", "parameters": {"name": "Ada"}}
SELECT = {"sql": "select count(*) from people"}


def call(name: str, **given: Any) -> dict[str, Any]:
    return {"name": name, "input": given}


SCRIPT = {
    "scripts": [
        {
            "when": {"contains": "Onboard Ada"},
            "turns": [
                {"tools": [call("customer_api_create", body={"name": "Ada"})]},
                {"tools": [call("user_db_query", **SELECT), call("user_db_execute", **INSERT)]},
                {"tools": [call("slack_send", message="Ada Lovelace is in.")]},
                {"text": "Onboarded. {{results}}"},
            ],
        },
        {"when": {"contains": "add"}, "turns": [{"tools": [call("add", a=1, b=2)]}, {"text": "{{results}}"}]},
        {"when": {"contains": "wrong"}, "turns": [{"tools": [call("add", a="x")]}, {"text": "{{results}}"}]},
        {"when": {"contains": "ask"}, "turns": [{"tools": [call("customer_api_create", body={})]}, {"text": "Ok."}]},
    ],
    "otherwise": "Nothing to do.",
}  # fmt: skip


@pytest.fixture
async def server(database_url: str) -> AsyncIterator[Running]:
    listed = ["127.0.0.1"]
    async with serving(
        database_url, workers=1, script=SCRIPT, connector_private_hosts=listed
    ) as running:
        yield running


@pytest.fixture
async def api() -> AsyncIterator[Customers]:
    async with customers_serving() as served:
        yield served


@tool
def add(a: int, b: int = 0) -> int:
    """Add two numbers."""
    return a + b


def an_agent(server: Running, *tools: Any, **more: Any) -> ClaudeManagedAgent:
    given = {"base_url": server.url, "api_key": server.key, **more}
    return ClaudeManagedAgent("Process customer onboarding", tools, **given)


async def connectors(server: Running) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await server.http().get("/v1/connectors")).json()["data"]
    return found


@pytest.mark.timeout(60)
async def test_the_whole_of_a_declaration_at_work(
    server: Running, api: Customers, database_url: str
) -> None:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute("create table people (id int, name text)")
    async with on_a_port(database_url) as url, customers_serving() as slack:

        def declared(**writing: bool) -> ClaudeManagedAgent:
            return an_agent(
                server,
                api_tool("customer_api", f"{api.url}/customers", {"read": True, "write": True}),
                database_tool("user_db", url, {"read": True, "write": False, **writing}),
                notification_tool("slack", "#onboarding", {"send": True}, url=f"{slack.url}/hook"),
            )

        result = await asyncio.to_thread(declared().run, "Onboard Ada Lovelace")
        again = await asyncio.to_thread(declared().run, "Onboard Ada Lovelace")
        assert [one["version"] for one in await connectors(server)] == [1, 1, 1]
        await asyncio.to_thread(declared(write=True).run, "Onboard Ada Lovelace")
    assert result.text.startswith("Onboarded.")
    assert [(one.name, one.is_error) for one in result.tool_calls] == [
        ("customer_api_create", False),
        ("user_db_query", False),
        ("user_db_execute", True),
        ("slack_send", False),
    ]
    assert "no tool named user_db_execute" in (result.tool_calls[2].output or "")
    assert '"rows": [\n[0]\n]' in (result.tool_calls[1].output or "")
    assert result.session_id != again.session_id
    assert result.usage["output_tokens"] > 0
    assert json.loads(slack.asked[0].body)["text"] == "Ada Lovelace is in."
    assert [one.method for one in api.asked] == ["POST"] * 3
    assert {one["name"]: one["version"] for one in await connectors(server)}["user_db"] == 2
    agents = [one async for one in server.sdk().beta.agents.list()]
    assert len(agents) == 1
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        rows = await (await connection.execute("select id, name from people")).fetchall()
    assert rows == [(1, "Ada")]


async def test_a_note_on_a_connector_makes_no_version(server: Running) -> None:
    config = {"type": "api", "endpoint": "https://a.example.com"}
    body = {"name": "a", "config": config, "permissions": {"read": True}}
    http = server.http()
    made = (await http.post("/v1/connectors", json=body)).json()
    for change, version in (({"metadata": {"k": "v"}}, 1), ({"retries_max": 1}, 2), ({}, 2)):
        changed = await http.post(f"/v1/connectors/{made['id']}", json=change)
        assert changed.json()["version"] == version


async def test_functions_of_the_program_answer(server: Running) -> None:
    agent = an_agent(server, add)
    assert "3" in (await agent.arun("add")).text
    assert "invalid input" in (await agent.arun("wrong")).text
    assert add(2, b=3) == 5


async def test_a_run_never_waits_silently(server: Running, api: Customers) -> None:
    declared = api_tool(
        "customer_api", f"{api.url}/customers", {"read": True, "write": True}, ask=["create"]
    )
    with pytest.raises(ApprovalNeeded) as caught:
        await an_agent(server, declared).arun("ask")
    assert len(caught.value.ids) == 1
    assert caught.value.calls[0].name == "customer_api_create"
    assert api.asked == []
    denied = await an_agent(server, declared, on_ask=lambda _: "not today").arun("ask")
    assert "not today" in (denied.tool_calls[0].output or "")
    assert api.asked == []
    allowed = await an_agent(server, declared, on_ask=lambda _: True).arun("ask")
    assert not allowed.tool_calls[0].is_error
    assert len(api.asked) == 1


def steps(agent: ClaudeManagedAgent) -> list[str]:
    handle = agent.start("add")
    kinds = [event["type"] for event in handle]
    assert "3" in handle.wait().text
    handle.send("add")
    assert len(handle.wait().tool_calls) == 2
    handle.close()
    return kinds


async def test_a_handle_tells_what_happens(server: Running) -> None:
    kinds = await asyncio.to_thread(steps, an_agent(server, add))
    assert kinds[-1] == "session.status_idle"
    assert "agent.custom_tool_use" in kinds
    assert "user.custom_tool_result" in kinds


async def test_events_are_followed_from_the_first(server: Running) -> None:
    result = await an_agent(server, add).arun("add")
    seen = []
    async with aclosing(
        follow(result.session_id, base_url=server.url, api_key=server.key)
    ) as events:
        async for event in events:
            seen.append(event["id"])
            idle = event["type"] == "session.status_idle"
            if idle and event["stop_reason"]["type"] == "end_turn":
                break
    client = server.sdk()
    listed = [one.id async for one in client.beta.sessions.events.list(result.session_id)]
    assert list(dict.fromkeys(seen)) == listed


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: api_tool("a", "nowhere", {"read": True}), "config.endpoint"),
        (lambda: api_tool("A b", "https://a.test", {"read": True}), "name"),
        (lambda: api_tool("a", "https://a.test", {"reed": True}), "permissions.reed"),
        (lambda: api_tool("a", "https://a.test", {}, timeout=1), "timeout"),
        (
            lambda: database_tool("d", "postgresql://u:hidden@:x/y", {"read": True}),
            "config.connection",
        ),
        (lambda: database_tool("d", "mongodb://u:hidden@h/y", {"read": True}), "config.connection"),
        (lambda: notification_tool("s", "#x", {"read": True}), "permissions.read"),
        (lambda: ClaudeManagedAgent(" "), "goal"),
        (lambda: ClaudeManagedAgent("x", ["rm"]), "tools.0"),
        (lambda: ClaudeManagedAgent("x", [add, add]), "tools.1"),
        (lambda: tool(lambda a: a), "name"),
    ],
)
def test_a_declaration_that_is_wrong_is_refused_by_field(make: Any, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        make()
    assert caught.value.message.startswith(field)
    assert "hidden" not in caught.value.message


def test_what_is_not_there_yet_says_so() -> None:
    for given in ({"memory": "x"}, {"agents": []}):
        with pytest.raises(NotAvailableYet, match=next(iter(given))):
            ClaudeManagedAgent("x", **given)
    with pytest.raises(NotAvailableYet, match="deployments"):
        ClaudeManagedAgent("x").deploy("daily")
