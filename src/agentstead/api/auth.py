"""Who calls: an API key, an environment key, or the token of a work item; and their workspace.

Promises: without a live key there is no call; keys are known by their sha-256 only; an API key that
was revoked stops within `CACHE_SECONDS`, any other credential with the next request; a workspace
other than the key's own is refused.
"""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.requests import Request

from agentstead.api.ports import Services
from agentstead.api.scopes import ENVIRONMENT_KEY, ITEM_TOKEN, Scope
from agentstead.errors import Forbidden, Unauthenticated

CACHE_SECONDS = 5.0
CACHE_MAX = 1000
ITEM_PREFIX = "sk-ant-st01-"
ENVIRONMENT_PREFIX = "sk-ant-oat01-"
"""What programs for the hosted service expect an environment key to begin with."""
FIND_ENVIRONMENT_KEY = """
    select k.id, k.workspace_id, k.environment_id, null as session_id, null as work_id,
           coalesce(e.archived_at is not null, true) as archived
    from environment_keys k left join environments e on e.id = k.environment_id
    where k.hash = %s and k.revoked_at is null
"""
FIND_ITEM = """
    select work_id as id, workspace_id, environment_id, session_id, work_id, false as archived
    from work_tokens where hash = %s and until > clock_timestamp()
"""
USED_SECONDS = 60.0
"""`last_used_at` is exact to this."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose request it is."""

    key_id: str
    workspace_id: str
    source: str | None
    """The address it came from."""
    scope: Scope | None = None
    """What it is limited to; None: an API key, which may do everything in its workspace."""

    @property
    def credential(self) -> str:
        """Kind and id, for messages."""
        return f"{self.scope.kind if self.scope else 'API key'} {self.key_id}"


@dataclass(frozen=True, slots=True)
class _Known:
    key_id: str
    workspace_id: str
    hash: str
    until: float
    scope: Scope | None = None


def digest(secret: str) -> str:
    """What the database knows of a key."""
    return hashlib.sha256(secret.encode()).hexdigest()


class Keys:
    """The keys that were seen lately."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.known: dict[str, _Known] = {}
        self.used: dict[str, float] = {}

    async def caller(self, request: Request) -> Caller:
        """Whose request it is; Unauthenticated, Forbidden."""
        secret = presented(request)
        if secret is None:
            raise Unauthenticated
        known = await self.limited(secret) or await self.find(digest(secret))
        if known is None:
            raise Unauthenticated("This key is not valid.")
        wanted = request.headers.get("anthropic-workspace-id")
        if wanted and wanted != known.workspace_id:
            raise Forbidden("anthropic-workspace-id: This key belongs to another workspace.")
        client = request.client
        source = client.host if client else None
        return Caller(known.key_id, known.workspace_id, source, known.scope)

    async def limited(self, secret: str) -> _Known | None:
        """A live credential of a worker; never from memory, so that revoking works at once."""
        if secret.startswith(ENVIRONMENT_PREFIX):
            kind, sql, table = ENVIRONMENT_KEY, FIND_ENVIRONMENT_KEY, "environment_keys"
        elif secret.startswith(ITEM_PREFIX):
            kind, sql, table = ITEM_TOKEN, FIND_ITEM, None
        else:
            return None
        row = await self.services.database.fetch_one(sql, (digest(secret),))
        if row is None:
            return None
        scope = Scope(
            kind, row["environment_id"], row["session_id"], row["work_id"], row["archived"]
        )
        if table is not None:
            await self.note(row["id"], self.services.clock.monotonic(), table)
        return _Known(row["id"], row["workspace_id"], digest(secret), 0.0, scope)

    async def find(self, hashed: str) -> _Known | None:
        """The live key with this hash."""
        now = self.services.clock.monotonic()
        known = self.known.get(hashed)
        if known is None or known.until <= now:
            self.known.pop(hashed, None)
            row = await self.services.database.fetch_one(
                "select id, workspace_id, hash from api_keys where hash = %s and revoked_at is null",
                (hashed,),
            )
            if row is None or not hmac.compare_digest(row["hash"], hashed):
                return None
            known = _Known(row["id"], row["workspace_id"], row["hash"], now + CACHE_SECONDS)
            if len(self.known) >= CACHE_MAX:
                self.known.clear()
            self.known[hashed] = known
        await self.note(known.key_id, now)
        return known

    async def note(self, key_id: str, now: float, table: str = "api_keys") -> None:
        """Remember now and then when a key was used."""
        if now < self.used.get(key_id, now):
            return
        self.used[key_id] = now + USED_SECONDS
        await self.services.database.execute(
            f"update {table} set last_used_at = %s where id = %s",  # noqa: S608 - our names
            (datetime.fromtimestamp(self.services.clock.now(), UTC), key_id),
        )


def presented(request: Request) -> str | None:
    """The key of a request: as Bearer, or as x-api-key."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip()
    return request.headers.get("x-api-key", "").strip() or None
