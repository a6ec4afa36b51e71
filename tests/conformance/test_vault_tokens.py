"""Vaults at work: what MCP servers are shown (vaults §3.4, §3.5, §11 C18)."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.conformance.requirements import requirement
from tests.conformance.test_turns import say, texts, watching
from tests.support.mcp_servers import Mcp, mcp_serving
from tests.support.oauth import Guarded, guarded
from tests.support.server import MODEL, Running, serving

SCRIPT = {
    "turns": [{"tools": [{"name": "mcp__docs__reveal", "input": {}}]}, {"text": "{{results}}"}]
}
TOOLS: Any = [
    {
        "type": "mcp_toolset",
        "mcp_server_name": "docs",
        "default_config": {"permission_policy": {"type": "always_allow"}},
    }
]


@pytest.fixture
async def server(database_url: str) -> AsyncIterator[Running]:
    async with serving(database_url, workers=1, script=SCRIPT, keepalive_seconds=0.5) as running:
        yield running


@pytest.fixture
async def docs() -> AsyncIterator[Mcp]:
    async with mcp_serving(token="first-canary") as served:
        yield served


def bearer(url: str, token: str) -> Any:
    return {"type": "static_bearer", "mcp_server_url": url, "token": token}


def oauth(url: str, there: Guarded, **more: Any) -> Any:
    refresh = {
        "token_endpoint": f"{there.url}/token", "client_id": "client",
        "refresh_token": "refresh-1-secret", "token_endpoint_auth": {"type": "none"},
    }  # fmt: skip
    return {
        "type": "mcp_oauth", "mcp_server_url": url, "access_token": "access-1-secret",
        "refresh": refresh, **more,
    }  # fmt: skip


async def a_session(client: Any, url: str, *auths: Any) -> tuple[Any, list[Any]]:
    """A session on one server with a vault per credential; the credentials."""
    agent = await client.beta.agents.create(
        name="Reader",
        model=MODEL,
        tools=TOOLS,
        mcp_servers=[{"type": "url", "name": "docs", "url": url}],
    )
    environment = await client.beta.environments.create(name="plain")
    credentials = []
    for auth in auths:
        vault = await client.beta.vaults.create(display_name="v")
        credentials.append(await client.beta.vaults.credentials.create(vault.id, auth=auth))
    session = await client.beta.sessions.create(
        agent=agent.id, environment_id=environment.id,
        vault_ids=[one.vault_id for one in credentials],
    )  # fmt: skip
    return session, credentials


async def turn(client: Any, session: Any) -> Any:
    """One turn; what was seen of it."""
    async with watching(client, session) as watch:
        await watch.send(say("go"))
        await watch.idle()
        return watch


def shown(docs: Mcp) -> set[str | None]:
    """What the server was shown, since it was last asked."""
    found = {one.get("authorization") for one in docs.headers}
    docs.headers.clear()
    return found


@requirement("vaults:mcp")
async def test_the_first_vault_with_a_credential_is_used(client: Any, docs: Mcp) -> None:
    url = docs.url.replace("127.0.0.1", "LOCALHOST") + "/"
    auths = (
        bearer("https://other.example.com", "none"),
        bearer(docs.url.replace("127.0.0.1", "localhost"), "first-canary"),
        bearer(url, "second-canary"),
    )
    session, credentials = await a_session(
        client, docs.url.replace("127.0.0.1", "localhost"), *auths
    )
    watch = await turn(client, session)
    assert [one.is_error for one in watch.calls("agent.mcp_tool_result")] == [False]
    assert shown(docs) == {"Bearer first-canary"}
    docs.token = "renewed-canary"
    await client.beta.vaults.credentials.update(
        credentials[1].id, vault_id=credentials[1].vault_id,
        auth={"type": "static_bearer", "token": "renewed-canary"},
    )  # fmt: skip
    watch = await turn(client, session)
    assert [one.is_error for one in watch.calls("agent.mcp_tool_result")] == [False]
    assert "Bearer renewed-canary" in shown(docs)
    await client.beta.vaults.credentials.archive(
        credentials[1].id, vault_id=credentials[1].vault_id
    )
    watch = await turn(client, session)
    assert shown(docs) == {"Bearer second-canary"}
    (error,) = [one.error for one in watch.calls("session.error")]
    assert error.type == "mcp_authentication_failed_error"


@requirement("vaults:mcp", "vaults:no-secret")
async def test_a_server_that_tells_the_token_tells_it_to_nobody(
    client: Any, server: Running, docs: Mcp, capfd: Any
) -> None:
    session, _ = await a_session(client, docs.url, bearer(docs.url, "first-canary"))
    watch = await turn(client, session)
    assert "You showed Bearer [redacted]." in texts(watch.seen)[-1]
    events = [one.to_json() async for one in client.beta.sessions.events.list(session.id)]
    assert "canary" not in json.dumps(events)
    stored = await server.database.fetch("select payload::text, private::text from events")
    assert "canary" not in json.dumps(stored)
    said = capfd.readouterr()
    assert "canary" not in said.out + said.err


@requirement("vaults:refresh")
async def test_a_refused_token_is_renewed_and_kept(client: Any, server: Running, docs: Mcp) -> None:
    async with guarded() as there:
        docs.token = "access-2-secret"
        session, _ = await a_session(client, docs.url, oauth(docs.url, there))
        watch = await turn(client, session)
        assert [one.is_error for one in watch.calls("agent.mcp_tool_result")] == [False]
        assert len(there.exchanges) == 1
        await turn(client, session)
        assert len(there.exchanges) == 1, "the new token was kept"
        rows = await server.database.fetch(
            "select action from audit where target_type = 'vault_credential' order by at, id"
        )
        assert [row["action"].partition(".")[2] for row in rows] == ["create", "refresh"]


@requirement("vaults:refresh")
async def test_a_token_about_to_end_is_renewed_before_it_is_shown(client: Any, docs: Mcp) -> None:
    async with guarded() as there:
        docs.token = "access-2-secret"
        session, credentials = await a_session(client, docs.url, oauth(docs.url, there))
        await client.beta.vaults.credentials.update(
            credentials[0].id, vault_id=credentials[0].vault_id,
            auth={"type": "mcp_oauth", "expires_at": soon()},
        )  # fmt: skip
        await turn(client, session)
        assert shown(docs) == {"Bearer access-2-secret"}


@requirement("vaults:refresh")
async def test_a_refresh_that_fails_is_an_error_of_the_session_that_goes_on(
    client: Any, docs: Mcp
) -> None:
    async with guarded() as there:
        there.token_status = 400
        docs.token = "access-2-secret"
        session, _ = await a_session(client, docs.url, oauth(docs.url, there))
        watch = await turn(client, session)
        (error,) = [one.error for one in watch.calls("session.error")]
        assert (error.type, error.mcp_server_name) == ("mcp_authentication_failed_error", "docs")
        assert watch.seen[-1].stop_reason.type == "end_turn"
        there.token_status = None
        watch = await turn(client, session)
        assert [one.is_error for one in watch.calls("agent.mcp_tool_result")] == [False]


def soon() -> str:
    """A time so near that a token that ends then is renewed first."""
    from datetime import UTC, datetime, timedelta

    return (datetime.now(UTC) + timedelta(seconds=30)).isoformat()
