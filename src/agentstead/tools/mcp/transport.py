"""HTTP to MCP servers: how much is read, and what became of a request that failed.

The library tells little of failed requests. So that the caller can tell what may have happened, a POST
that fails is answered here in the protocol's own terms: a JSON-RPC error whose data says whether the
request was sent and what status came back. Where a request may go is `outgoing`'s to decide.
"""

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import httpx2

from agentstead import addresses, outgoing

BODY_BYTES_MAX = 32 << 20
"""Of one answer; an image in base64 may be large."""
ERROR_BYTES_MAX = 64 << 10
INTERNAL_ERROR = -32603
MARK = "agentstead"
"""Key of our word in the data of a JSON-RPC error."""

Failed = Callable[[Mapping[str, Any]], None]


class Answering(httpx2.AsyncBaseTransport):
    """One server's HTTP transport."""

    def __init__(self, allowed: Sequence[addresses.Network], failed: Failed | None = None) -> None:
        self.failed = failed
        """Told of each POST that failed, for a transport that loses such answers (SSE)."""
        self.inner = outgoing.Guarded(allowed, outgoing.resolved)

    async def handle_async_request(  # type: ignore[explicit-override]
        self, request: httpx2.Request
    ) -> httpx2.Response:
        """Send, and answer what fails."""
        if request.method != "POST":
            return limited(await self.inner.handle_async_request(request))
        try:
            response = await self.inner.handle_async_request(request)
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            message = str(error) or "It does not accept connections."
            return self.answer(503, {"sent": False, "message": message})
        except httpx2.TransportError as error:
            message = str(error) or type(error).__name__
            return self.answer(503, {"sent": True, "message": message})
        if response.status_code < 400:
            return limited(response)
        return await self.refused(response)

    async def refused(self, response: httpx2.Response) -> httpx2.Response:
        """The answer to a POST that the server refused; a JSON-RPC error of its own is kept."""
        body = bytearray()
        try:
            async for chunk in response.aiter_bytes():
                body += chunk[: ERROR_BYTES_MAX - len(body)]
                if len(body) >= ERROR_BYTES_MAX:
                    break
        except httpx2.TransportError:
            pass  # the status says enough
        finally:
            await response.aclose()
        mark = {"sent": True, "status": response.status_code}
        return self.answer(response.status_code, mark, own_error(bytes(body)))

    def answer(
        self, status: int, mark: Mapping[str, Any], error: Mapping[str, Any] | None = None
    ) -> httpx2.Response:
        """A JSON-RPC error in the place of an answer."""
        if self.failed is not None:
            self.failed(mark)
        told: dict[str, Any] = {"code": INTERNAL_ERROR, "message": f"HTTP status {status}"}
        told |= error or {}
        data = told.get("data")
        told["data"] = {**(data if isinstance(data, dict) else {}), MARK: dict(mark)}
        return httpx2.Response(status, json={"jsonrpc": "2.0", "id": None, "error": told})

    async def aclose(self) -> None:  # type: ignore[explicit-override]
        """Give back what it holds."""
        await self.inner.aclose()


def own_error(body: bytes) -> Mapping[str, Any] | None:
    """The JSON-RPC error in a body, where there is one."""
    try:
        error = json.loads(body)["error"]
        return {"code": int(error["code"]), "message": str(error["message"]), **data_of(error)}
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def data_of(error: Mapping[str, Any]) -> dict[str, Any]:
    """Its data, when it has some."""
    return {"data": error["data"]} if isinstance(error.get("data"), dict) else {}


def limited(response: httpx2.Response) -> httpx2.Response:
    """The same, read to a limit; of event streams each event has its limit elsewhere."""
    if not response.headers.get("content-type", "").startswith("text/event-stream"):
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = Limited(response.stream)
    return response


class Limited(httpx2.AsyncByteStream):
    """A body that ends with an error where it grows too large."""

    def __init__(self, inner: httpx2.AsyncByteStream) -> None:
        self.inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:  # type: ignore[explicit-override]
        left = BODY_BYTES_MAX
        async for chunk in self.inner:
            left -= len(chunk)
            if left < 0:
                raise httpx2.StreamError(f"The answer is larger than {BODY_BYTES_MAX} bytes.")
            yield chunk

    async def aclose(self) -> None:  # type: ignore[explicit-override]
        """Give back what it holds."""
        await self.inner.aclose()
