"""Trying out an OAuth credential: the first steps of an MCP conversation, and a refresh if need be."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2

from agentstead import outgoing
from agentstead.api.router import Call, Router
from agentstead.clock import rfc3339
from agentstead.errors import Invalid
from agentstead.resources.vaults.credentials import ONE, find, opened
from agentstead.resources.vaults.oauth import Exchange, HttpAnswer, Oauth, shown
from agentstead.store.table import Row
from agentstead.wire.answers.vault import Validation

router = Router("Vaults")
PROTOCOL = "2025-06-18"
BODY_BYTES_MAX = 65_536
NOT_ALLOWED = (401, 403)
NO_SUCH_METHOD = (404, 405)
ERROR = 400
TOO_MANY = 429
SERVER_ERROR = 500

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": PROTOCOL,
        "capabilities": {},
        "clientInfo": {"name": "agentstead", "version": "1"},
    },
}
STEPS: tuple[Mapping[str, Any], ...] = (
    INITIALIZE,
    {"jsonrpc": "2.0", "method": "notifications/initialized"},
    {"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
)


@dataclass(frozen=True, slots=True)
class Probe:
    """The step that failed; both None when none did."""

    method: str | None = None
    answer: HttpAnswer | None = None

    @property
    def passed(self) -> bool:
        """Every step went well."""
        return self.method is None

    @property
    def unauthenticated(self) -> bool:
        """The token was not accepted."""
        return self.answer is not None and self.answer.status == NOT_ALLOWED[0]

    def wire(self) -> dict[str, Any] | None:
        """As in a validation's result."""
        if self.method is None:
            return None
        return {"method": self.method, "http_response": self.answer and self.answer.wire()}


@router.post(ONE + "/mcp_oauth_validate", answer=Validation)
async def validate(call: Call, vault_id: str, credential_id: str) -> Mapping[str, Any]:
    """Try an OAuth credential on its server, refreshing it if the server wants that."""
    services = call.services
    row = await find(services.database, call.workspace_id, vault_id, credential_id)
    if row["kind"] != "mcp_oauth":
        raise Invalid("Only credentials of type mcp_oauth can be validated.")
    if row["archived_at"] is not None:
        raise Invalid(f"Credential {credential_id} is archived: it has no token any more.")
    oauth = Oauth(services.database, services.seal, services.http, services.clock, services.ids)
    token = opened(services.seal, row, "access_token") or ""
    probe = await tried(services.http, row, token)
    exchange: Exchange | None = None
    if probe.unauthenticated:
        exchange = await oauth.refresh(row, token)
        if exchange.token is not None:
            probe = await tried(services.http, row, exchange.token)
    return {
        "type": "vault_credential_validation",
        "vault_id": vault_id,
        "credential_id": credential_id,
        "validated_at": rfc3339(services.clock.now()),
        "status": verdict(probe, exchange),
        "has_refresh_token": "refresh_token" in row["sealed"],
        "mcp_probe": probe.wire(),
        "refresh": exchange and refresh_wire(exchange),
    }


def refresh_wire(exchange: Exchange) -> dict[str, Any]:
    """A refresh as in a validation's result."""
    return {
        "status": exchange.status,
        "http_response": exchange.answer and exchange.answer.wire(),
    }


def verdict(probe: Probe, exchange: Exchange | None) -> str:
    """valid | invalid | unknown"""
    if probe.passed:
        return "valid"
    if exchange is not None and exchange.status != "succeeded":
        if exchange.status == "no_refresh_token":
            return "invalid"
        return certain(exchange.answer)
    return certain(probe.answer, NOT_ALLOWED)


def certain(answer: HttpAnswer | None, refusals: tuple[int, ...] = ()) -> str:
    """Whether an answer is the credential's fault, or may be anybody's."""
    if answer is None or answer.status == TOO_MANY or answer.status >= SERVER_ERROR:
        return "unknown"
    if refusals and answer.status not in refusals:
        return "unknown"
    return "invalid"


async def tried(http: httpx2.AsyncClient, row: Row, token: str) -> Probe:
    """The first steps with this token; the one that failed."""
    url = row["auth"]["mcp_server_url"]
    headers = {
        "authorization": f"Bearer {token}",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": PROTOCOL,
    }
    for step in STEPS:
        method = str(step["method"])
        try:
            answer, session = await ask(http, "POST", url, headers, step, token)
            if answer.status in NO_SUCH_METHOD and step is INITIALIZE:
                # A server of the older kind: its stream is opened with GET.
                answer, _ = await ask(http, "GET", url, headers, None, token)
                if answer.status < ERROR and "text/event-stream" in answer.content_type:
                    return Probe()
                answer = failed(answer)
        except outgoing.FAULTS:
            return Probe(method)
        if answer.status >= ERROR:
            return Probe(method, answer)
        if session:
            headers["mcp-session-id"] = session
    return Probe()


def failed(answer: HttpAnswer) -> HttpAnswer:
    """The answer of a server that speaks neither form, as an error."""
    return (
        answer
        if answer.status >= ERROR
        else HttpAnswer(404, answer.content_type, answer.body, answer.truncated)
    )


async def ask(
    http: httpx2.AsyncClient,
    method: str,
    url: str,
    headers: Mapping[str, str],
    message: Mapping[str, Any] | None,
    token: str,
) -> tuple[HttpAnswer, str | None]:
    """One step: the answer, its body only when it is an error, and the conversation's id."""
    body = None if message is None else json.dumps(message).encode()
    sent = {**headers, **({"content-type": "application/json"} if body else {})}
    request = http.build_request(method, url, content=body, headers=sent)
    answer = await http.send(request, stream=True, follow_redirects=False)
    try:
        text = b""
        if answer.status_code >= ERROR:
            async for part in answer.aiter_bytes():
                text += part
                if len(text) > BODY_BYTES_MAX:
                    break
    finally:
        await answer.aclose()
    kind = answer.headers.get("content-type", "")
    return shown(answer.status_code, kind, text, [token]), answer.headers.get("mcp-session-id")
