"""Who calls: an API key and its workspace.

Promises: without a live key there is no call; keys are known by their sha-256 only; a key that was
revoked stops within `CACHE_SECONDS`; a workspace other than the key's own is refused.
"""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.requests import Request

from agentstead.api.ports import Services
from agentstead.errors import Forbidden, Unauthenticated

CACHE_SECONDS = 5.0
CACHE_MAX = 1000
USED_SECONDS = 60.0
"""`last_used_at` is exact to this."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose request it is."""

    key_id: str
    workspace_id: str
    source: str | None
    """The address it came from."""


@dataclass(frozen=True, slots=True)
class _Known:
    key_id: str
    workspace_id: str
    hash: str
    until: float


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
        known = await self.find(digest(secret))
        if known is None:
            raise Unauthenticated("This API key is not valid.")
        wanted = request.headers.get("anthropic-workspace-id")
        if wanted and wanted != known.workspace_id:
            raise Forbidden("anthropic-workspace-id: This key belongs to another workspace.")
        client = request.client
        return Caller(known.key_id, known.workspace_id, client.host if client else None)

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

    async def note(self, key_id: str, now: float) -> None:
        """Remember now and then when a key was used."""
        if now < self.used.get(key_id, now):
            return
        self.used[key_id] = now + USED_SECONDS
        await self.services.database.execute(
            "update api_keys set last_used_at = %s where id = %s",
            (datetime.fromtimestamp(self.services.clock.now(), UTC), key_id),
        )


def presented(request: Request) -> str | None:
    """The key of a request: as Bearer, or as x-api-key."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip()
    return request.headers.get("x-api-key", "").strip() or None
