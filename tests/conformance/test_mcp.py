"""wire §3.4: tools of MCP servers, with real servers, the scripted model and the official SDK."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import pytest

from tests.conformance.requirements import requirement
from tests.conformance.test_turns import INTERRUPTED, Watch, confirm, say, texts, watching
from tests.support.mcp_servers import Mcp, mcp_serving
from tests.support.server import MODEL, Running, serving

ALLOW = {"type": "always_allow"}


def uses(*names: str, **arguments: Any) -> dict[str, Any]:
    """A turn of the model that calls these tools."""
    return {"tools": [{"name": name, "input": arguments} for name in names]}


def script(when: str, *turns: Any) -> dict[str, Any]:
    return {"when": {"contains": when}, "turns": [*turns, {"text": "Done: {{results}}"}]}


SCRIPT = {
    "scripts": [
        script("add", uses("mcp__docs__add", a=1, b=2)),
        script("ask", uses("mcp__docs__look", "mcp__docs__fail", "mcp__docs__add", what="x")),
        script("both", uses("mcp__docs__look", "mcp__more__look", what="x")),
        script("everything", uses("mcp__docs__everything")),
        script("slow", uses("mcp__docs__slow")),
        script("late", uses("mcp__docs__slow")),
        script("disabled", uses("mcp__docs__fail")),
    ],
    "otherwise": "Nothing to do.",
}


@pytest.fixture
async def server(database_url: str) -> AsyncIterator[Running]:
    async with serving(
        database_url, workers=1, script=SCRIPT, keepalive_seconds=0.5,
        mcp_connect_seconds=2.0, mcp_call_seconds=1.0,
    ) as running:  # fmt: skip
        yield running


@pytest.fixture
async def docs() -> AsyncIterator[Mcp]:
    async with mcp_serving() as served:
        yield served


def toolset(name: str = "docs", policy: Any = ALLOW, *configs: Any) -> dict[str, Any]:
    return {
        "type": "mcp_toolset", "mcp_server_name": name, "configs": list(configs),
        **({"default_config": {"permission_policy": policy}} if policy else {}),
    }  # fmt: skip


def declared(url: str, name: str = "docs") -> dict[str, Any]:
    return {"type": "url", "name": name, "url": url}


async def a_session(client: Any, tools: list[Any], servers: list[Any], config: Any = None) -> Any:
    """A session of an agent with these servers only; clients rule 29: no sandbox is needed."""
    agent = await client.beta.agents.create(
        name="Reader", model=MODEL, tools=tools, mcp_servers=servers
    )
    environment = await client.beta.environments.create(name="plain", config=config)
    return await client.beta.sessions.create(agent=agent.id, environment_id=environment.id)


def errors(watch: Watch) -> list[Any]:
    return [one.error for one in watch.calls("session.error")]


@requirement("mcp:calls")
async def test_a_tool_of_a_server_is_called(client: Any, docs: Mcp) -> None:
    session = await a_session(client, [toolset()], [declared(docs.url)])
    async with watching(client, session) as watch:
        await watch.send(say("add"))
        idle = await watch.idle()
    assert idle.stop_reason.type == "end_turn"
    call, result = watch.calls("agent.mcp_tool_use")[0], watch.calls("agent.mcp_tool_result")[0]
    assert (call.name, call.mcp_server_name, call.input) == ("add", "docs", {"a": 1, "b": 2})
    assert (call.evaluated_permission, call.evaluation.type) == ("allow", "always_allow")
    assert (result.mcp_tool_use_id, result.is_error) == (call.id, False)
    assert result.content[0].text == "3"
    assert texts(watch.seen) == ["Done: 3"]
    assert [one.id for one in await watch.listed()] == [one.id for one in watch.seen[1:]]
    assert docs.calls == {"add": 1}
    assert all("authorization" not in headers for headers in docs.headers)


@requirement("mcp:sse")
async def test_a_server_that_only_knows_sse_is_reached(client: Any) -> None:
    async with mcp_serving(sse=True) as docs:
        session = await a_session(client, [toolset()], [declared(docs.url)])
        async with watching(client, session) as watch:
            await watch.send(say("add"))
            await watch.idle()
        assert texts(watch.seen) == ["Done: 3"]
        assert docs.calls == {"add": 1}
        assert docs.requests["GET"] == 1


@requirement("mcp:self-hosted")
async def test_calls_run_here_also_where_the_environment_is_elsewhere(
    client: Any, docs: Mcp
) -> None:
    config = {"type": "self_hosted"}
    session = await a_session(client, [toolset()], [declared(docs.url)], config)
    async with watching(client, session) as watch:
        await watch.send(say("add"))
        assert (await watch.idle()).stop_reason.type == "end_turn"
    assert texts(watch.seen) == ["Done: 3"]
    assert docs.calls == {"add": 1}


@requirement("mcp:asks")
async def test_tools_ask_by_default_and_configs_decide(client: Any, docs: Mcp) -> None:
    configs = [{"name": "add", "permission_policy": ALLOW}, {"name": "put", "enabled": False}]
    session = await a_session(client, [toolset("docs", None, *configs)], [declared(docs.url)])
    async with watching(client, session) as watch:
        await watch.send(say("ask"))
        idle = await watch.idle()
        look, fail, add = watch.calls("agent.mcp_tool_use")
        assert [one.evaluated_permission for one in (look, fail, add)] == ["ask", "ask", "allow"]
        assert look.evaluation.type == "always_ask"
        assert idle.stop_reason.event_ids == [look.id, fail.id]
        assert docs.calls == {}  # its input does not fit, so that it ran into an error
        await watch.send(confirm(look, "allow"), confirm(fail, "deny", deny_message="Not that."))
        assert (await watch.idle(2)).stop_reason.type == "end_turn"
        results = {one.mcp_tool_use_id: one for one in watch.calls("agent.mcp_tool_result")}
        assert results[look.id].content[0].text == "about x"
        assert results[fail.id].is_error
        assert "Not that." in results[fail.id].content[0].text
        assert results[add.id].is_error
        assert docs.calls == {"look": 1}


@requirement("mcp:asks")
async def test_a_disabled_tool_is_not_run(client: Any, docs: Mcp) -> None:
    session = await a_session(
        client, [toolset("docs", ALLOW, {"name": "fail", "enabled": False})], [declared(docs.url)]
    )
    async with watching(client, session) as watch:
        await watch.send(say("disabled"))
        await watch.idle()
    call, result = watch.calls("agent.mcp_tool_use")[0], watch.calls("agent.mcp_tool_result")[0]
    assert (call.name, call.evaluated_permission, call.evaluation) == ("fail", "deny", None)
    assert result.is_error
    assert docs.calls == {}


@requirement("mcp:same-name")
async def test_two_servers_with_a_tool_of_the_same_name(client: Any, docs: Mcp) -> None:
    async with mcp_serving() as more:
        session = await a_session(
            client, [toolset(), toolset("more")], [declared(docs.url), declared(more.url, "more")]
        )
        async with watching(client, session) as watch:
            await watch.send(say("both"))
            await watch.idle()
        calls = watch.calls("agent.mcp_tool_use")
        assert [(one.name, one.mcp_server_name) for one in calls] == [
            ("look", "docs"), ("look", "more"),
        ]  # fmt: skip
        assert (docs.calls["look"], more.calls["look"]) == (1, 1)


@requirement("mcp:content")
async def test_every_kind_of_content(client: Any, docs: Mcp) -> None:
    session = await a_session(client, [toolset()], [declared(docs.url)])
    async with watching(client, session) as watch:
        await watch.send(say("everything"))
        await watch.idle()
    result = watch.calls("agent.mcp_tool_result")[0]
    kinds = [block.type for block in result.content]
    assert kinds == ["text", "image", "text", "text", "document", "document"]
    assert result.content[1].source.media_type == "image/png"
    assert "audio/wav" in result.content[2].text
    assert "file:///readme.md" in result.content[3].text
    assert result.content[4].source.data == "notes"
    assert result.content[5].source.media_type == "application/pdf"


@requirement("mcp:unreachable", "mcp:retry-status", "mcp:why")
async def test_a_server_that_is_down_does_not_stop_the_session(
    server: Running, client: Any
) -> None:
    async with mcp_serving() as docs:
        url = docs.url
    session = await a_session(client, [toolset()], [declared(url)])
    async with watching(client, session) as watch:
        await watch.send(say("hello"))
        assert (await watch.idle()).stop_reason.type == "end_turn"
        (error,) = errors(watch)
        assert (error.type, error.mcp_server_name) == ("mcp_connection_failed_error", "docs")
        assert error.retry_status.type == "retrying"
        assert texts(watch.seen) == ["Nothing to do."]
        why = (await server.http().get(f"/v1/sessions/{session.id}/why")).json()
        assert [one["name"] for one in why["not_offered"]] == ["docs"]
        assert "cannot be reached" in why["not_offered"][0]["reason"]
        # Tried again with the next turn: once more in vain, then it is up.
        await watch.send(say("hello"))
        await watch.idle(2)
        assert len(errors(watch)) == 2
        async with mcp_serving(port=int(url.split(":")[2].split("/")[0])) as up:
            await watch.send(say("add"))
            await watch.idle(3)
            assert up.calls == {"add": 1}
        assert len(errors(watch)) == 2
        why = (await server.http().get(f"/v1/sessions/{session.id}/why")).json()
        assert why["not_offered"] == []


@requirement("mcp:unauthorized")
async def test_a_server_that_wants_a_credential(client: Any) -> None:
    async with mcp_serving(token="secret") as docs:
        session = await a_session(client, [toolset()], [declared(docs.url)])
        async with watching(client, session) as watch:
            await watch.send(say("hello"))
            assert (await watch.idle()).stop_reason.type == "end_turn"
        (error,) = errors(watch)
        assert (error.type, error.mcp_server_name) == ("mcp_authentication_failed_error", "docs")


@requirement("mcp:private")
async def test_private_addresses_are_refused_by_default(database_url: str, docs: Mcp) -> None:
    async with serving(
        database_url, workers=1, script=SCRIPT, outgoing_private_networks=[]
    ) as guarded:
        client = guarded.sdk()
        port = docs.url.split(":")[2]
        session = await a_session(client, [toolset()], [declared(f"http://localhost:{port}")])
        async with watching(client, session) as watch:
            await watch.send(say("hello"))
            await watch.idle()
        (error,) = errors(watch)
        assert error.type == "mcp_connection_failed_error"
        assert "loopback" in error.message
    assert docs.requests == {}


@requirement("mcp:interrupt")
async def test_an_interrupt_cancels_the_call(client: Any, docs: Mcp) -> None:
    session = await a_session(client, [toolset()], [declared(docs.url)])
    async with watching(client, session) as watch:
        await watch.send(say("slow"))
        async with asyncio.timeout(10):
            while not docs.calls["slow"]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await watch.send({"type": "user.interrupt"})
        assert (await watch.idle()).stop_reason.type == "end_turn"
        result = watch.calls("agent.mcp_tool_result")[0]
        assert result.is_error
        assert result.content[0].text == INTERRUPTED
        async with asyncio.timeout(10):
            while not docs.cancelled["slow"]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


@requirement("mcp:interrupt")
async def test_a_server_that_hangs_ends_in_a_result(client: Any, docs: Mcp) -> None:
    session = await a_session(client, [toolset()], [declared(docs.url)])
    async with watching(client, session) as watch:
        await watch.send(say("late"))
        assert (await watch.idle()).stop_reason.type == "end_turn"
    result = watch.calls("agent.mcp_tool_result")[0]
    assert result.is_error
    assert result.content[0].text.startswith("Outcome unknown")
    assert "within 1 s" in result.content[0].text
    assert docs.calls == {"slow": 1}


@requirement("mcp:update")
async def test_new_servers_apply_from_the_next_turn(client: Any, docs: Mcp) -> None:
    session = await a_session(client, [toolset("docs", None)], [declared(docs.url)])
    async with mcp_serving() as other, watching(client, session) as watch:
        await watch.send(say("add"))
        idle = await watch.idle()
        await client.beta.sessions.update(
            session.id,
            agent={"tools": [toolset("more")], "mcp_servers": [declared(other.url, "more")]},
        )
        # The call that waits belongs to a server that is gone: it is not made anywhere.
        await watch.send(confirm(watch.calls("agent.mcp_tool_use")[0], "allow"))
        await watch.idle(2)
        result = watch.calls("agent.mcp_tool_result")[0]
        assert result.mcp_tool_use_id == idle.stop_reason.event_ids[0]
        assert "not a server of this session any more" in result.content[0].text
        assert docs.calls == {}
        await watch.send(say("both"))
        await watch.idle(3)
        assert other.calls == {"look": 1}
        # All servers gone: what was said with their tools is still a valid request.
        await client.beta.sessions.update(session.id, agent={"tools": [], "mcp_servers": []})
        await watch.send(say("hello"))
        assert (await watch.idle(4)).stop_reason.type == "end_turn"
        assert errors(watch) == []


@requirement("mcp:many")
async def test_more_tools_than_a_model_takes(client: Any) -> None:
    async with mcp_serving(many=260) as docs:
        session = await a_session(client, [toolset()], [declared(docs.url)])
        async with watching(client, session) as watch:
            await watch.send(say("add"))
            await watch.idle()
        (error,) = errors(watch)
        assert error.type == "unknown_error"
        assert "at most 256 tools" in error.message
        assert texts(watch.seen) == ["Done: 3"]


@requirement("mcp:stale-field")
async def test_what_a_toolset_may_say_is_checked(client: Any) -> None:
    """clients rule 50: a stale field is named, not left without effect."""
    with pytest.raises(anthropic.BadRequestError, match=r"tools\.0\.mcp_server_name"):
        await client.beta.agents.create(
            name="x", model=MODEL, tools=[{"type": "mcp_toolset", "server_name": "docs"}]
        )
