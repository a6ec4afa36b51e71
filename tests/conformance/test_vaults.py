"""Vaults through the official SDK (vaults §11 C17)."""

import asyncio
import json
from typing import Any

import anthropic
import pytest

from tests.conformance.requirements import requirement
from tests.support.oauth import guarded
from tests.support.server import Running

REFRESH = {
    "token_endpoint": "https://auth.example.com/token",
    "client_id": "client",
    "refresh_token": "refresh-canary",
    "token_endpoint_auth": {"type": "client_secret_basic", "client_secret": "client-canary"},
    "scope": "read",
}
BEARER = {
    "type": "static_bearer", "mcp_server_url": "https://mcp.example.com/a", "token": "token-canary",
}  # fmt: skip
OAUTH = {
    "type": "mcp_oauth", "mcp_server_url": "https://mcp.example.com/b",
    "access_token": "access-canary", "expires_at": "2099-01-01T00:00:00Z", "refresh": REFRESH,
}  # fmt: skip
VARIABLE = {
    "type": "environment_variable", "secret_name": "API_TOKEN", "secret_value": "value-canary",
    "networking": {"type": "limited", "allowed_hosts": ["*.example.com", "10.1.2.3"]},
}  # fmt: skip


@pytest.fixture
async def vault(client: Any) -> Any:
    return await client.beta.vaults.create(display_name="v")


@requirement("vaults:life")
async def test_a_vaults_life(client: Any) -> None:
    vaults = client.beta.vaults
    made = await vaults.create(display_name="one", metadata={"a": "1", "b": "2"})
    assert (made.type, made.id[:4], made.archived_at) == ("vault", "vlt_", None)
    changed = await vaults.update(made.id, display_name="uno", metadata={"a": None, "c": "3"})
    assert (changed.display_name, changed.metadata) == ("uno", {"b": "2", "c": "3"})
    assert await vaults.retrieve(made.id) == changed
    second = await vaults.create(display_name="two")
    assert [one.id async for one in vaults.list(limit=1)] == [second.id, made.id]
    archived = await vaults.archive(made.id)
    assert archived.archived_at is not None
    assert await vaults.archive(made.id) == archived
    assert [one.id async for one in vaults.list()] == [second.id]
    assert [one.id async for one in vaults.list(include_archived=True)] == [second.id, made.id]
    with pytest.raises(anthropic.BadRequestError, match="archived"):
        await vaults.update(made.id, display_name="x")
    deleted = await vaults.delete(made.id)
    assert (deleted.id, deleted.type) == (made.id, "vault_deleted")
    with pytest.raises(anthropic.NotFoundError):
        await vaults.retrieve(made.id)


@requirement("vaults:credentials", "vaults:no-secret")
async def test_credentials_come_back_without_their_secrets(
    client: Any, server: Running, vault: Any
) -> None:
    path = f"/v1/vaults/{vault.id}/credentials"
    http = server.http()
    shown = {}
    for auth in (BEARER, OAUTH, VARIABLE):
        answer = await http.post(path, json={"auth": auth, "metadata": {"k": "v"}})
        assert "canary" not in answer.text
        made = answer.json()
        shown[auth["type"]] = made["auth"]
        assert made == {
            "id": made["id"], "type": "vault_credential", "vault_id": vault.id,
            "display_name": None, "metadata": {"k": "v"}, "auth": made["auth"],
            "created_at": made["created_at"], "updated_at": made["created_at"], "archived_at": None,
        }  # fmt: skip
    assert shown == {
        "static_bearer": {"type": "static_bearer", "mcp_server_url": BEARER["mcp_server_url"]},
        "mcp_oauth": {
            "type": "mcp_oauth", "mcp_server_url": OAUTH["mcp_server_url"],
            "expires_at": "2099-01-01T00:00:00.000000Z",
            "refresh": {
                "token_endpoint": REFRESH["token_endpoint"], "client_id": "client",
                "token_endpoint_auth": {"type": "client_secret_basic"},
                "scope": "read", "resource": None,
            },
        },
        "environment_variable": {
            "type": "environment_variable", "secret_name": "API_TOKEN",
            "networking": VARIABLE["networking"],
            "injection_location": {"header": True, "body": True},
        },
    }  # fmt: skip
    listed = [one async for one in client.beta.vaults.credentials.list(vault.id, limit=2)]
    assert [one.auth.type for one in listed] == [
        "environment_variable", "mcp_oauth", "static_bearer"
    ]  # fmt: skip
    assert (
        await client.beta.vaults.credentials.retrieve(listed[0].id, vault_id=vault.id) == listed[0]
    )
    tables = ("vault_credentials", "audit")
    stored = [await server.database.fetch(f"select t::text from {name} t") for name in tables]
    assert all(stored)
    assert "canary" not in json.dumps(stored)


@requirement("vaults:no-secret")
@pytest.mark.parametrize(
    "auth",
    [
        {**BEARER, "token": ["canary"]},
        {**BEARER, "canary": "canary-canary"},
        {**BEARER, "token": "canary\x00"},
        {**OAUTH, "refresh": {**REFRESH, "token_endpoint_auth": {"type": "canary"}}},
        {**VARIABLE, "secret_value": {"canary": 1}},
    ],
)
async def test_refusals_do_not_repeat_secrets(server: Running, vault: Any, auth: Any) -> None:
    refused = await server.http().post(f"/v1/vaults/{vault.id}/credentials", json={"auth": auth})
    assert refused.status_code == 400
    message = refused.json()["error"]["message"]
    assert message.startswith("auth.")
    assert "canary" not in message.removeprefix("auth.canary")


@requirement("vaults:places")
async def test_one_live_credential_per_server_and_variable(client: Any, vault: Any) -> None:
    credentials = client.beta.vaults.credentials
    first = await credentials.create(vault.id, auth=BEARER)
    same = {**OAUTH, "mcp_server_url": "HTTPS://MCP.example.com:443/a/"}
    retrying = client.with_options(max_retries=2)
    with pytest.raises(anthropic.ConflictError, match=r"auth\.mcp_server_url") as taken:
        await retrying.beta.vaults.credentials.create(vault.id, auth=same)
    assert taken.value.response.request.headers["x-stainless-retry-count"] == "0"
    other = await client.beta.vaults.create(display_name="other")
    await credentials.create(other.id, auth=same)
    await credentials.archive(first.id, vault_id=vault.id)
    await credentials.create(vault.id, auth=same)
    await credentials.create(vault.id, auth=VARIABLE)
    with pytest.raises(anthropic.ConflictError, match=r"auth\.secret_name"):
        await credentials.create(vault.id, auth=VARIABLE)


@requirement("vaults:full")
async def test_a_vault_is_full_at_twenty(client: Any, vault: Any) -> None:
    credentials = client.beta.vaults.credentials
    made = [
        await credentials.create(vault.id, auth={**VARIABLE, "secret_name": f"TOKEN_{number}"})
        for number in range(20)
    ]
    with pytest.raises(anthropic.BadRequestError, match="at most 20"):
        await credentials.create(vault.id, auth=BEARER)
    await credentials.archive(made[0].id, vault_id=vault.id)
    assert (await credentials.create(vault.id, auth=BEARER)).archived_at is None


@requirement("vaults:fixed")
async def test_what_identifies_a_credential_is_fixed(client: Any, vault: Any) -> None:
    credentials = client.beta.vaults.credentials
    made = {
        auth["type"]: (await credentials.create(vault.id, auth=auth)).id
        for auth in (BEARER, OAUTH, VARIABLE)
    }

    async def update(kind: str, **auth: Any) -> Any:
        return await credentials.update(
            made[kind], vault_id=vault.id, auth={"type": kind, **auth}, extra_body={}
        )

    for kind, auth, field in (
        ("static_bearer", {"mcp_server_url": "https://x.example.com"}, "mcp_server_url"),
        ("mcp_oauth", {"refresh": {"client_id": "other"}}, "refresh.client_id"),
        ("mcp_oauth", {"refresh": {"token_endpoint": "https://x.example.com"}}, "token_endpoint"),
        ("environment_variable", {"secret_name": "OTHER"}, "secret_name"),
    ):
        with pytest.raises(anthropic.BadRequestError, match=field):
            await update(kind, **auth)
    with pytest.raises(anthropic.BadRequestError, match=r"auth\.type"):
        await credentials.update(
            made["mcp_oauth"], vault_id=vault.id, auth={"type": "static_bearer"}
        )
    changed = await update(
        "mcp_oauth",
        access_token="new-canary",
        refresh={
            "scope": "",
            "token_endpoint_auth": {"type": "client_secret_post", "client_secret": "n"},
        },
    )
    assert changed.auth.expires_at.year == 2099
    assert (changed.auth.refresh.scope, changed.auth.refresh.token_endpoint_auth.type) == (
        None, "client_secret_basic",
    )  # fmt: skip


@requirement("vaults:injection")
async def test_where_a_variable_is_put(client: Any, server: Running, vault: Any) -> None:
    credentials = client.beta.vaults.credentials
    made = await credentials.create(
        vault.id, auth={**VARIABLE, "injection_location": {"header": True}}
    )
    kind = "environment_variable"
    assert (made.auth.injection_location.header, made.auth.injection_location.body) == (True, False)
    merged = await credentials.update(
        made.id, vault_id=vault.id, auth={"type": kind, "injection_location": {"body": True}}
    )
    assert (merged.auth.injection_location.header, merged.auth.injection_location.body) == (
        True,
        True,
    )
    path = f"/v1/vaults/{vault.id}/credentials/{made.id}"
    for places in (None, {"header": None}, {"header": False, "body": False}):
        body = {"auth": {"type": kind, "injection_location": places}}
        refused = await server.http().post(path, json=body)
        assert refused.status_code == 400
        assert refused.json()["error"]["message"].startswith("auth.injection_location")


@requirement("vaults:bad-input")
@pytest.mark.parametrize(
    ("auth", "field"),
    [
        ({**BEARER, "mcp_server_url": "ftp://x"}, "auth.mcp_server_url"),
        ({**BEARER, "mcp_server_url": "https://user:pass@x"}, "auth.mcp_server_url"),
        ({**BEARER, "token": ""}, "auth.token"),
        ({**OAUTH, "expires_at": "2001-01-01T00:00:00Z"}, "auth.expires_at"),
        ({**OAUTH, "expires_at": "soon"}, "auth.expires_at"),
        ({**OAUTH, "refresh": {**REFRESH, "token_endpoint": "x"}}, "auth.refresh.token_endpoint"),
        ({**VARIABLE, "secret_name": "A-B"}, "auth.secret_name"),
        ({**VARIABLE, "secret_name": "LD_PRELOAD"}, "auth.secret_name"),
        ({**VARIABLE, "secret_name": "https_proxy"}, "auth.secret_name"),
        ({"type": "password"}, "auth.type"),
        ({}, "auth.type"),
        *[
            (
                {**VARIABLE, "networking": {"type": "limited", "allowed_hosts": hosts}},
                "auth.networking.allowed_hosts",
            )
            for hosts in (
                [], ["a.example.com"] * 17, ["https://a.example.com"], ["a.example.com:443"],
                ["a/b"], ["::1"], ["*"], ["a.*.com"], ["*.10.0.0.1"], ["999.1.1.1"], ["ä.example.com"],
            )
        ],
    ],
)  # fmt: skip
async def test_bad_credentials_name_the_field(
    server: Running, vault: Any, auth: Any, field: str
) -> None:
    refused = await server.http().post(f"/v1/vaults/{vault.id}/credentials", json={"auth": auth})
    assert refused.status_code == 400, refused.text
    assert refused.json()["error"]["message"].startswith(field)


@requirement("vaults:archive")
async def test_archiving_a_vault_purges_its_secrets(
    client: Any, server: Running, vault: Any
) -> None:
    credentials = client.beta.vaults.credentials
    made = await credentials.create(vault.id, auth=OAUTH)
    await client.beta.vaults.archive(vault.id)
    archived = await credentials.retrieve(made.id, vault_id=vault.id)
    assert archived.archived_at is not None
    assert archived.auth.mcp_server_url == OAUTH["mcp_server_url"]
    rows = await server.database.fetch(
        "select sealed from vault_credentials where id = %s", (made.id,)
    )
    assert rows == [{"sealed": {}}]
    for refused in (
        credentials.create(vault.id, auth=BEARER),
        credentials.update(made.id, vault_id=vault.id, display_name="x"),
        credentials.mcp_oauth_validate(made.id, vault_id=vault.id),
    ):
        with pytest.raises(anthropic.BadRequestError, match="archived"):
            await refused


@requirement("vaults:cleanup-order")
async def test_cleaning_up_in_any_order(client: Any, vault: Any) -> None:
    credentials = client.beta.vaults.credentials
    one = await credentials.create(vault.id, auth=BEARER)
    two = await credentials.create(vault.id, auth=VARIABLE)
    await client.beta.vaults.archive(vault.id)
    again = await credentials.archive(one.id, vault_id=vault.id)
    assert again.archived_at is not None
    gone = await credentials.delete(two.id, vault_id=vault.id)
    assert (gone.id, gone.type) == (two.id, "vault_credential_deleted")
    other = await client.beta.vaults.create(display_name="other")
    with pytest.raises(anthropic.NotFoundError, match=one.id):
        await credentials.retrieve(one.id, vault_id=other.id)
    await client.beta.vaults.delete(vault.id)
    with pytest.raises(anthropic.NotFoundError):
        await credentials.retrieve(one.id, vault_id=vault.id)
    with pytest.raises(anthropic.NotFoundError):
        [one async for one in credentials.list(vault.id)]


@requirement("vaults:session")
async def test_a_session_names_live_vaults(client: Any, vault: Any, agent: Any) -> None:
    environment = await client.beta.environments.create(name="e")

    async def session(*vault_ids: str) -> Any:
        return await client.beta.sessions.create(
            agent=agent.id, environment_id=environment.id, vault_ids=list(vault_ids)
        )

    made = await session(vault.id)
    assert made.vault_ids == [vault.id]
    assert (await client.beta.sessions.retrieve(made.id)).vault_ids == [vault.id]
    with pytest.raises(anthropic.BadRequestError, match="named twice"):
        await session(vault.id, vault.id)
    with pytest.raises(anthropic.BadRequestError, match=r"vault_ids\.1.*vlt_nothing"):
        await session(vault.id, "vlt_nothing")
    await client.beta.vaults.archive(vault.id)
    with pytest.raises(anthropic.BadRequestError, match=r"vault_ids\.0"):
        await session(vault.id)
    await client.beta.vaults.delete(vault.id)
    assert (await client.beta.sessions.retrieve(made.id)).vault_ids == [vault.id]


@requirement("vaults:validate", "vaults:no-secret")
async def test_a_credential_is_tried_and_refreshed(
    client: Any, server: Running, vault: Any
) -> None:
    credentials = client.beta.vaults.credentials
    async with guarded() as there:
        refresh = {
            **REFRESH,
            "token_endpoint": f"{there.url}/token",
            "refresh_token": "refresh-1-secret",
        }
        auth = {
            "type": "mcp_oauth", "mcp_server_url": there.server, "access_token": "access-1-secret",
            "refresh": refresh,
        }  # fmt: skip
        made = await credentials.create(vault.id, auth=auth)

        async def verdict() -> tuple[str, Any, Any]:
            found = await credentials.mcp_oauth_validate(made.id, vault_id=vault.id)
            assert "secret" not in found.to_json()
            assert (found.credential_id, found.vault_id, found.has_refresh_token) == (
                made.id, vault.id, True,
            )  # fmt: skip
            return found.status, found.mcp_probe, found.refresh

        assert await verdict() == ("valid", None, None)
        there.accepted = set()
        status, probe, exchange = await verdict()
        assert (status, probe, exchange.status) == ("valid", None, "succeeded")
        assert there.exchanges[-1] == {
            "grant_type": "refresh_token", "refresh_token": "refresh-1-secret", "scope": "read",
            "basic": "client:client-canary",
        }  # fmt: skip
        there.accepted = set()
        assert (await verdict())[0] == "valid", "the rotated refresh token was kept"
        there.mcp_status = 503
        status, probe, _ = await verdict()
        assert (status, probe.method, probe.http_response.status_code) == (
            "unknown",
            "initialize",
            503,
        )
        there.mcp_status, there.accepted, there.token_status = None, set(), 400
        status, _, exchange = await verdict()
        assert (status, exchange.status, exchange.http_response.status_code) == (
            "invalid",
            "failed",
            400,
        )
        assert "invalid_grant" in exchange.http_response.body
        there.token_status = 500
        assert (await verdict())[0] == "unknown"
        bearer = await credentials.create(vault.id, auth=BEARER)
        with pytest.raises(anthropic.BadRequestError, match="mcp_oauth"):
            await credentials.mcp_oauth_validate(bearer.id, vault_id=vault.id)
    status, probe, _ = await verdict()
    assert (status, probe.http_response) == ("unknown", None)


@requirement("vaults:validate")
async def test_refreshes_of_one_credential_are_serialised(
    client: Any, server: Running, vault: Any
) -> None:
    credentials = client.beta.vaults.credentials
    async with guarded() as there:
        there.slow = 0.2
        there.accepted = set()
        refresh = {
            **REFRESH, "token_endpoint": f"{there.url}/token", "refresh_token": "refresh-1-secret",
            "token_endpoint_auth": {"type": "none"},
        }  # fmt: skip
        made = await credentials.create(
            vault.id,
            auth={
                "type": "mcp_oauth", "mcp_server_url": there.server, "access_token": "old",
                "refresh": refresh,
            },
        )  # fmt: skip
        found = await asyncio.gather(
            *(credentials.mcp_oauth_validate(made.id, vault_id=vault.id) for _ in range(5))
        )
        assert [one.status for one in found] == ["valid"] * 5
        assert len(there.exchanges) == 1
        assert there.exchanges[0]["client_id"] == "client"
