"""The Kubernetes API by the official client's asynchronous half: objects as plain JSON, errors as EngineFault.

Typed models are not used: the objects here are few, and fields that a newer server adds stay out of the way.
A program's streams come as WebSocket messages whose first byte names the channel.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
from kubernetes.aio import config as loading
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.stream import WsApiClient

from agentstead.sandbox.engines.engine import EngineFault

STDIN, STDOUT, STDERR, ERROR = b"\0", 1, 2, 3
PROTOCOLS = "v5.channel.k8s.io,v4.channel.k8s.io"
PIECE_BYTES = 1 << 17
WORDS_BYTES = 8192
TIMEOUT_SECONDS = 30.0
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
LOST = (aiohttp.ClientError, TimeoutError, OSError)


class PodStream:
    """The streams of a program in a pod."""

    def __init__(self, socket: "aiohttp.ClientWebSocketResponse") -> None:
        self._socket = socket
        self.words = b""
        """The last of what it said on standard error, and how it ended."""

    async def read(self) -> bytes:
        """What it said on standard output; empty at the end."""
        while True:
            message = await self._socket.receive()
            if message.type not in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT):
                return b""
            data = message.data if isinstance(message.data, bytes) else message.data.encode()
            if len(data) > 1 and data[0] == STDOUT:
                return bytes(data[1:])
            if len(data) > 1 and data[0] in (STDERR, ERROR):
                self.words = (self.words + data[1:])[-WORDS_BYTES:]

    async def write(self, data: bytes) -> None:
        """To its standard input."""
        try:
            for start in range(0, len(data), PIECE_BYTES):
                await self._socket.send_bytes(STDIN + data[start : start + PIECE_BYTES])
        except LOST as error:
            raise ConnectionError(str(error)) from error

    async def close(self) -> None:
        """Hang up."""
        await self._socket.close()


class KubernetesApi:
    """One cluster's API."""

    def __init__(self, context: str = "", host: str = "") -> None:
        self._context = context
        self._host = host
        self._clients: tuple[Any, Any] | None = None
        self._opening = asyncio.Lock()

    async def address(self) -> str:
        """Where the API is."""
        client, _ = await self._opened()
        return str(client.configuration.host)

    async def json(
        self, method: str, path: str, body: Any = None, /, *, patch: bool = False, **query: Any
    ) -> Any:
        """A request and its answer."""
        response = await self._answer(method, path, body, patch=patch, query=query)
        try:
            content = await response.read()
        except LOST as error:
            raise self._unreachable(error) from error
        if response.status >= 400:
            raise _refusal(response.status, content)
        return json.loads(content) if content else None

    async def watch(self, path: str, seconds: float, /, **query: Any) -> AsyncIterator[Any]:
        """The changes to what a list showed, as they come; ends after a while. 410: list again."""
        words = {"watch": "true", "timeoutSeconds": str(max(1, int(seconds))), **query}
        response = await self._answer(
            "GET", path, None, query=words, seconds=seconds + TIMEOUT_SECONDS
        )
        try:
            if response.status >= 400:
                raise _refusal(response.status, await response.read())
            until = asyncio.get_running_loop().time() + seconds
            while True:
                async with asyncio.timeout_at(until):
                    line = await response.response.content.readline()
                if not line:
                    return
                change = json.loads(line)
                if change["type"] == "ERROR":
                    raise _refusal(
                        change["object"].get("code", 500), json.dumps(change["object"]).encode()
                    )
                yield change
        except TimeoutError:
            return
        except LOST as error:
            raise self._unreachable(error) from error
        finally:
            response.response.close()

    async def exec(self, path: str, container: str, command: list[str]) -> PodStream:
        """Run a program in a container of a pod and take its streams."""
        _, client = await self._opened()
        query = [("container", container), *(("command", word) for word in command)]
        query += [(name, "true") for name in ("stdin", "stdout", "stderr")]
        try:
            method, url, headers, *_ = await client.param_serialize(
                "GET",
                f"{path}/exec",
                query_params=query,
                header_params={"sec-websocket-protocol": PROTOCOLS},
                auth_settings=["BearerToken"],
            )
            connecting = await client.request(method, url, headers=headers, _preload_content=False)
            return PodStream(await connecting)
        except aiohttp.WSServerHandshakeError as error:
            raise EngineFault(f"exec is refused: {error.message}", error.status) from error
        except LOST as error:
            raise self._unreachable(error) from error

    async def close(self) -> None:
        """Give back connections."""
        for client in self._clients or ():
            await client.close()

    async def _opened(self) -> tuple[Any, Any]:
        async with self._opening:
            if self._clients is None:
                configuration = await self._configuration()
                self._clients = (ApiClient(configuration), WsApiClient(configuration))
            return self._clients

    async def _configuration(self) -> Any:
        configuration = Configuration()
        if self._host:
            configuration.host = self._host
            return configuration
        try:
            if not self._context and await asyncio.to_thread(SERVICE_ACCOUNT.exists):
                loading.load_incluster_config(client_configuration=configuration)
            else:
                await loading.load_kube_config(
                    context=self._context or None, client_configuration=configuration
                )
        except (loading.ConfigException, OSError) as error:
            raise EngineFault(f"There is no cluster to talk to: {error}") from error
        return configuration

    async def _answer(
        self,
        method: str,
        path: str,
        body: Any,
        *,
        query: Mapping[str, Any],
        patch: bool = False,
        seconds: float = TIMEOUT_SECONDS,
    ) -> Any:
        client, _ = await self._opened()
        kind = "application/merge-patch+json" if patch else "application/json"
        try:
            serialized = await client.param_serialize(
                method,
                path,
                query_params=list(query.items()),
                header_params={"Content-Type": kind, "Accept": "application/json"},
                body=body,
                auth_settings=["BearerToken"],
            )
            return await client.call_api(*serialized, _request_timeout=seconds)
        except LOST as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> EngineFault:
        what = str(error) or type(error).__name__
        return EngineFault(f"The cluster's API cannot be reached: {what}")


def _refusal(status: int, content: bytes) -> EngineFault:
    """The message of a `Status` object."""
    try:
        said = json.loads(content)
        message = str(said["message"])
    except (ValueError, KeyError, TypeError):
        message = content.decode("utf-8", "replace").strip() or f"status {status}"
    return EngineFault(message, status)
