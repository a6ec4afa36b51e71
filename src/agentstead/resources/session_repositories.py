"""The repositories of sessions as the API makes them: what is answered, and their tokens, sealed.

Promises: a token is stored sealed, apart from the resource that is answered, and shown by no route.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from agentstead.api.router import Call
from agentstead.ids import RESOURCE
from agentstead.wire.resource import GithubRepository


def context(resource_id: str) -> str:
    """What a token is bound to when it is sealed."""
    return f"repository {resource_id}"


def stored(call: Call, one: GithubRepository, stamp: str) -> dict[str, Any]:
    """A repository as it is stored and answered."""
    return {
        "id": call.services.ids.new(RESOURCE),
        "type": "github_repository",
        "url": one.url,
        "mount_path": one.mount_path or f"/workspace/{one.url.rpartition('/')[2]}",
        "checkout": None if one.checkout is None else one.checkout.model_dump(),
        "created_at": stamp,
        "updated_at": stamp,
    }


async def keep_repositories(
    call: Call, session_id: str, kept: Sequence[tuple[GithubRepository, Mapping[str, Any]]]
) -> None:
    """Keep their tokens; the session may not be written yet: what one that never comes has is swept up."""
    if not kept:
        return
    async with call.services.database.pipeline() as tx:
        for given, resource in kept:
            await tx.ask(
                "insert into session_repositories"
                " (workspace_id, session_id, resource_id, sealed, created_at)"
                " values (%s, %s, %s, %s, to_timestamp(%s))",
                (
                    call.workspace_id,
                    session_id,
                    resource["id"],
                    sealed(call, resource["id"], given.authorization_token),
                    call.now,
                ),
            )


async def replace_token(call: Call, session_id: str, resource_id: str, token: str) -> None:
    """From now on this token is used, by an attempt that waits too."""
    async with call.services.database.transaction() as tx:
        await tx.execute(
            "update session_repositories set sealed = %s"
            " where workspace_id = %s and session_id = %s and resource_id = %s",
            (sealed(call, resource_id, token), call.workspace_id, session_id, resource_id),
        )


def sealed(call: Call, resource_id: str, token: str | None) -> str | None:
    """A token as it may be stored."""
    return None if token is None else call.services.seal.seal(context(resource_id), token)
