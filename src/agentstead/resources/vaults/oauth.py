"""New access tokens for old ones: the `refresh_token` grant.

Promises: one refresh per credential at a time over all processes, so that a rotated refresh token is
never spent twice; whoever comes meanwhile gets the token that the other one got; what a token
endpoint answers is shown without any of the credential's secrets.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import httpx2

from agentstead import outgoing
from agentstead.clock import Clock, from_rfc3339, rfc3339
from agentstead.ids import Ids
from agentstead.resources.vaults.credentials import credentials, opened, sealed
from agentstead.store.pool import Database
from agentstead.store.seal import Seal
from agentstead.store.table import Row, Write, readable

REFRESH_SECONDS = 20.0
"""So long one refresh may take before another one may begin."""
POLL_SECONDS = 0.1
EARLY_SECONDS = 60.0
"""A token is renewed so long before it ends."""
BODY_MAX = 4096
MASK = "[redacted]"


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What a server answered, fit to be shown."""

    status: int
    content_type: str
    body: str
    truncated: bool

    def wire(self) -> dict[str, Any]:
        """As in a validation's result."""
        return {
            "status_code": self.status,
            "content_type": self.content_type,
            "body": self.body,
            "body_truncated": self.truncated,
        }


@dataclass(frozen=True, slots=True)
class Exchange:
    """How a refresh went."""

    status: str
    """succeeded | failed | connect_error | no_refresh_token"""
    token: str | None = None
    answer: HttpAnswer | None = None
    """Of a token endpoint that refused."""


NOTHING_TO_EXCHANGE = Exchange("no_refresh_token")


@dataclass(frozen=True, slots=True)
class Oauth:
    """What a refresh needs."""

    database: Database
    seal: Seal
    http: httpx2.AsyncClient
    clock: Clock
    ids: Ids

    async def fresh(self, row: Row) -> str | None:
        """The access token of a stored credential, renewed when it is about to end."""
        token = opened(self.seal, row, "access_token")
        ends = row["auth"]["expires_at"]
        if ends is None or from_rfc3339(ends) > self.clock.now() + EARLY_SECONDS:
            return token
        exchange = await self.refresh(row, token)
        # A server may still take a token that is about to end, or whose end was told wrongly.
        return exchange.token or token

    async def refresh(self, row: Row, stale: str | None) -> Exchange:
        """A token instead of `stale`; somebody else's, if one was got meanwhile."""
        if row["auth"]["refresh"] is None:
            return NOTHING_TO_EXCHANGE
        give_up = self.clock.monotonic() + REFRESH_SECONDS
        while True:
            claimed = await self._claim(row["id"])
            if claimed is not None:
                return await self._refresh_claimed(claimed, stale)
            now = await credentials.find(self.database, row["workspace_id"], row["id"])
            if now is None or now["archived_at"] is not None:
                return NOTHING_TO_EXCHANGE
            token = opened(self.seal, now, "access_token")
            if token != stale:
                return Exchange("succeeded", token)
            if self.clock.monotonic() > give_up:
                return Exchange("connect_error")
            await self.clock.sleep(POLL_SECONDS)

    async def _claim(self, credential_id: str) -> Row | None:
        row = await self.database.fetch_one(
            "update vault_credentials"
            " set refreshing_until = clock_timestamp() + make_interval(secs => %s)"
            " where id = %s and archived_at is null"
            " and (refreshing_until is null or refreshing_until < clock_timestamp())"
            " returning *",
            (REFRESH_SECONDS, credential_id),
        )
        return row and readable(row)

    async def _refresh_claimed(self, row: Row, stale: str | None) -> Exchange:
        new: dict[str, Any] = {}
        exchange = Exchange("connect_error")
        try:
            current = opened(self.seal, row, "access_token")
            if current != stale:
                exchange = Exchange("succeeded", current)
            else:
                exchange, new = await self._ask(row)
        finally:
            await self._keep(row, exchange, new)
        return exchange

    async def _ask(self, row: Row) -> tuple[Exchange, dict[str, Any]]:
        """Ask the token endpoint; how it went, and the columns to set."""
        secrets = {name: opened(self.seal, row, name) or "" for name in row["sealed"]}
        try:
            status, content_type, body = await self._post(row["auth"]["refresh"], secrets)
        except outgoing.FAULTS:
            return Exchange("connect_error"), {}
        granted = grant(body) if status < 300 else None
        if granted is None:
            return Exchange(
                "failed", answer=shown(status, content_type, body, secrets.values())
            ), {}
        tokens = {"access_token": granted["access_token"]}
        if rotated := granted.get("refresh_token"):
            tokens["refresh_token"] = rotated
        lasts = granted.get("expires_in")
        ends = rfc3339(self.clock.now() + float(lasts)) if lasts else None
        return Exchange("succeeded", tokens["access_token"]), {
            "auth": {**row["auth"], "expires_at": ends},
            "sealed": {**row["sealed"], **sealed(self.seal, row["id"], tokens)},
        }

    async def _post(
        self, refresh: Mapping[str, Any], secrets: Mapping[str, str]
    ) -> tuple[int, str, bytes]:
        form = {"grant_type": "refresh_token", "refresh_token": secrets["refresh_token"]}
        form |= {name: refresh[name] for name in ("scope", "resource") if refresh[name]}
        way = refresh["token_endpoint_auth"]["type"]
        basic = None
        if way == "client_secret_basic":
            basic = httpx2.BasicAuth(refresh["client_id"], secrets["client_secret"])
        else:
            form["client_id"] = refresh["client_id"]
            if way == "client_secret_post":
                form["client_secret"] = secrets["client_secret"]
        request = self.http.build_request(
            "POST", refresh["token_endpoint"], data=form, headers={"accept": "application/json"}
        )
        return await read(self.http, request, basic)

    async def _keep(self, row: Row, exchange: Exchange, new: Mapping[str, Any]) -> None:
        """Set what is new and let the next one refresh; what a client did meanwhile wins."""
        async with self.database.transaction() as tx:
            write = Write(tx, self.ids, self.clock.now(), row["workspace_id"])
            now = await tx.fetch_one(
                "select sealed from vault_credentials where id = %s and archived_at is null"
                " for update",
                (row["id"],),
            )
            if now is None:
                return
            values = dict(new) if now["sealed"] == row["sealed"] else {}
            verb = "refresh" if exchange.status == "succeeded" else "refresh_failed"
            await credentials.update(write, row["id"], {**values, "refreshing_until": None}, verb)


def grant(body: bytes) -> dict[str, Any] | None:
    """A token endpoint's answer, when it grants something that can be used."""
    try:
        found = json.loads(body)
        lasts = found.get("expires_in")
        usable = (
            isinstance(found["access_token"], str)
            and found["access_token"] != ""
            and isinstance(found.get("refresh_token", ""), str)
            and (lasts is None or 0 <= float(lasts) < 10**9)
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return found if usable else None


async def read(
    http: httpx2.AsyncClient, request: httpx2.Request, auth: httpx2.Auth | None = None
) -> tuple[int, str, bytes]:
    """Status, content type and the first part of the body."""
    answer = await http.send(request, stream=True, auth=auth, follow_redirects=False)
    try:
        body = b""
        async for part in answer.aiter_bytes():
            body += part
            if len(body) > 16 * BODY_MAX:
                break
    finally:
        await answer.aclose()
    return answer.status_code, answer.headers.get("content-type", ""), body


def shown(status: int, content_type: str, body: bytes, secrets: Collection[str]) -> HttpAnswer:
    """An answer fit to be shown: without secrets, and not too long."""
    text = body.decode(errors="replace").replace("\x00", "")
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, MASK)
    return HttpAnswer(status, content_type[:255], text[:BODY_MAX], len(text) > BODY_MAX)
