"""The platform seen from a client: its public HTTP API, as much of it as the commands need.

Written on the HTTP library rather than the official SDK, whose import alone takes seconds. Every
failure is a `Misconfigured` or a `Refused` that says what happened and what to do.
"""

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from types import TracebackType
from typing import Any

import httpx2

from agentstead.errors import AgentsteadError, Misconfigured

CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 60.0
"""A stream sends a keep-alive every ten seconds: so much silence means that it is dead."""
BETA = "managed-agents-2026-04-01"
OPENED = "opened"
KEY = re.compile(r"[!-~]+")
Json = dict[str, Any]


class Refused(AgentsteadError):
    """The server refused a request."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Unreachable(AgentsteadError):
    """The server did not answer, or its answer broke off."""


class Remote:
    """A connection to one server with one key."""

    def __init__(self, base_url: str, key: str | None) -> None:
        self.base_url = base_url.rstrip("/")
        headers = {"anthropic-beta": BETA}
        if key is not None:
            if not KEY.fullmatch(key):
                raise Misconfigured(
                    "The API key holds characters that no key has.\nCorrect AGENTSTEAD_API_KEY."
                )
            headers["authorization"] = f"Bearer {key}"
        timeout = httpx2.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS)
        try:
            self.http = httpx2.AsyncClient(
                base_url=self.base_url, headers=headers, timeout=timeout, trust_env=False
            )
        except (httpx2.InvalidURL, ValueError) as error:
            raise Misconfigured(
                f"{base_url!r} is not the address of a server: {error}.\n"
                "Set AGENTSTEAD_BASE_URL to something like http://127.0.0.1:8080."
            ) from error

    async def __aenter__(self) -> "Remote":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.http.aclose()

    async def get(self, path: str, params: Mapping[str, Any] | None = None) -> Json:
        """Read something."""
        return await self._ask("GET", path, params=params)

    async def post(self, path: str, body: Mapping[str, Any] | None = None) -> Json:
        """Create or change something."""
        return await self._ask("POST", path, json=body or {})

    async def pages(
        self, path: str, params: Mapping[str, Any] | None = None
    ) -> AsyncIterator[Json]:
        """Every entry of a list, page by page."""
        query = dict(params or {})
        while True:
            page = await self.get(path, query)
            for entry in page["data"]:
                yield entry
            if not page.get("next_page"):
                return
            query["page"] = page["next_page"]

    async def events(self, session_id: str, *, deltas: bool = True) -> AsyncGenerator[Json, None]:
        """The frames of a session's stream, led by one of type `opened` once it is subscribed.

        `deltas`: messages in the making too.
        """
        path = f"/v1/sessions/{session_id}/events/stream"
        params = {"event_deltas[]": ["agent.message"]} if deltas else {}
        try:
            async with self.http.stream("GET", path, params=params) as answer:
                if answer.status_code != httpx2.codes.OK:
                    await answer.aread()
                    raise refusal(answer)
                yield {"type": OPENED}
                async for line in answer.aiter_lines():
                    if line.startswith("data:"):
                        frame = json.loads(line[len("data:") :])
                        if isinstance(frame, dict) and "type" in frame:
                            yield frame
        except httpx2.TransportError as error:
            raise Unreachable(f"The event stream broke off: {describe(error)}.") from error

    async def _ask(self, method: str, path: str, **options: Any) -> Json:
        try:
            answer = await self.http.request(method, path, **options)
        except httpx2.TransportError as error:
            raise Unreachable(
                f"The server at {self.base_url} does not answer: {describe(error)}.\n"
                "Is it running? Start one with `agentstead serve`, or correct AGENTSTEAD_BASE_URL."
            ) from error
        if not answer.is_success:
            raise refusal(answer)
        try:
            found: Json = answer.json()
        except ValueError:
            raise Misconfigured(
                f"What answers at {self.base_url} is not an Agentstead server.\n"
                "Correct AGENTSTEAD_BASE_URL."
            ) from None
        return found


def refusal(answer: httpx2.Response) -> Refused:
    """The server's own words for why it refused."""
    try:
        message = str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        message = f"The server answered {answer.status_code} {answer.reason_phrase}."
    if answer.status_code == httpx2.codes.UNAUTHORIZED:
        message += (
            "\nSet AGENTSTEAD_API_KEY to a key of this server; `agentstead key create` on its"
            " machine makes one."
        )
    return Refused(answer.status_code, message)


def describe(error: Exception) -> str:
    """An exception in words, its class where it has none."""
    return str(error) or type(error).__name__
