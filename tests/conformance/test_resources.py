"""Resources of a session through the official SDK.

Nothing can be uploaded, cloned or stored here yet, so that the resources which are read are put
into the session's row; everything else goes through the API.
"""

from typing import Any

import anthropic
import pytest

from agentstead.log.log import Change, SessionRow
from agentstead.store.workspace import DEFAULT_WORKSPACE
from tests.conformance.requirements import requirement
from tests.support.server import Running

URL = "https://github.com/acme/tools"
AT = "2026-11-24T10:00:00Z"


def a_file(number: int, path: str | None = None) -> dict[str, Any]:
    return {
        "id": f"sesrsc_{number}", "type": "file", "file_id": f"file_{number}",
        "mount_path": path or f"/data/{number}.csv", "created_at": AT, "updated_at": AT,
    }  # fmt: skip


REPOSITORY: dict[str, Any] = {
    "id": "sesrsc_repo", "type": "github_repository", "url": URL, "mount_path": "/workspace/tools",
    "checkout": {"type": "branch", "name": "main"}, "created_at": AT, "updated_at": AT,
}  # fmt: skip
STORE: dict[str, Any] = {
    "id": "sesrsc_store", "type": "memory_store", "memory_store_id": "memstore_1", "access": "read_only",
    "instructions": None, "name": "Prefs", "description": "", "mount_path": "/mnt/memory/prefs",
    "created_at": AT, "updated_at": AT,
}  # fmt: skip


async def attach(server: Running, session: Any, *resources: dict[str, Any]) -> None:
    """Put resources into the session's row."""

    def decide(row: SessionRow) -> Change:
        return Change({"resources": [*row.resources, *resources]})

    await server.log.change(DEFAULT_WORKSPACE, session.id, decide)


@requirement("resources:shapes", "resources:order", "resources:unknown")
async def test_resources_are_listed_as_they_were_attached(
    server: Running, client: Any, session: Any
) -> None:
    resources = client.beta.sessions.resources
    assert (await resources.list(session.id)).data == []
    await attach(server, session, a_file(3), REPOSITORY, a_file(1), STORE, a_file(2))
    page = await resources.list(session.id)
    wanted = ["sesrsc_3", "sesrsc_repo", "sesrsc_1", "sesrsc_store", "sesrsc_2"]
    assert [one.id for one in page.data] == wanted
    assert page.next_page is None
    assert [one.id async for one in resources.list(session.id, limit=1)] == wanted
    assert [one.id async for one in resources.list(session.id, limit=2)] == wanted
    assert (await client.beta.sessions.retrieve(session.id)).resources == page.data
    raw = (await server.http().get(f"/v1/sessions/{session.id}/resources/sesrsc_3")).json()
    assert raw == a_file(3)
    one = await resources.retrieve("sesrsc_repo", session_id=session.id)
    assert (one.type, one.url, one.checkout.name) == ("github_repository", URL, "main")
    for wrong in ("sesrsc_none", session.id):
        with pytest.raises(anthropic.NotFoundError, match=wrong):
            await resources.retrieve(wrong, session_id=session.id)
        with pytest.raises(anthropic.NotFoundError, match=wrong):
            await resources.delete(wrong, session_id=session.id)
        with pytest.raises(anthropic.NotFoundError, match=wrong):
            await resources.update(wrong, session_id=session.id, authorization_token="t")
    for query in ({"limit": 0}, {"limit": 1001}, {"page": "page_eA"}):
        with pytest.raises(anthropic.BadRequestError, match=next(iter(query))):
            await resources.list(session.id, **query)


@requirement("resources:order", "resources:only-files-are-added", "resources:fixed")
async def test_only_files_are_detached(server: Running, client: Any, session: Any) -> None:
    resources = client.beta.sessions.resources
    await attach(server, session, a_file(1), a_file(2), a_file(3), REPOSITORY, STORE)
    page = await resources.list(session.id, limit=2)
    gone = await resources.delete("sesrsc_2", session_id=session.id)
    assert gone.to_dict() == {"id": "sesrsc_2", "type": "session_resource_deleted"}
    # The cursor was that of the one which is gone.
    rest = await resources.list(session.id, page=page.next_page)
    assert [one.id for one in rest.data] == ["sesrsc_3", "sesrsc_repo", "sesrsc_store"]
    with pytest.raises(anthropic.NotFoundError):
        await resources.delete("sesrsc_2", session_id=session.id)
    for fixed in ("sesrsc_repo", "sesrsc_store"):
        with pytest.raises(anthropic.BadRequestError, match="Only a file can be detached"):
            await resources.delete(fixed, session_id=session.id)
    left = [one.id for one in (await resources.list(session.id)).data]
    assert left == ["sesrsc_1", "sesrsc_3", "sesrsc_repo", "sesrsc_store"]
    # Nothing was said about it in the log: the last event of an idle session stays the last.
    assert [one async for one in client.beta.sessions.events.list(session.id)] == []


@requirement("resources:token")
async def test_only_repositories_have_a_token(server: Running, client: Any, session: Any) -> None:
    resources = client.beta.sessions.resources
    await attach(server, session, a_file(1), REPOSITORY)
    with pytest.raises(anthropic.BadRequestError, match="Only a github_repository") as refused:
        await resources.update("sesrsc_1", session_id=session.id, authorization_token="ghp_secret")
    assert "ghp_secret" not in refused.value.response.text
    http = server.http()
    path = f"/v1/sessions/{session.id}/resources/sesrsc_repo"
    for body in ({}, {"authorization_token": ""}, {"authorization_token": None}):
        answer = await http.post(path, json=body)
        assert answer.status_code == 400
        assert answer.json()["error"]["message"].startswith("authorization_token: ")
    assert (await http.get(path)).json() == REPOSITORY


def file(**more: Any) -> dict[str, Any]:
    return {"type": "file", "file_id": "file_1", **more}


def repo(**more: Any) -> dict[str, Any]:
    return {"type": "github_repository", "url": URL, **more}


def store(**more: Any) -> dict[str, Any]:
    return {"type": "memory_store", "memory_store_id": "memstore_1", **more}


WRONG: list[tuple[list[dict[str, Any]], str]] = [
    ([file()], "resources.0.file_id: There is no file"),
    ([{"type": "file"}], "resources.0.file_id: Field required"),
    ([{"type": "folder"}], "resources.0.type: Expected one of"),
    ([file(mount_path="")], "resources.0.mount_path: Should have at least 1"),
    ([file(mount_path="a\nb")], "resources.0.mount_path: Control characters"),
    ([file(mount_path="../x")], 'resources.0.mount_path: The path must not contain ".."'),
    ([file(colour="red")], "resources.0.colour: Extra inputs"),
    ([file(mount_path="a"), file(mount_path="/a")], "resources.1.mount_path: /mnt/session/uploads/a is"),
    ([repo(authorization_token="")], "resources.0.authorization_token: Should have at least 1"),
    ([repo(), repo()], "resources.1.mount_path: /workspace/tools is where resources.0 is mounted"),
    ([repo(url="git@github.com:a/b.git")], "resources.0.url: Expected https://github.com/<owner>"),
    ([repo(checkout={"type": "tag", "name": "x"})], "resources.0.checkout.type: Expected"),
    ([repo(mount_path="/etc")], "resources.0.mount_path: Repositories are mounted below /workspace"),
    ([store()], "resources.0.type: memory_store is not possible"),
    ([store(access="write")], "resources.0.access: Input should be"),
    ([store(instructions="x" * 4097)], "resources.0.instructions: Should have at most 4096"),
    ([store(), store()], "resources.1.memory_store_id: memstore_1 is attached twice"),
    ([store(memory_store_id=f"memstore_{n}") for n in range(9)], "resources: At most 8"),
    ([file(file_id=f"file_{n}") for n in range(501)], "resources: At most 500"),
]  # fmt: skip


@requirement(
    "resources:refused-by-path",
    "resources:paths",
    "resources:repository-url",
    "resources:limits",
    "resources:token",
)
async def test_a_session_with_a_wrong_resource_is_refused(
    server: Running, agent: Any, environment: Any
) -> None:
    http = server.http()
    for resources, said in WRONG:
        body = {"agent": agent.id, "environment_id": environment.id, "resources": resources}
        answer = await http.post("/v1/sessions", json=body)
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["message"].startswith(said), answer.text
    assert (await http.get("/v1/sessions")).json()["data"] == []


WRONG_ADDED: list[tuple[dict[str, Any], str]] = [
    (file(), "file_id: There is no file"),
    (repo(), "type: Input should be 'file'"),
    (store(), "type: Input should be 'file'"),
    ({}, "type: Field required"),
    (file(mount_path="/data/1.csv/x"), "mount_path: /mnt/session/uploads/data/1.csv/x is where another"),
    (file(mount_path="/mnt/session/uploads/data/1.csv"), "mount_path: /mnt/session/uploads/data/1.csv is"),
    (file(mount_path="/"), "mount_path: The path must name a file"),
]  # fmt: skip


@requirement("resources:only-files-are-added", "resources:paths", "resources:refused-by-path")
async def test_a_wrong_resource_is_not_added(server: Running, session: Any) -> None:
    http = server.http()
    await attach(server, session, a_file(1))
    for body, said in WRONG_ADDED:
        answer = await http.post(f"/v1/sessions/{session.id}/resources", json=body)
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["message"].startswith(said), answer.text
    found = await http.get(f"/v1/sessions/{session.id}/resources")
    assert found.json() == {"data": [a_file(1)], "next_page": None}
    assert (await http.post("/v1/sessions/sesn_none/resources", json=file())).status_code == 404


@requirement("resources:read-only-after-the-end")
async def test_an_archived_sessions_resources_stay_readable(
    server: Running, client: Any, session: Any
) -> None:
    resources = client.beta.sessions.resources
    await attach(server, session, a_file(1), REPOSITORY)
    await client.beta.sessions.archive(session.id)
    assert len((await resources.list(session.id)).data) == 2
    assert (await resources.retrieve("sesrsc_1", session_id=session.id)).type == "file"
    for refused in (
        resources.add(session.id, type="file", file_id="file_1"),
        resources.delete("sesrsc_1", session_id=session.id),
        resources.update("sesrsc_repo", session_id=session.id, authorization_token="t"),
    ):
        with pytest.raises(anthropic.BadRequestError, match="is archived"):
            await refused
    await client.beta.sessions.delete(session.id)
    for gone in (
        resources.add(session.id, type="file", file_id="file_1"),
        resources.list(session.id),
        resources.retrieve("sesrsc_1", session_id=session.id),
        resources.delete("sesrsc_1", session_id=session.id),
    ):
        with pytest.raises(anthropic.NotFoundError):
            await gone
