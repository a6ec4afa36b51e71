"""The installed SDK against this server: every method, every field it may send, every field it reads."""

import re
import typing
from typing import Any

import pytest
from anthropic.types.beta import (
    BetaEnvironment,
    BetaEnvironmentDeleteResponse,
    BetaManagedAgentsAgent,
    BetaManagedAgentsDeletedSession,
    BetaManagedAgentsSession,
    BetaModelInfo,
)
from anthropic.types.beta.environments import (
    BetaSelfHostedWork,
    BetaSelfHostedWorkHeartbeatResponse,
    BetaSelfHostedWorkQueueStats,
)
from anthropic.types.beta.sessions import (
    BetaManagedAgentsSessionEvent,
    BetaManagedAgentsSessionThread,
    BetaManagedAgentsStreamSessionEvents,
)

from agentstead.api.router import Route
from agentstead.resources import ROUTERS
from agentstead.wire.events.names import DELETED, PERSISTED
from tests.conformance import gaps
from tests.conformance.drift import Requests, unanswered
from tests.conformance.requirements import requirement
from tests.conformance.sdk_surface import Method, constants, members, methods
from tests.support.mcp_servers import mcp_serving
from tests.support.server import MODEL, Running, serving
from tests.support.waiting import until

TOOLSET = "agent_toolset_20260401"


def form(verb: str, path: str) -> tuple[str, str]:
    """A route without the names of its parameters."""
    return verb, re.sub(r"{[^}]*}", "{}", path)


ROUTES: dict[tuple[str, str], Route] = {
    form(route.method, route.path): route for router in ROUTERS for route in router.routes
}


def served(method: Method) -> Route | None:
    return ROUTES.get(form(method.verb or "", method.path))


def family(method: Method) -> str | None:
    """The gap a method belongs to."""
    found = [one for one in gaps.FAMILIES if method.id.startswith(f"{one}.")]
    return max(found, key=len, default=None)


@requirement("sdks:methods")
def test_every_method_has_a_route_or_a_reason() -> None:
    assert len(methods()) > 200
    asking = [one for one in methods().values() if one.verb]
    assert [one.id for one in asking if not served(one) and not family(one)] == []
    # Both ways: nothing that is called a gap is served, and every gap is one of the SDK's.
    assert [one.id for one in asking if served(one) and family(one)] == []
    assert set(gaps.FAMILIES) - {family(one) for one in methods().values()} == set()


def differences(method: Method, route: Route) -> list[str]:
    """What the SDK may send and the route does not take."""
    names = {one.removesuffix("[]") for one in route.query}
    found = [f"?{one}" for one in method.query if one.removesuffix("[]") not in names]
    schema = route.body.model_json_schema() if route.body else {}
    for name, hint in method.body.items():
        taken = schema.get("properties", {}).get(name)
        found += Requests(schema).differences(hint, taken, name) if taken else [name]
    return found


@requirement("sdks:parameters")
def test_every_field_that_can_be_sent_is_taken() -> None:
    found = {
        f"{one.id}: {difference}"
        for one in methods().values()
        if (route := served(one))
        for difference in differences(one, route)
    }
    assert found == set(gaps.REQUESTS)


@requirement("sdks:parameters")
def test_a_field_that_is_missing_is_seen() -> None:
    send = methods()["sessions.events.send"]
    schema = ROUTES[form(send.verb or "", send.path)].body.model_json_schema()  # type: ignore[union-attr]
    del schema["$defs"]["SearchResultBlock"]["properties"]["citations"]
    del schema["$defs"]["UserToolConfirmation"]["properties"]["result"]["enum"][1]
    found = list(
        Requests(schema).differences(send.body["events"], schema["properties"]["events"], "e")
    )
    assert len(found) == 2
    assert found[0] == "e[]<user.tool_confirmation>.result: 'deny'"
    assert found[1].endswith("<search_result>.citations")


SCRIPT: dict[str, Any] = {
    "scripts": [
        {"when": {"contains": "work"}, "turns": [
            {"thinking": "Hm.", "text": "On it.", "tools": [
                {"name": "read", "input": {"file_path": "/a"}},
                {"name": "bash", "input": {"command": "ls"}},
                {"name": "mcp__docs__add", "input": {"a": 1, "b": 2}},
                {"name": "lookup", "input": {}}]},
            {"text": "Done.", "trouble": [{"status": 529}]}]},
    ],
}  # fmt: skip
LOOKUP = {
    "type": "custom",
    "name": "lookup",
    "description": "d",
    "input_schema": {"type": "object"},
}
AGENT: dict[str, Any] = {
    "name": "Fixer", "model": MODEL,
    "mcp_servers": [{"type": "url", "name": "docs", "url": "https://mcp.example.com/"}],
    "tools": [
        {"type": TOOLSET, "configs": [
            {"name": "bash", "permission_policy": {"type": "always_ask"}},
            {"name": "web_fetch", "enabled": False}, {"name": "web_search", "enabled": False}]},
        {"type": "mcp_toolset", "mcp_server_name": "docs", "configs": [
            {"name": "add", "enabled": True, "permission_policy": {"type": "always_allow"}}],
         "default_config": {"enabled": False}},
        LOOKUP,
    ],
}  # fmt: skip


def with_server(url: str) -> dict[str, Any]:
    """The agent with its server where it is."""
    (server,) = AGENT["mcp_servers"]
    return {**AGENT, "mcp_servers": [{**server, "url": url}]}


EVENT_LISTS = ((BetaManagedAgentsSessionEvent,), (BetaManagedAgentsStreamSessionEvents,))


async def run(server: Running, mcp_url: str) -> list[tuple[Any, Any]]:
    """Answers of a whole run, each with the SDK's type for it."""
    client, http = server.sdk(), server.http()
    found: list[tuple[Any, Any]] = []

    async def ask(hint: Any, verb: str, path: str, body: Any = None) -> Any:
        answer = await http.request(verb, path, json=body)
        assert answer.status_code == 200, answer.text
        value = answer.json()
        many = isinstance(value, dict) and isinstance(value.get("data"), list)
        found.append((list[hint] if many else hint, value["data"] if many else value))
        return value

    agent = await ask(BetaManagedAgentsAgent, "POST", "/v1/agents", with_server(mcp_url))
    place = await ask(BetaEnvironment, "POST", "/v1/environments", {"name": "e"})
    limited = {"name": "l", "config": {"type": "cloud", "networking": {"type": "limited"}}}
    other = await ask(BetaEnvironment, "POST", "/v1/environments", limited)
    await ask(BetaEnvironmentDeleteResponse, "DELETE", f"/v1/environments/{other['id']}")
    new = {"agent": agent["id"], "environment_id": place["id"]}
    made = await ask(BetaManagedAgentsSession, "POST", "/v1/sessions", new)
    path = f"/v1/sessions/{made['id']}"

    async def send(*events: Any) -> None:
        await ask(BetaManagedAgentsSessionEvent, "POST", f"{path}/events", {"events": events})

    said = [{"type": "text", "text": "work"}]
    frames = []
    async with await client.beta.sessions.events.stream(
        made["id"], event_deltas=["agent.message"]
    ) as stream:
        await send(
            {"type": "user.message", "content": said},
            {"type": "system.message", "content": said},
        )
        calls: dict[str, str] = {}
        ends = 0
        async for event in stream:
            frames.append(event.to_dict(mode="json"))
            if event.type in ("agent.tool_use", "agent.custom_tool_use"):
                calls[event.id] = event.type
            if event.type != "session.status_idle":
                continue
            if event.stop_reason.type == "end_turn":
                ends += 1
                if ends == 2:
                    break
                await send({"type": "user.message", "content": said})
            elif ends:
                await send({"type": "user.interrupt"})
            else:
                await send(*(answers(calls[one], one) for one in event.stop_reason.event_ids))
    found.append((list[BetaManagedAgentsStreamSessionEvents], frames))
    await ask(BetaManagedAgentsSession, "POST", path, {"title": "t", "metadata": {"a": "b"}})
    await ask(
        BetaManagedAgentsSession, "POST", path, {"agent": {"tools": [LOOKUP], "mcp_servers": []}}
    )
    await ask(BetaManagedAgentsSessionThread, "GET", f"{path}/threads")
    await ask(BetaManagedAgentsSession, "POST", f"{path}/archive")
    await ask(BetaManagedAgentsSessionEvent, "GET", f"{path}/events")
    await ask(BetaManagedAgentsSession, "GET", path)
    await ask(BetaManagedAgentsDeletedSession, "DELETE", path)
    spare = await ask(BetaManagedAgentsSession, "POST", "/v1/sessions", new)
    async with await client.beta.sessions.events.stream(spare["id"]) as stream:
        await client.beta.sessions.delete(spare["id"])
        last = [event.to_dict(mode="json") async for event in stream]
    found.append((list[BetaManagedAgentsStreamSessionEvents], last))
    await ask(BetaModelInfo, "GET", "/v1/models")
    await run_hosted(ask, agent["id"])
    return found


async def run_hosted(ask: Any, agent_id: str) -> None:
    """The same on a self-hosted environment, whose worker this is."""
    mine = {"name": "h", "config": {"type": "self_hosted"}}
    place = await ask(BetaEnvironment, "POST", "/v1/environments", mine)
    new = {
        "agent": agent_id,
        "environment_id": place["id"],
        "initial_events": [
            {"type": "user.message", "content": [{"type": "text", "text": "work"}]},
        ],
    }
    made = await ask(BetaManagedAgentsSession, "POST", "/v1/sessions", new)
    queue, path = f"/v1/environments/{place['id']}/work", f"/v1/sessions/{made['id']}"
    item = await ask(BetaSelfHostedWork, "GET", f"{queue}/poll?block_ms=999")
    await ask(BetaSelfHostedWork, "POST", f"{queue}/{item['id']}/ack")
    beat = f"{queue}/{item['id']}/heartbeat?expected_last_heartbeat=NO_HEARTBEAT"
    await ask(BetaSelfHostedWorkHeartbeatResponse, "POST", beat)
    await ask(BetaSelfHostedWorkQueueStats, "GET", f"{queue}/stats")

    async def reads() -> Any:
        listed = await ask(BetaManagedAgentsSessionEvent, "GET", f"{path}/events")
        return [one for one in listed["data"] if one.get("name") == "read"]

    (read,) = await until(reads)
    content = [{"type": "text", "text": "x"}]
    result = {"type": "user.tool_result", "tool_use_id": read["id"], "content": content}
    await ask(BetaManagedAgentsSessionEvent, "POST", f"{path}/events", {"events": [result]})
    await ask(BetaSelfHostedWork, "GET", queue)


def answers(kind: str, call_id: str) -> dict[str, Any]:
    """What a client says to a call that waits for it."""
    if kind == "agent.custom_tool_use":
        content = [{"type": "text", "text": "x"}]
        return {
            "type": "user.custom_tool_result",
            "custom_tool_use_id": call_id,
            "content": content,
        }
    return {"type": "user.tool_confirmation", "tool_use_id": call_id, "result": "allow"}


@pytest.fixture
async def seen(database_url: str) -> list[tuple[Any, Any]]:
    async with mcp_serving() as mcp, serving(database_url, workers=1, script=SCRIPT) as server:
        return await run(server, mcp.url)


@requirement("sdks:answers")
async def test_every_field_that_can_be_read_is_answered(seen: list[tuple[Any, Any]]) -> None:
    found = {line for hint, value in seen for line in unanswered(hint, value, "")}
    assert found == set(gaps.ANSWERS)
    known = {
        kind for one in members(BetaManagedAgentsSessionEvent) for kind in constants(one, "type")
    }
    assert known == {*PERSISTED, DELETED}
    brought = {
        event["type"]
        for hint, value in seen
        if typing.get_args(hint)[:1] in EVENT_LISTS
        for event in value
    }
    assert known - brought == set(gaps.EVENTS)
