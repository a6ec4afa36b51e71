"""One HTTP request of a connector: to its own host, read to a limit, its end told by kind.

Promises: the address is checked by `targets`; a redirect is followed only within the declared scheme,
host and port; the environment's proxies are not used; no secret of a request is in a fault.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2

from agentstead import outgoing
from agentstead.clock import Clock
from agentstead.errors import ConnectorFault
from agentstead.tools.connectors.targets import Targets

BODY_BYTES_MAX = 4 << 20
REDIRECTS_MAX = 5
SAME_METHOD = frozenset({307, 308})
TO_GET = frozenset({301, 302, 303})
SAID_CHARACTERS_MAX = 2000
TEXT = ("text/", "application/json", "application/xml", "application/yaml", "application/problem")


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent."""

    method: str
    url: httpx2.URL
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    params: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    """JSON; None: no body."""
    content: bytes | None = None
    """A body that is none of JSON."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    content_type: str
    body: bytes
    retry_after: str = ""

    @property
    def text(self) -> str | None:
        """The body, where it is text."""
        kind = self.content_type.partition(";")[0].strip().lower()
        if self.body and not (
            kind.startswith(TEXT) or kind.endswith(("+json", "+xml")) or not kind
        ):
            return None
        return self.body.decode("utf-8", "replace")


class Http:
    """The requests of one connector."""

    def __init__(self, host: str, targets: Targets, clock: Clock) -> None:
        self.clock = clock
        self.client = httpx2.AsyncClient(
            transport=outgoing.Guarded(targets.allowed(host), targets.resolved),
            timeout=None,  # who calls limits the whole
            follow_redirects=False,
            trust_env=False,
        )

    async def send(self, request: Request) -> Answer:
        """The answer, whatever its status. ConnectorFault: unreachable, cut, too_large, refused."""
        for _ in range(REDIRECTS_MAX + 1):
            try:
                async with self._sent(request) as response:
                    if not response.has_redirect_location:
                        return await _read(response)
                    request = _redirected(request, response)
            except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.InvalidURL) as error:
                raise ConnectorFault(_said(error), kind="unreachable") from None
            except httpx2.HTTPError as error:
                raise ConnectorFault(f"The connection broke: {_said(error)}", kind="cut") from None
        raise ConnectorFault(f"It redirects more than {REDIRECTS_MAX} times.", kind="refused")

    async def done(self, request: Request) -> Answer:
        """The answer of a request that was carried out; every other status is a ConnectorFault."""
        answer = await self.send(request)
        if answer.status < 400:
            return answer
        raise fault_of(answer, self.clock.now())

    @asynccontextmanager
    async def _sent(self, request: Request) -> AsyncIterator[httpx2.Response]:
        made = self.client.build_request(
            request.method,
            request.url,
            headers=dict(request.headers),
            params=dict(request.params) or None,
            json=request.body,
            content=request.content,
        )
        response = await self.client.send(made, stream=True)
        try:
            yield response
        finally:
            await response.aclose()

    async def close(self) -> None:
        """Close the connections."""
        await self.client.aclose()


async def _read(response: httpx2.Response) -> Answer:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise ConnectorFault(
                f"more than {BODY_BYTES_MAX} bytes were answered; ask for less.", kind="too_large"
            )
    headers = response.headers
    return Answer(
        response.status_code,
        headers.get("content-type", ""),
        bytes(body),
        headers.get("retry-after", ""),
    )


def _redirected(request: Request, response: httpx2.Response) -> Request:
    """Where it sends us on, if that is allowed."""
    where = request.url.join(response.headers["location"])
    if _place(where) != _place(request.url):
        raise ConnectorFault(
            f"It redirects to another host ({where.host}), which is not followed.", kind="refused"
        )
    if response.status_code in SAME_METHOD:
        return Request(request.method, where, request.headers, {}, request.body, request.content)
    if response.status_code in TO_GET and (
        request.method in ("GET", "HEAD") or response.status_code == 303
    ):
        return Request("GET", where, request.headers)
    raise ConnectorFault(
        f"It answers a {request.method} with a redirect ({response.status_code}), which is not followed.",
        kind="refused",
    )


def _place(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def fault_of(answer: Answer, now: float) -> ConnectorFault:
    """What a status of failure means."""
    said = (answer.text or "").strip()[:SAID_CHARACTERS_MAX]
    message = f"HTTP status {answer.status}{f': {said}' if said else '.'}"
    after = seconds_of(answer.retry_after, now)
    if answer.status in (401, 403, 407):
        return ConnectorFault(message, kind="auth")
    if answer.status == 429:
        return ConnectorFault(message, kind="rate_limited", retry_after=after)
    if answer.status >= 500:
        # it may have begun: who repeats it must know that this does no harm
        return ConnectorFault(message, kind="cut", retryable=True, retry_after=after)
    return ConnectorFault(message, kind="refused")


def seconds_of(retry_after: str, now: float) -> float | None:
    """A `Retry-After` in seconds from now; None when there is none that can be read."""
    if retry_after.isdigit():
        return float(retry_after)
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - now)
    except (ValueError, TypeError):
        return None


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__
