"""Keys, error bodies, headers: what every route has in common."""

from typing import Any

import anthropic
import httpx2
import pytest

from agentstead.resources import api_keys
from agentstead.store.workspace import DEFAULT_WORKSPACE
from tests.conformance.requirements import requirement
from tests.support.server import MODEL, Running


def check(answer: httpx2.Response, status: int, kind: str) -> dict[str, Any]:
    """The error's body; every error has this shape (wire §1.5)."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body["type"] == "error"
    assert body["error"]["type"] == kind
    assert body["request_id"] == answer.headers["request-id"]
    assert body["request_id"].startswith("req_01")
    return dict(body["error"])


# wire §1.2, §17 traps 1 to 4: both ways to send a key; versions and betas are not insisted on.
HEADERS: list[dict[str, str]] = [
    {"authorization": "Bearer {key}"},
    {"x-api-key": "{key}"},
    {"authorization": "bearer {key}", "anthropic-version": "2023-06-01",
     "anthropic-beta": "managed-agents-2026-04-01-research-preview,managed-agents-2026-04-01,managed-agents-2026-04-01"},
    {"x-api-key": "{key}", "anthropic-version": "2026-10-21", "anthropic-workspace-id": DEFAULT_WORKSPACE},
]  # fmt: skip


@requirement("errors:key")
async def test_a_key_is_taken_either_way(server: Running) -> None:
    async with httpx2.AsyncClient(base_url=server.url) as http:
        for headers in HEADERS:
            sent = {name: value.format(key=server.key) for name, value in headers.items()}
            answer = await http.get("/v1/agents?beta=true", headers=sent)
            assert answer.status_code == 200, headers
            assert answer.headers["request-id"].startswith("req_01")


@requirement("errors:no-key")
async def test_without_a_live_key_there_is_no_call(server: Running) -> None:
    async with httpx2.AsyncClient(base_url=server.url) as http:
        for headers in (
            {},
            {"x-api-key": "sk-as-none"},
            {"authorization": "Basic x"},
            {"x-api-key": "é".encode("latin-1")},
        ):
            check(await http.get("/v1/agents", headers=headers), 401, "authentication_error")
        check(await http.post("/v1/agents", content=b"{"), 401, "authentication_error")
    with pytest.raises(anthropic.AuthenticationError):
        await server.sdk(api_key="sk-as-none").beta.agents.list()


@requirement("errors:revoked")
async def test_a_revoked_key_ends(server: Running) -> None:
    row, secret = await api_keys.create(server.database, "short")
    await api_keys.revoke(server.database, row["id"])
    with pytest.raises(anthropic.AuthenticationError):
        await server.sdk(api_key=secret).beta.agents.list()


@requirement("errors:other-workspace")
async def test_another_workspace_is_refused(server: Running) -> None:
    http = server.http(headers={"anthropic-workspace-id": "wrkspc_other"})
    check(await http.get("/v1/agents"), 403, "permission_error")


@requirement("errors:own-workspace")
async def test_a_workspace_sees_only_its_own(
    server: Running, session: Any, agent: Any, environment: Any
) -> None:
    await server.database.execute("insert into workspaces (id, name) values ('wrkspc_b', 'b')")
    _, secret = await api_keys.create(server.database, "b", workspace_id="wrkspc_b")
    other = server.http(headers={"x-api-key": secret})
    for kind in ("agents", "environments", "sessions"):
        assert (await other.get(f"/v1/{kind}")).json()["data"] == []
    thread = (await server.http().get(f"/v1/sessions/{session.id}/threads")).json()["data"][0]["id"]
    paths = [
        f"/v1/agents/{agent.id}", f"/v1/agents/{agent.id}/versions", f"/v1/environments/{environment.id}",
        f"/v1/sessions/{session.id}", f"/v1/sessions/{session.id}/events",
        f"/v1/sessions/{session.id}/events/stream", f"/v1/sessions/{session.id}/threads",
        f"/v1/sessions/{session.id}/threads/{thread}", f"/v1/sessions/{session.id}/threads/{thread}/events",
        f"/v1/sessions/{session.id}/threads/{thread}/stream", f"/v1/sessions/{session.id}/why",
        f"/v1/sessions/{session.id}/resources", f"/v1/sessions/{session.id}/resources/sesrsc_x",
    ]  # fmt: skip
    for path in paths:
        check(await other.get(path), 404, "not_found_error")
    message = {"events": [{"type": "user.message", "content": [{"type": "text", "text": "x"}]}]}
    posts = [
        (f"/v1/agents/{agent.id}", {}), (f"/v1/agents/{agent.id}/archive", {}),
        (f"/v1/environments/{environment.id}", {}), (f"/v1/environments/{environment.id}/archive", {}),
        (f"/v1/sessions/{session.id}", {}), (f"/v1/sessions/{session.id}/archive", {}),
        (f"/v1/sessions/{session.id}/events", message),
        (f"/v1/sessions/{session.id}/threads/{thread}/archive", {}),
        (f"/v1/sessions/{session.id}/resources", {"type": "file", "file_id": "file_x"}),
        (f"/v1/sessions/{session.id}/resources/sesrsc_x", {"authorization_token": "x"}),
        ("/v1/sessions", {"agent": agent.id, "environment_id": environment.id}),
    ]  # fmt: skip
    for path, body in posts:
        check(await other.post(path, json=body), 404, "not_found_error")
    for path in (
        f"/v1/environments/{environment.id}",
        f"/v1/sessions/{session.id}/resources/sesrsc_x",
        f"/v1/sessions/{session.id}",
    ):
        check(await other.delete(path), 404, "not_found_error")


@requirement("errors:shape")
async def test_unknown_routes_answer_in_the_apis_shape(server: Running) -> None:
    http = server.http()
    for path in ("/v1/nothing", "/v1/messages", "/", "/v1/agents/"):
        check(await http.get(path), 404, "not_found_error")
    check(await http.post("/v1/messages", json={}), 404, "not_found_error")
    assert check(await http.put("/v1/agents", json={}), 405, "invalid_request_error")["message"]
    for name in ("%00", "a%00b", "..", "%ff", "x" * 300, "a'b", "a b"):
        check(await http.get(f"/v1/agents/{name}"), 404, "not_found_error")


@requirement("errors:methods")
async def test_other_methods_answer_in_the_apis_shape(server: Running, session: Any) -> None:
    http = server.http()
    allowed = {
        "/v1/agents": "GET, HEAD, POST",
        f"/v1/sessions/{session.id}": "DELETE, GET, HEAD, POST",
        f"/v1/sessions/{session.id}/archive": "POST",
        f"/v1/sessions/{session.id}/events/stream": "GET, HEAD",
    }
    for path, methods in allowed.items():
        for method in ("OPTIONS", "PATCH", "PUT"):
            answer = await http.request(method, path)
            check(answer, 405, "invalid_request_error")
            assert answer.headers["allow"] == methods
        head = await http.head(path)
        assert (head.status_code, head.content) == (200 if "GET" in methods else 405, b"")
        assert head.headers["request-id"].startswith("req_01")
    missing = await http.head("/v1/agents/agent_none")
    assert (missing.status_code, missing.content) == (404, b"")


@requirement("errors:betas")
# clients rule 30: twice the same name, names of previews, names nobody has heard of.
async def test_betas_are_taken_as_they_come(server: Running, client: Any) -> None:
    own = "managed-agents-2026-04-01"
    for betas in ([own], [own, own], [f"{own}-research-preview"], ["unheard-of-2030-01-01", own]):
        assert (await client.beta.agents.list(betas=betas)).data == []
    http = server.http()
    for value in ("", ",", f"{own} , {own}", "x" * 1000):
        answer = await http.get(
            "/v1/agents?beta=true&beta=false", headers={"anthropic-beta": value}
        )
        assert answer.status_code == 200


BROKEN = (b"{", b"[]", b"\xff\xfe", b'"x"', b"nul", b'{"name":NaN}', b"[" * 9999)


@requirement("errors:broken-bodies")
async def test_broken_bodies_are_refused(server: Running) -> None:
    http = server.http()
    for body in BROKEN:
        for headers in ({"content-type": "application/json"}, {}):
            answer = await http.post("/v1/agents", content=body, headers=headers)
            check(answer, 400, "invalid_request_error")


@requirement("errors:too-large")
async def test_a_body_that_is_too_large_is_refused(database_url: str) -> None:
    from tests.support.server import serving

    async with serving(database_url, request_bytes_max=10_000) as server:
        http = server.http()
        system = {"name": "n", "model": MODEL, "system": "x" * 11_000}
        check(await http.post("/v1/agents", json=system), 413, "request_too_large")

        async def parts():
            for _ in range(20):
                yield b"x" * 1000

        check(await http.post("/v1/agents", content=parts()), 413, "request_too_large")
        with pytest.raises(anthropic.APIStatusError) as caught:
            await server.sdk().beta.agents.create(name="n", model=MODEL, system="x" * 15_000)
        assert caught.value.status_code == 413
        assert (await http.get("/v1/agents")).json()["data"] == []


@requirement("errors:empty-body")
async def test_an_empty_body_is_fine_where_there_is_nothing_to_say(
    server: Running, session: Any
) -> None:
    http = server.http(headers={"content-type": "application/json"})
    archived = await http.post(
        f"/v1/sessions/{session.id}/archive", headers={"content-length": "0"}
    )
    assert archived.status_code == 200
    deleted = await http.delete(f"/v1/sessions/{session.id}")
    assert deleted.json() == {"id": session.id, "type": "session_deleted"}


@requirement("errors:database-lost")
async def test_a_lost_database_is_retryable_and_says_so(server: Running) -> None:
    await server.database.close()
    answer = await server.http().get("/v1/agents")
    check(answer, 503, "api_error")
    assert answer.headers["x-should-retry"] == "true"
    assert (await server.http().get("/readyz")).status_code == 503
    assert (await server.http().get("/healthz")).status_code == 200


@requirement("errors:described")
async def test_the_api_describes_itself(server: Running) -> None:
    found = (await server.http().get("/openapi.json")).json()
    assert found["openapi"].startswith("3.1")
    create = found["paths"]["/v1/agents"]["post"]
    reference = create["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    schema = found["components"]["schemas"][reference.rpartition("/")[2]]
    assert {"model", "name", "tools"} <= schema["properties"].keys()
    answered = found["paths"]["/v1/sessions/{session_id}"]["get"]["responses"]["200"]["content"]
    session = found["components"]["schemas"]["Session"]
    assert answered["application/json"]["schema"]["$ref"].endswith("/Session")
    assert {"id", "status", "archived_at", "budget"} <= set(session["required"])
    assert "additionalProperties" not in session
    # What is described is held against every answer that these tests get (support/described.py).
    assert undescribed(found) == []
    stream = found["paths"]["/v1/sessions/{session_id}/events/stream"]["get"]["responses"]["200"]
    assert list(stream["content"]) == ["text/event-stream"]
    operations = [one["operationId"] for path in found["paths"].values() for one in path.values()]
    assert len(operations) == len(set(operations))


FOR_PEOPLE = "/v1/sessions/{session_id}/why"
NOUNS = (
    "/v1/agents",
    "/v1/environments",
    "/v1/files",
    "/v1/models",
    "/v1/sessions",
    "/v1/skills",
    "/v1/vaults",
)


def undescribed(found: dict[str, Any]) -> list[str]:
    """Routes of the wire's nouns whose answer has no shape."""
    return [
        f"{method} {path}"
        for path, methods in found["paths"].items()
        for method, one in methods.items()
        for content in one["responses"]["200"]["content"].values()
        if not content["schema"] and path.startswith(NOUNS) and path != FOR_PEOPLE
    ]


@requirement("errors:no-key", "errors:open-routes")
async def test_keys_are_asked_for_on_every_route(server: Running) -> None:
    found = (await server.http().get("/openapi.json")).json()
    open_paths = {"/healthz", "/readyz"}
    async with httpx2.AsyncClient(base_url=server.url) as http:
        for path, methods in found["paths"].items():
            for method in methods:
                answer = await http.request(method, path.replace("{", "").replace("}", ""))
                if path in open_paths:
                    assert answer.status_code in (200, 503)
                else:
                    check(answer, 401, "authentication_error")
