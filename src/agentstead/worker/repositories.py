"""The repositories of sessions as a worker needs them: checked out on this host, then put in their place.

Promises: a token is opened for the one request that needs it, and is known to the log's redactor from
then on; what lies in a sandbox is never overwritten; a checkout that was not finished leaves nothing.
"""

import base64
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from agentstead.errors import RepositoryFault, SandboxFault, StoreFault
from agentstead.harness.mounts import Skill
from agentstead.harness.repositories import Repository
from agentstead.log import read
from agentstead.resources.session_repositories import context
from agentstead.sandbox.checkouts import Checkouts, Wanted
from agentstead.sandbox.sandbox import Limits
from agentstead.store.pool import Database
from agentstead.store.seal import Seal
from agentstead.store.table import Row, storable
from agentstead.telemetry import logs
from agentstead.wire import resource
from agentstead.worker import repository_skills

USER = "x-access-token"
"""Hosts look at the token only; GitHub's own name for whoever has one."""
SWEEP_GRACE_SECONDS = 3600.0

log = logs.get("worker")


class Ground(Protocol):
    """Sandboxes that take folders of this host (`sandbox.bubblewrap.Bubblewrap`)."""

    async def plant(self, sandbox_id: str, tree: Path, path: str) -> None:
        """Move a folder into the workspace; FileExistsError when its place is taken."""
        ...

    async def grown(self, sandbox_id: str, path: str) -> bool:
        """Whether that was done, or a repository lies there."""
        ...


class StoredRepositories:
    """Over the database, the checkouts of this host, and its sandboxes."""

    def __init__(
        self,
        database: Database,
        seal: Seal,
        checkouts: Checkouts,
        ground: Ground,
        conceal: Callable[[str, str], None],
    ) -> None:
        self.database = database
        self.seal = seal
        self.checkouts = checkouts
        self.ground = ground
        self.conceal = conceal
        """Told the session's id and every token that is opened for it."""

    async def of(self, session_id: str) -> tuple[Repository, ...]:
        """The session's repositories, and which of them are in their place."""
        rows = await self.rows(session_id)
        found = []
        for one in await self.resources(session_id):
            path = resource.mounted(one)
            row = rows.get(one["id"])
            skills = (row["skills"] if row else None) or ()
            found.append(
                Repository(
                    id=one["id"],
                    url=one["url"],
                    path=path,
                    checkout=words(one["checkout"]),
                    ready=await self.ground.grown(session_id, below(path)),
                    skills=tuple(Skill(**skill) for skill in skills),
                )
            )
        return tuple(found)

    async def check_out(self, session_id: str, repository_id: str, limits: Limits) -> None:
        """Check one out and put it in its place, unless something grows there."""
        found = [one for one in await self.resources(session_id) if one["id"] == repository_id]
        if not found:
            return
        (one,) = found
        path = resource.mounted(one)
        if await self.ground.grown(session_id, below(path)):
            return
        row = (await self.rows(session_id)).get(repository_id)
        wanted = Wanted(
            url=one["url"],
            checkout=one["checkout"],
            authorization=basic(self.token(session_id, repository_id, row)),
            disk_bytes=limits.disk_bytes,
        )
        try:
            async with self.checkouts.made(session_id, wanted) as tree:
                if row is not None and row["skills"] is None:
                    await self.keep_skills(session_id, repository_id, tree, path)
                await self.ground.plant(session_id, tree, below(path))
        except FileExistsError as error:
            text = f"{one['url']} cannot be put at {path}: something else lies there."
            raise RepositoryFault(text, kind="checkout") from error
        except (SandboxFault, OSError) as error:
            text = f"{one['url']} cannot be put at {path}: {error}"
            raise RepositoryFault(text, kind="clone", retryable=True) from error
        log.info("repository checked out", session_id=session_id, url=one["url"])

    def token(self, session_id: str, repository_id: str, row: Row | None) -> str | None:
        """A repository's token, opened."""
        if row is None or row["sealed"] is None:
            return None
        try:
            token = self.seal.open(context(repository_id), row["sealed"])
        except StoreFault as fault:
            text = f"The repository's token cannot be opened: {fault.message} Send a new one."
            raise RepositoryFault(text, kind="authentication") from fault
        self.conceal(session_id, token)
        return token

    async def keep_skills(self, session_id: str, repository_id: str, tree: Path, path: str) -> None:
        """Remember the skills it brings along: they are looked for once."""
        skills = await repository_skills.find(tree, path)
        await self.database.execute(
            "update session_repositories set skills = %s where session_id = %s and resource_id = %s",
            (storable(skills), session_id, repository_id),
        )

    async def resources(self, session_id: str) -> list[Mapping[str, Any]]:
        """The session's repositories as the API has them; none when it is deleted."""
        found = await read.resources(self.database, session_id)
        return [one for one in found if one["type"] == "github_repository"]

    async def rows(self, session_id: str) -> dict[str, Row]:
        """What is kept of them, by resource."""
        rows = await self.database.fetch(
            "select resource_id, sealed, skills from session_repositories where session_id = %s",
            (session_id,),
        )
        return {row["resource_id"]: row for row in rows}


def below(path: str) -> str:
    """A place of a repository, relative to the workspace."""
    return path.removeprefix(f"{resource.WORKSPACE}/")


def words(checkout: Mapping[str, Any] | None) -> str:
    """What is checked out, in words."""
    if checkout is None:
        return "its default branch"
    if checkout["type"] == "branch":
        return f"branch {checkout['name']}"
    return f"commit {checkout['sha']}"


def basic(token: str | None) -> str:
    """A token as the value of an `Authorization` header; empty when there is none."""
    if token is None:
        return ""
    return "Basic " + base64.b64encode(f"{USER}:{token}".encode()).decode()


async def forget(database: Database, grace_seconds: float = SWEEP_GRACE_SECONDS) -> None:
    """Delete what is kept for sessions that are gone, and the tokens of those that are archived."""
    await database.execute(
        "delete from session_repositories r"
        " where r.created_at < now() - make_interval(secs => %s)"
        " and not exists (select 1 from sessions s where s.id = r.session_id)",
        (grace_seconds,),
    )
    await database.execute(
        "update session_repositories r set sealed = null from sessions s"
        " where s.id = r.session_id and s.archived_at is not null and r.sealed is not null"
    )
