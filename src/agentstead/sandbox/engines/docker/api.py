"""The Docker engine's API over its socket or over TCP, as far as sandboxes need it.

A connection that carries a program's streams is taken over from HTTP ("hijacked"): the engine answers
101, and from then on each piece of output comes with eight bytes that say of which stream it is.
"""

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

import httpcore2
import httpx2

from agentstead.sandbox.engines.engine import EngineFault

NEWEST = (1, 44)
"""The version whose shapes are spoken here, where the engine knows it."""
OLDEST = (1, 40)
TIMEOUT_SECONDS = 60.0
READ_BYTES = 1 << 16
HEAD_BYTES = 8
STDERR = 2
WORDS_BYTES = 8192
CUT = (httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError)
"""What a connection below HTTP raises."""


class Raw(Protocol):
    """A connection below HTTP."""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What has come."""
        ...

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all of it."""
        ...

    async def aclose(self) -> None:
        """Hang up."""
        ...


class DockerStream:
    """The streams of a program, by way of the engine."""

    def __init__(self, raw: Raw) -> None:
        self._raw = raw
        self._buffer = bytearray()
        self._ended = False
        self.words = bytearray()
        """The last of what it said on standard error."""

    async def read(self) -> bytes:
        """What it said on standard output; empty at the end."""
        while True:
            taken = self._take()
            if taken is not None:
                return taken
            if self._ended:
                return b""
            try:
                data = await self._raw.read(READ_BYTES)
            except CUT as error:
                raise ConnectionError(str(error)) from error
            self._ended = not data
            self._buffer += data

    async def write(self, data: bytes) -> None:
        """To its standard input."""
        try:
            await self._raw.write(data)
        except CUT as error:
            raise ConnectionError(str(error)) from error

    async def close(self) -> None:
        """Hang up."""
        await self._raw.aclose()

    def _take(self) -> bytes | None:
        while len(self._buffer) >= HEAD_BYTES:
            end = HEAD_BYTES + int.from_bytes(self._buffer[4:HEAD_BYTES], "big")
            if len(self._buffer) < end:
                return None
            kind, piece = self._buffer[0], bytes(self._buffer[HEAD_BYTES:end])
            del self._buffer[:end]
            if kind == STDERR:
                self.words = (self.words + piece)[-WORDS_BYTES:]
            elif piece:
                return piece
        return None


class DockerApi:
    """One engine's API."""

    def __init__(self, address: str, certificates: Path | None = None) -> None:
        self.address = address
        self._client = _client(address, certificates)
        self._prefix = ""

    async def version(self) -> tuple[int, int]:
        """The newest version that the engine speaks."""
        async with self._answered("GET", "/_ping", {}) as response:
            text = response.headers.get("api-version", "1.40")
        major, _, minor = text.partition(".")
        return int(major), int(minor)

    async def json(self, method: str, path: str, body: Any = None, /, **query: Any) -> Any:
        """A request and its answer."""
        async with self.answered(method, path, body, **query) as response:
            content = await response.aread()
        return json.loads(content) if content else None

    async def lines(self, method: str, path: str, /, **query: Any) -> AsyncIterator[Any]:
        """The answer's JSON objects, one by one as they come."""
        async with self.answered(method, path, None, **query) as response:
            async for line in response.aiter_lines():
                if line.strip():
                    yield json.loads(line)

    @asynccontextmanager
    async def answered(
        self, method: str, path: str, body: Any = None, /, **query: Any
    ) -> AsyncIterator[httpx2.Response]:
        """An answer whose body has not been read; EngineFault unless it is a success."""
        given = {"content": body} if isinstance(body, bytes) else {"json": body} if body else {}
        words = {name: _query(value) for name, value in query.items()}
        prefix = await self._negotiated()
        async with self._answered(
            method, f"{prefix}{path}", {"params": words, **given}
        ) as response:
            yield response

    async def hijack(self, path: str, body: Any = None, /, **query: Any) -> DockerStream:
        """Take over the connection of this request."""
        words = {name: _query(value) for name, value in query.items()}
        request = self._client.build_request(
            "POST",
            f"{await self._negotiated()}{path}",
            json=body,
            params=words,
            headers={"Connection": "Upgrade", "Upgrade": "tcp"},
            timeout=None,
        )
        try:
            response = await self._client.send(request, stream=True)
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from error
        if response.status_code != 101:
            try:
                await _refused(response)
            finally:
                await response.aclose()
            raise EngineFault("The engine does not hand over the connection.", response.status_code)
        return DockerStream(response.extensions["network_stream"])

    async def close(self) -> None:
        """Give back connections."""
        await self._client.aclose()

    async def _negotiated(self) -> str:
        if not self._prefix:
            major, minor = min(NEWEST, await self.version())
            self._prefix = f"/v{major}.{minor}"
        return self._prefix

    @asynccontextmanager
    async def _answered(
        self, method: str, path: str, more: dict[str, Any]
    ) -> AsyncIterator[httpx2.Response]:
        try:
            async with self._client.stream(method, path, **more) as response:
                await _refused(response)
                yield response
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> EngineFault:
        what = str(error) or type(error).__name__
        return EngineFault(f"The engine at {self.address} cannot be reached: {what}")


async def _refused(response: httpx2.Response) -> None:
    if response.status_code < 400:
        return
    text = (await response.aread()).decode("utf-8", "replace").strip()
    try:
        message = str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        message = text or response.reason_phrase
    raise EngineFault(message, response.status_code)


def _query(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else json.dumps(value)


def _client(address: str, certificates: Path | None) -> httpx2.AsyncClient:
    """For `unix:///path`, `tcp://host:port`, `https://host:port`. ValueError: it is none of these."""
    parts = urlsplit(address)
    timeout = httpx2.Timeout(TIMEOUT_SECONDS, pool=None)
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=8)
    if parts.scheme == "unix" and certificates is not None:
        raise ValueError("certificates go with an address of the network")
    if parts.scheme == "unix" and parts.path.startswith("/"):
        transport = httpx2.AsyncHTTPTransport(uds=parts.path, limits=limits)
        return httpx2.AsyncClient(transport=transport, base_url="http://engine", timeout=timeout)
    if parts.scheme not in ("tcp", "http", "https") or not parts.hostname:
        raise ValueError(f"{address!r} is no address of an engine: unix:///path or tcp://host:port")
    secure = parts.scheme == "https" or certificates is not None
    verify: ssl.SSLContext | bool = _trust(certificates) if certificates is not None else True
    base = f"{'https' if secure else 'http'}://{parts.netloc}"
    return httpx2.AsyncClient(
        base_url=base, timeout=timeout, limits=limits, verify=verify, trust_env=False
    )


def _trust(certificates: Path) -> ssl.SSLContext:
    """The folder that engines' own tools use: `ca.pem`, `cert.pem`, `key.pem`. OSError: it lacks one."""
    context = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    context.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
    return context


def named(name: str) -> str:
    """A name as part of a path."""
    return quote(name, safe="")


def words_of(streams: bytes) -> str:
    """The text of recorded streams, without the heads of their pieces."""
    words = b""
    while len(streams) >= HEAD_BYTES:
        end = HEAD_BYTES + int.from_bytes(streams[4:HEAD_BYTES], "big")
        words += streams[HEAD_BYTES:end]
        streams = streams[end:]
    return words.decode("utf-8", "replace").strip()
