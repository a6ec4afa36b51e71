"""Resources of a session: attach, list, retrieve, update, delete.

Promises: what is attached can be mounted, everything else is refused by its path and nothing is
attached; a repository's token is neither shown nor kept in plain; memory stores and repositories
stay for the session's life.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from agentstead.api.paging import Cursor, cursor, limit, page
from agentstead.api.router import Call, Router
from agentstead.clock import rfc3339
from agentstead.errors import Invalid, NotFound, Refusal
from agentstead.ids import RESOURCE
from agentstead.log.log import Change, SessionRow
from agentstead.resources.session_files import Wanted, copy_into, drop
from agentstead.resources.session_repositories import keep_repositories, replace_token, stored
from agentstead.wire import resource as wire
from agentstead.wire.answers.answer import Deleted
from agentstead.wire.answers.session import FileMount, Mount, MountPage
from agentstead.wire.resource import (
    FileResource,
    GithubRepository,
    MemoryStore,
    Resource,
    ResourceUpdate,
    Rules,
)

router = Router("Session resources")
Stored = Mapping[str, Any]


@router.get("/v1/sessions/{session_id}/resources", query=("limit", "page"), answer=MountPage)
async def list_resources(call: Call, session_id: str) -> Mapping[str, Any]:
    """List the resources of a session in the order in which they were attached."""
    session = await call.services.log.retrieve(call.workspace_id, session_id)
    kind = f"resources:{session_id}"
    most = limit(call.query, wire.RESOURCES_MAX, wire.RESOURCES_MAX)
    at = cursor(call.query, kind, "asc", (str, str))
    rest = following(session.resources, at)
    last = None
    if len(rest) > most:
        last = Cursor(kind, "asc", place(rest[most - 1]))
    return page(rest[:most], last)


@router.post("/v1/sessions/{session_id}/resources", FileResource, answer=FileMount)
async def add(call: Call, session_id: str, body: FileResource) -> Mapping[str, Any]:
    """Attach a file to a session; it is there before the next turn."""

    def checked(row: SessionRow) -> None:
        check_alive(row)
        rules = rules_of(call, row.environment["config"]["type"])
        wire.check([body], rules, row.resources, "")

    checked(await call.services.log.retrieve(call.workspace_id, session_id))
    added = await attached(call, session_id, [body], "")

    def decide(row: SessionRow) -> Change:
        checked(row)
        return Change({"resources": [*row.resources, *added]})

    try:
        await call.services.log.change(call.workspace_id, session_id, decide)
    except Refusal:
        await drop(call, [one["file_id"] for one in added])
        raise
    return added[0]


@router.get("/v1/sessions/{session_id}/resources/{resource_id}", answer=Mount)
async def retrieve(call: Call, session_id: str, resource_id: str) -> Mapping[str, Any]:
    """Retrieve one resource of a session."""
    return one_of(await call.services.log.retrieve(call.workspace_id, session_id), resource_id)


@router.post("/v1/sessions/{session_id}/resources/{resource_id}", ResourceUpdate, answer=Mount)
async def update(
    call: Call,
    session_id: str,
    resource_id: str,
    body: ResourceUpdate,
) -> Mapping[str, Any]:
    """Replace the token of a repository; the next attempt to check it out uses the new one."""

    def decide(row: SessionRow) -> Change:
        found = one_of(row, resource_id)
        check_alive(row)
        if found["type"] != "github_repository":
            raise Invalid(
                f"authorization_token: Only a github_repository has a token; {resource_id} is a "
                f"{found['type']}."
            )
        new = {**found, "updated_at": rfc3339(call.now)}
        return Change({"resources": [new if one is found else one for one in row.resources]})

    decide(await call.services.log.retrieve(call.workspace_id, session_id))
    await replace_token(call, session_id, resource_id, body.authorization_token)
    row = await call.services.log.change(call.workspace_id, session_id, decide)
    return one_of(row, resource_id)


@router.delete("/v1/sessions/{session_id}/resources/{resource_id}", answer=Deleted)
async def delete(call: Call, session_id: str, resource_id: str) -> Mapping[str, Any]:
    """Detach a file; repositories and memory stores stay as long as the session."""

    copies: list[str] = []

    def decide(row: SessionRow) -> Change:
        found = one_of(row, resource_id)
        check_alive(row)
        if found["type"] != "file":
            raise Invalid(
                f"Only a file can be detached; {resource_id} is a {found['type']}, which stays as "
                "long as the session."
            )
        copies.append(found["file_id"])
        return Change({"resources": [one for one in row.resources if one is not found]})

    await call.services.log.change(call.workspace_id, session_id, decide)
    await drop(call, copies)
    return {"id": resource_id, "type": "session_resource_deleted"}


def rules_of(call: Call, environment: str) -> Rules:
    """What resources are held to on an environment of this type."""
    hosts = tuple(host.lower() for host in call.services.settings.repository_hosts)
    return Rules(environment, hosts)


async def attached(
    call: Call, session_id: str, given: Sequence[Resource], at: str | None = None
) -> tuple[Stored, ...]:
    """Resources as they are stored and answered; what cannot be had yet is refused by its path."""
    wanted = []
    for number, one in enumerate(given):
        path = f"resources.{number}." if at is None else at
        if isinstance(one, MemoryStore):
            raise Invalid(
                f"{path}type: {one.type} is not possible: mounting memory stores is not available "
                "here yet."
            )
        if isinstance(one, GithubRepository) and call.services.settings.sandbox != "bubblewrap":
            raise Invalid(
                f"{path}type: {one.type} is not possible: the sandboxes of this server run on "
                f"{call.services.settings.sandbox}, which takes no checkouts yet."
            )
        if isinstance(one, FileResource):
            wanted.append(Wanted(one.file_id, f"{path}file_id"))
    copies = iter(await copy_into(call, session_id, wanted))
    stamp = rfc3339(call.now)
    made: list[Stored] = []
    repositories = []
    for one in given:
        if isinstance(one, GithubRepository):
            made.append(stored(call, one, stamp))
            repositories.append((one, made[-1]))
        elif isinstance(one, FileResource):
            made.append(a_file(call, one, next(copies), stamp))
    await keep_repositories(call, session_id, repositories)
    return tuple(made)


def a_file(call: Call, one: FileResource, copy: str, stamp: str) -> Stored:
    """A file as it is stored and answered."""
    return {
        "id": call.services.ids.new(RESOURCE),
        "type": "file",
        "file_id": copy,
        "mount_path": one.mount_path or wire.default_path(one.file_id),
        "created_at": stamp,
        "updated_at": stamp,
    }


def one_of(row: SessionRow, resource_id: str) -> Stored:
    """A session's resource; NotFound."""
    for one in row.resources:
        if one["id"] == resource_id:
            return one
    raise NotFound(f"Session {row.id} has no resource {resource_id}.")


def check_alive(row: SessionRow) -> None:
    """Ended sessions are read-only."""
    if row.archived_at is not None or row.status == "terminated":
        state = "archived" if row.archived_at is not None else "terminated"
        raise Invalid(f"Session {row.id} is {state} and cannot be changed.")


def place(one: Stored) -> tuple[str, str]:
    """What a resource's place in the list is known by."""
    return one["created_at"], one["id"]


def following(resources: Sequence[Stored], at: Cursor | None) -> Sequence[Stored]:
    """The resources after a cursor, whose own may have been detached since."""
    if at is None:
        return resources
    for number, one in enumerate(resources):
        if one["id"] == at.key[1]:
            return resources[number + 1 :]
    return [one for one in resources if place(one) > at.key]
