"""What credentials other than API keys may do: a table of routes, and whose things they reach.

An environment key serves the queue of one environment and the sessions on it; the token of a work
item serves one session. Everything else is refused with a 403 that says so (work queue §1.2).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from agentstead.errors import Forbidden, NotFound
from agentstead.store.pool import Database

ENVIRONMENT_KEY = "environment key"
ITEM_TOKEN = "token of a work item"  # noqa: S105 - a name

WORK = "/v1/environments/{environment_id}/work"
SESSION = "/v1/sessions/{session_id}"
SKILL = "/v1/skills/{skill_id}/versions/{version}"
BOTH = frozenset({ENVIRONMENT_KEY, ITEM_TOKEN})
ENVIRONMENT_ONLY = frozenset({ENVIRONMENT_KEY})

ALLOWED: Mapping[tuple[str, str], frozenset[str]] = {
    ("GET", f"{WORK}/poll"): ENVIRONMENT_ONLY,
    ("GET", f"{WORK}/stats"): ENVIRONMENT_ONLY,
    ("GET", WORK): ENVIRONMENT_ONLY,
    ("POST", f"{WORK}/{{work_id}}/ack"): ENVIRONMENT_ONLY,
    ("POST", f"{WORK}/{{work_id}}/heartbeat"): BOTH,
    ("POST", f"{WORK}/{{work_id}}/stop"): BOTH,
    ("GET", SESSION): BOTH,
    ("GET", f"{SESSION}/events"): BOTH,
    ("GET", f"{SESSION}/events/stream"): BOTH,
    ("POST", f"{SESSION}/events"): BOTH,
    ("GET", SKILL): BOTH,
    ("GET", f"{SKILL}/content"): BOTH,
}
"""Route → the kinds of credential that may call it beside API keys."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a credential reaches."""

    kind: str
    environment_id: str
    session_id: str | None = None
    """Only this one; None: every session of the environment."""
    work_id: str | None = None
    archived: bool = False
    """The environment is archived."""


async def check(
    database: Database,
    workspace_id: str,
    scope: Scope | None,
    route: tuple[str, str],
    ids: Mapping[str, str],
) -> None:
    """Whether this credential may call this route with these ids; Forbidden, NotFound."""
    if scope is None:
        return
    if scope.kind not in ALLOWED.get(route, frozenset()):
        raise Forbidden(
            f"The {scope.kind} may not call {route[0]} {route[1]}: it serves work items and their "
            "sessions. Use an API key."
        )
    for name, own in (("environment_id", scope.environment_id), ("work_id", scope.work_id)):
        if own is not None and ids.get(name, own) != own:
            raise Forbidden(f"{name}: The {scope.kind} is for {own} only.")
    if "skill_id" in ids:
        await check_skill(database, scope, ids["skill_id"])
    if "session_id" in ids:
        await check_session(database, workspace_id, scope, ids["session_id"])


async def check_session(
    database: Database, workspace_id: str, scope: Scope, session_id: str
) -> None:
    """The token's own session, or any of the key's environment; Forbidden, NotFound."""
    if scope.session_id is not None:
        if session_id != scope.session_id:
            raise Forbidden(f"session_id: The {scope.kind} is for {scope.session_id} only.")
        return
    row = await database.fetch_one(
        "select 1 from sessions where id = %s and workspace_id = %s and environment_id = %s",
        (session_id, workspace_id, scope.environment_id),
    )
    if row is None:
        raise NotFound(f"There is no session {session_id} in environment {scope.environment_id}.")


SERVED = """
    select s.agent from sessions s where s.id = %s or s.id in
        (select session_id from work where environment_id = %s and state <> 'stopped')
"""


async def check_skill(database: Database, scope: Scope, skill_id: str) -> None:
    """A skill of the session, or of any that the environment's workers serve now; NotFound."""
    environment_id = None if scope.session_id else scope.environment_id
    rows = await database.fetch(SERVED, (scope.session_id, environment_id))
    skills = (skill for row in rows for skill in row["agent"].get("skills") or ())
    if not any(skill.get("skill_id") == skill_id for skill in skills):
        raise NotFound(f"No session that this {scope.kind} serves has a skill {skill_id}.")
