"""Any server that speaks Chat Completions, by the official `openai` SDK.

That is OpenAI itself, vLLM, Ollama, llama-server, and the gateways people run themselves. Servers
differ in small ways; where one refuses a parameter that this adapter can do without, it is asked
again without it, and remembered.
"""

import asyncio
import importlib
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Self

from agentstead.clock import Clock, SystemClock
from agentstead.errors import ProviderFault
from agentstead.providers.openai_compatible.assembly import Assembly
from agentstead.providers.openai_compatible.chat import messages, tools
from agentstead.providers.provider import (
    CONNECT_SECONDS,
    TOO_LONG,
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
    from openai import APIError, APIStatusError, AsyncOpenAI

OFFICIAL_URL = "https://api.openai.com/v1"
NO_KEY = "none"
"""Sent to servers that want no key."""

REASONING = ("gpt-5", "o1", "o3", "o4")
"""Beginnings of model names that take an effort and call the output limit by its newer name."""
SEEING = (
    "gpt-4o",
    "gpt-4.1",
    "gpt-5",
    "o1",
    "o3",
    "o4",
    "gemini",
    "claude",
    "gemma-3",
    "gemma3",
    "llama-4",
    "llava",
    "pixtral",
    "-vl",
    "vision",
)
"""Parts of model names that are known to see images; others get a sentence instead."""

STATUS_OF_ERROR = {
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "insufficient_quota": 402,
    "context_length_exceeded": 400,
    "invalid_request_error": 400,
    "overloaded_error": 529,
    "overloaded": 529,
}
"""Code or type of an error inside a stream → the status it would have had before the stream."""

SPARE = ("stream_options", "reasoning_effort", "max_completion_tokens", "max_tokens")
"""Parameters that a server may refuse; the last two are two names of one."""


class OpenAICompatible:
    """A Chat Completions server."""

    name = "openai_compatible"

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
        self.client: AsyncOpenAI | None = None
        self.warming = asyncio.Lock()
        self.refused: dict[str, set[str]] = {}
        """Model → parameters that its server does not take."""

    @classmethod
    def from_settings(cls, settings: Settings, clock: Clock) -> Self:
        """Make one; imports no SDK yet."""
        key = settings.openai_api_key
        return cls(
            api_key=key.get_secret_value() if key else None,
            base_url=settings.openai_base_url,
            timeout_seconds=settings.model_timeout_seconds,
            clock=clock,
        )

    @classmethod
    def missing(cls, settings: Settings) -> str | None:
        """What the operator has to set before it can be used; None: nothing."""
        if settings.openai_base_url or settings.openai_api_key:
            return None
        return "AGENTSTEAD_OPENAI_BASE_URL (any OpenAI-compatible URL) or AGENTSTEAD_OPENAI_API_KEY"

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """None: what such a server has is for the operator to say."""
        return ()

    def capabilities(self, model: str) -> Capabilities:
        """A cautious default; no server tells these numbers in a common way."""
        reasons = model.startswith(REASONING)
        return Capabilities(
            display_name=model,
            context_window=128_000,
            max_output_tokens=32_000 if reasons else 8_192,
            efforts=("low", "medium", "high") if reasons else (),
            default_effort="medium" if reasons else "high",
            images=any(known in model.lower() for known in SEEING),
            documents=False,
        )

    async def warm(self) -> None:
        """Import the SDK and make the client, without holding up the event loop."""
        async with self.warming:
            if self.client is None:
                self.client = await asyncio.to_thread(self._make_client)

    def _make_client(self) -> "AsyncOpenAI":
        sdk = importlib.import_module("openai")
        importlib.import_module("openai.resources.chat.completions")
        client: AsyncOpenAI = sdk.AsyncOpenAI(
            api_key=self.api_key,
            base_url=self.base_url,
            max_retries=0,
            timeout=sdk.Timeout(self.timeout_seconds, connect=CONNECT_SECONDS),
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
        from openai import APIConnectionError, APIError, APIStatusError

        message = self._assembly(request)
        began = False
        try:
            async with await self._open(request) as chunks:
                began = True
                async for chunk in chunks:
                    for part in message.take(chunk):
                        yield part
        except APIStatusError as error:
            raise self._refusal(error) from error
        except APIConnectionError as error:
            reason = error.__cause__ or error
            raise (cut(repr(reason)) if began else unreachable(self.base_url, reason)) from error
        except APIError as error:
            raise self._broken(error) from error
        except (ValueError, LookupError, AttributeError) as error:
            raise cut(f"a chunk of the stream is not readable ({error!r})") from error
        yield message.done()

    def _assembly(self, request: ModelRequest) -> Assembly:
        def prompt_characters() -> int:
            said = [*request.system, *request.messages, *request.tools]
            return len(json.dumps(said, default=dict))

        return Assembly(
            model=request.model,
            prompt_characters=prompt_characters,
            call_prefix=f"call_{len(request.messages)}",
        )

    async def _open(self, request: ModelRequest) -> Any:
        """Send the request; again without a parameter that the server does not take."""
        from openai import APIStatusError

        assert self.client is not None
        refused = self.refused.setdefault(request.model, set())
        while True:
            sent = self.body(request, refused)
            try:
                return await self.client.chat.completions.create(**sent)
            except APIStatusError as error:
                text = error.message
                named = [n for n in SPARE if n in sent and n not in refused and n in text]
                if error.status_code not in {400, 422} or not named or TOO_LONG.search(text):
                    raise
                refused.add(named[0])

    def body(self, request: ModelRequest, refused: set[str]) -> dict[str, Any]:
        """The parameters of the SDK's call."""
        able = self.capabilities(request.model)
        newer = request.model.startswith(REASONING) or "max_tokens" in refused
        newer = newer and "max_completion_tokens" not in refused
        found: dict[str, Any] = {
            "model": request.model,
            "messages": messages(request, images=able.images),
            "stream": True,
            "max_completion_tokens" if newer else "max_tokens": request.max_tokens,
        }
        if request.tools:
            found["tools"] = tools(request)
        if "stream_options" not in refused:
            found["stream_options"] = {"include_usage": True}
        if request.effort and able.efforts and "reasoning_effort" not in refused:
            known = request.effort in able.efforts
            found["reasoning_effort"] = request.effort if known else able.efforts[-1]
        if request.speed == "fast" and self.base_url == OFFICIAL_URL:
            found["service_tier"] = "priority"
        return found

    def _refusal(self, error: "APIStatusError") -> ProviderFault:
        """The fault for a status."""
        text = f"{error.message} {error.code or ''}".strip()
        after = retry_after_seconds(error.response.headers, self.clock.now())
        found = fault(error.status_code, f"{self.name}: {text}", retry_after=after)
        if error.response.headers.get("x-should-retry") == "false":
            found.retryable = False
        return found

    def _broken(self, error: "APIError") -> ProviderFault:
        """The fault for an error in the middle of a stream."""
        status = 500
        for name in (error.code, error.type):
            if name and name.isdigit():
                status = int(name)
                break
            if name in STATUS_OF_ERROR:
                status = STATUS_OF_ERROR[name]
                break
        return fault(status, f"{self.name}: {error.message} {error.code or ''}".strip())
