"""Claude, by the official SDK.

The request is already in the SDK's shape, so it passes through: prompt-cache marks, thinking with
its signatures, tool results. The SDK takes about two seconds to import, so that happens in a
thread, at the first request or at `warm()`.
"""

import asyncio
import importlib
import re
import warnings
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from agentstead.clock import Clock, SystemClock
from agentstead.errors import ProviderFault
from agentstead.providers.anthropic.assembly import Assembly
from agentstead.providers.anthropic.known import DATED, FAST_BY_HEADER, MODELS, capabilities
from agentstead.providers.provider import (
    CONNECT_SECONDS,
    Capabilities,
    ModelRequest,
    Part,
    cut,
    fault,
    retry_after_seconds,
    unreachable,
)
from agentstead.settings import Settings

if TYPE_CHECKING:
    from anthropic import APIStatusError, AsyncAnthropic

OFFICIAL_URL = "https://api.anthropic.com"
FAST_HEADER = "fast-mode-2026-02-01"
OLD_THINKING = re.compile(r"thinking|signature", re.IGNORECASE)
NO_KEY = "none"
"""Sent to a gateway of the operator's own that wants no key."""

STATUS_OF_ERROR = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "timeout_error": 408,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "overloaded_error": 529,
}
"""Type of an error event inside a stream → the status it would have had before the stream."""


class Anthropic:
    """The Messages API of Anthropic, or of a gateway that speaks it."""

    name = "anthropic"

    def __init__(
        self,
        *,
        api_key: str | None,
        base_url: str | None = None,
        timeout_seconds: float = 600.0,
        clock: Clock | None = None,
    ) -> None:
        self.api_key = api_key or NO_KEY
        self.base_url = base_url or OFFICIAL_URL
        self.timeout_seconds = timeout_seconds
        self.clock = clock or SystemClock()
        self.client: AsyncAnthropic | None = None
        self.warming = asyncio.Lock()

    @classmethod
    def from_settings(cls, settings: Settings, clock: Clock) -> Self:
        """Make one; imports no SDK yet."""
        key = settings.anthropic_api_key
        return cls(
            api_key=key.get_secret_value() if key else None,
            base_url=settings.anthropic_base_url,
            timeout_seconds=settings.model_timeout_seconds,
            clock=clock,
        )

    @classmethod
    def missing(cls, settings: Settings) -> str | None:
        """What the operator has to set before it can be used; None: nothing."""
        if settings.anthropic_api_key or settings.anthropic_base_url:
            return None
        return "AGENTSTEAD_ANTHROPIC_API_KEY (or ANTHROPIC_API_KEY)"

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Models it knows without being told, newest first."""
        return (*MODELS, *DATED)

    def capabilities(self, model: str) -> Capabilities:
        """What this model can do; a cautious default for an unknown one."""
        return capabilities(model)

    async def warm(self) -> None:
        """Import the SDK and make the client, without holding up the event loop."""
        async with self.warming:
            if self.client is None:
                self.client = await asyncio.to_thread(self._make_client)
                # The SDK warns at each request for a deprecated model; GET /v1/models says it.
                warnings.filterwarnings("ignore", r"The model '.*' is deprecated")

    def _make_client(self) -> "AsyncAnthropic":
        sdk = importlib.import_module("anthropic")
        importlib.import_module("anthropic.resources.messages")
        client: AsyncAnthropic = sdk.AsyncAnthropic(
            api_key=self.api_key,
            base_url=self.base_url,
            max_retries=0,
            timeout=sdk.Timeout(self.timeout_seconds, connect=CONNECT_SECONDS),
            open_telemetry=False,
        )
        return client

    async def close(self) -> None:
        """Give back connections."""
        if self.client is not None:
            await self.client.close()
            self.client = None

    async def stream(self, request: ModelRequest) -> AsyncIterator[Part]:
        """Stream the answer; ends with `Done` or raises ProviderFault."""
        await self.warm()
        from anthropic import APIConnectionError, APIStatusError
        from httpx2 import HTTPError

        message = Assembly()
        began = False
        try:
            async with await self._open(request) as events:
                began = True
                async for event in events:
                    for part in message.take(event):
                        yield part
        except APIStatusError as error:
            raise self._refused(error) from error
        except APIConnectionError as error:
            raise unreachable(self.base_url, error.__cause__ or error) from error
        except HTTPError as error:
            reason = f"{type(error).__name__} {error}".strip()
            raise (cut(reason) if began else unreachable(self.base_url, reason)) from error
        except (ValueError, LookupError, AttributeError) as error:
            raise cut(f"an event of the stream is not readable ({error!r})") from error
        yield message.done()

    async def _open(self, request: ModelRequest) -> Any:
        """Send the request; again without old thinking that the model does not accept.

        Thinking is bound to its model and to what came before it, so a session whose model or
        instructions were changed may hold some that is refused. It is lost, the session is not.
        """
        from anthropic import BadRequestError

        assert self.client is not None
        sent = body(request)
        try:
            return await self.client.messages.create(**sent, stream=True)
        except BadRequestError as error:
            bare = without_thinking(request.messages, foreign_only=False)
            if not OLD_THINKING.search(error.message) or bare == sent["messages"]:
                raise
            return await self.client.messages.create(**{**sent, "messages": bare}, stream=True)

    def _refused(self, error: "APIStatusError") -> ProviderFault:
        """The fault for a status, or for an error event in the middle of a stream."""
        status = error.status_code
        if status < 400:
            status = STATUS_OF_ERROR.get(str(error.type), 500)
        headers = error.response.headers
        found = fault(
            status,
            f"{self.name}: {error.api_message or error.message}",
            retry_after=retry_after_seconds(headers, self.clock.now()),
        )
        if headers.get("x-should-retry") == "false":
            found.retryable = False
        return found


def body(request: ModelRequest) -> dict[str, Any]:
    """The parameters of the SDK's call."""
    able = capabilities(request.model)
    found: dict[str, Any] = {
        "model": request.model,
        "max_tokens": request.max_tokens,
        "messages": without_thinking(request.messages, foreign_only=True),
    }
    if request.system:
        found["system"] = list(request.system)
    if request.tools:
        found["tools"] = list(request.tools)
    if able.thinking in {"adaptive", "always"}:
        found["thinking"] = {"type": "adaptive"}
    effort = nearest_effort(request.effort, able.efforts)
    if effort is not None:
        found["output_config"] = {"effort": effort}
    if request.speed != "standard":
        found["speed"] = request.speed
        if request.model in FAST_BY_HEADER:
            found["extra_headers"] = {"anthropic-beta": FAST_HEADER}
    if request.inference_geo is not None:
        found["inference_geo"] = request.inference_geo
    if "user_id" in request.metadata:
        found["metadata"] = {"user_id": request.metadata["user_id"]}
    return found


EFFORTS = ("low", "medium", "high", "xhigh", "max")


def nearest_effort(wanted: str | None, able: Sequence[str]) -> str | None:
    """The highest level the model takes that is not above the wanted one."""
    if wanted is None or not able or wanted not in EFFORTS:
        return None
    below = [level for level in EFFORTS[: EFFORTS.index(wanted) + 1] if level in able]
    return below[-1] if below else None


def without_thinking(
    messages: Sequence[Mapping[str, Any]], *, foreign_only: bool
) -> list[dict[str, Any]]:
    """The messages without thinking: all of it, or another maker's, which has no signature."""

    def kept(block: Any) -> bool:
        kind = block.get("type") if isinstance(block, Mapping) else None
        if kind == "redacted_thinking":
            return foreign_only
        return kind != "thinking" or (foreign_only and bool(block.get("signature")))

    found = []
    for message in messages:
        content = message["content"]
        if message["role"] == "assistant" and not isinstance(content, str):
            content = [block for block in content if kept(block)]
            if not content:
                continue
        found.append({"role": message["role"], "content": content})
    return found
