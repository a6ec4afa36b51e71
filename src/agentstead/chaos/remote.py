"""The platform's HTTP API, asked by a client that knows several servers and expects them to fail."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import httpx2

from agentstead.errors import AgentsteadError

BETA = "managed-agents-2026-04-01"
TIMEOUT_SECONDS = 20.0
SERVER_FAULT = 500
BUSY = 429
Json = dict[str, Any]


class Unanswered(AgentsteadError):
    """No server gave a proper answer; whether the request took effect is not known."""


class Refused(AgentsteadError):
    """A server says that the request is wrong."""


class Remote:
    """A client."""

    def __init__(self, urls: Sequence[str], key: str) -> None:
        headers = {"anthropic-beta": BETA, "authorization": f"Bearer {key}"}
        self._servers = [
            httpx2.AsyncClient(
                base_url=url, headers=headers, timeout=TIMEOUT_SECONDS, trust_env=False
            )
            for url in urls
        ]
        self._next = 0

    async def close(self) -> None:
        """Close all connections."""
        for server in self._servers:
            await server.aclose()

    async def ask(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> Json:
        """Ask the server whose turn it is; the next one's turn comes when it fails. Raises Unanswered."""
        server = self._servers[self._next % len(self._servers)]
        try:
            answer = await server.request(method, path, json=body, params=params)
        except httpx2.TransportError as error:
            self._next += 1
            raise Unanswered(f"{method} {path}: {error!r}") from error
        if answer.status_code >= SERVER_FAULT or answer.status_code == BUSY:
            self._next += 1
            raise Unanswered(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
        if not answer.is_success:
            raise Refused(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        found: Json = answer.json()
        return found

    async def get(self, path: str, **params: Any) -> Json:
        """Read; every server is asked before it counts as unanswered."""
        for _ in self._servers[1:]:
            try:
                return await self.ask("GET", path, params=params)
            except Unanswered:
                continue
        return await self.ask("GET", path, params=params)

    async def pages(self, path: str, **params: Any) -> AsyncIterator[Json]:
        """Every entry of a list."""
        while True:
            page = await self.get(path, **params)
            for entry in page["data"]:
                yield entry
            if not page.get("next_page"):
                return
            params["page"] = page["next_page"]
