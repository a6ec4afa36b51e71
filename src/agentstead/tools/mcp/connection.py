"""One connection to one MCP server: streamable HTTP, or SSE where the server knows only that.

Promises: it is opened within a time limit; a call goes out at most once; whatever ends a call without
an answer is a `McpFault` whose kind says whether the server may have acted. The library's scopes
belong to the task that opened them, so a connection lives in a task of its own.
"""

import asyncio
import logging
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx2
from mcp import Client, ClientSession, MCPError, types
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from pydantic import TypeAdapter, ValidationError

from agentstead import __version__, addresses
from agentstead.errors import McpFault
from agentstead.harness.servers import ServerTool
from agentstead.tools.mcp import faults
from agentstead.tools.mcp.transport import Answering

ME = types.Implementation(name="agentstead", version=__version__)
EVENT_BYTES_MAX = 32 << 20
TOOLS_MAX = 2000
"""Of one server; what a model is offered is far less."""
PAGES_MAX = 100
CLOSE_SECONDS = 5.0
LOUD = ("mcp", "client")
"""Loggers of the library: they tell of faults that are told here, with what servers wrote."""

Answer = TypeVar("Answer")
CALLED: TypeAdapter[Any] = TypeAdapter(types.CallToolResult | types.InputRequiredResult)


@dataclass(frozen=True, slots=True)
class Target:
    """Where a connection goes, and how long it may take."""

    name: str
    url: str
    headers: Mapping[str, str]
    allowed: Sequence[addresses.Network]
    connect_seconds: float
    call_seconds: float


class Connection:
    """One connection; of no use before `open` has returned."""

    def __init__(self, target: Target) -> None:
        loop = asyncio.get_running_loop()
        self.target = target
        self.ready: asyncio.Future[ClientSession] = loop.create_future()
        self.broken: asyncio.Future[McpFault] = loop.create_future()
        """Set when a transport loses an answer instead of handing it on."""
        self.ending = asyncio.Event()
        self.listed: tuple[ServerTool, ...] | None = None
        self.changes = 0
        """How often the server has said that its list is another one."""
        self.task = asyncio.ensure_future(self.live())

    @property
    def usable(self) -> bool:
        """Whether a call may go out on it."""
        return not (self.task.done() or self.broken.done() or self.ending.is_set())

    # its life

    async def open(self) -> None:
        """Wait until it stands. Raises McpFault."""
        seconds = self.target.connect_seconds
        ends: set[asyncio.Future[Any]] = {self.ready, self.task}
        await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if self.ready.done():
            return
        if not self.task.done():
            raise faults.late(self.target.name, "answer", seconds, kind="unreachable")
        error = self.task.exception()
        raise faults.of_connecting(self.target.name, None if error is None else faults.leaf(error))

    async def live(self) -> None:
        """Connect, stay until asked to end; the reason of a failure is what it raises."""
        for name in LOUD:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            await self.over_http()
        except (MCPError, ExceptionGroup) as error:
            if self.ready.done() or not faults.is_legacy(faults.leaf(error)):
                raise
            try:
                await self.over_sse()
            except (httpx2.HTTPStatusError, ExceptionGroup) as other:
                # It knows neither: what it said first tells more.
                if self.ready.done() or not faults.is_status(faults.leaf(other)):
                    raise
                raise error from None

    async def over_http(self) -> None:
        """Streamable HTTP, with the protocol's present handshake or its older one."""
        async with self.http(Answering(self.target.allowed)) as http:
            transport = streamable_http_client(
                self.target.url, http_client=http, max_sse_event_size=EVENT_BYTES_MAX
            )
            await self.stay(
                Client(transport, cache=None, message_handler=self.hear, client_info=ME)
            )

    async def over_sse(self) -> None:
        """The protocol's first transport over HTTP."""

        def made(
            headers: dict[str, str] | None = None,  # noqa: ARG001 - ours are the same for all
            timeout: httpx2.Timeout | None = None,  # noqa: ARG001
            auth: httpx2.Auth | None = None,  # noqa: ARG001
        ) -> httpx2.AsyncClient:
            return self.http(Answering(self.target.allowed, self.lose))

        transport = sse_client(self.target.url, httpx_client_factory=made)
        await self.stay(
            Client(transport, mode="legacy", cache=None, message_handler=self.hear, client_info=ME)
        )

    def http(self, transport: Answering) -> httpx2.AsyncClient:
        """The client of a transport; how long an answer may take is limited by who waits for it."""
        timeout = httpx2.Timeout(self.target.connect_seconds, read=None)
        headers = dict(self.target.headers)
        return httpx2.AsyncClient(transport=transport, headers=headers, timeout=timeout)

    async def stay(self, client: Client) -> None:
        """Until asked to end."""
        async with client:
            if not self.ready.done():
                self.ready.set_result(client.session)
            await self.ending.wait()

    def lose(self, mark: Mapping[str, Any]) -> None:
        """A POST of the SSE transport failed: whoever waits for its answer would wait for ever."""
        if not self.broken.done():
            self.broken.set_result(faults.of_mark(self.target.name, mark, "refused"))

    async def hear(self, message: object) -> None:
        """What a server says unasked: of interest is only that its list has changed."""
        if isinstance(message, types.ToolListChangedNotification):
            self.listed = None
            self.changes += 1

    async def close(self) -> None:
        """End it; a server that does not take leave in time is left."""
        self.ending.set()
        if self.ready.done():
            await asyncio.wait({self.task}, timeout=CLOSE_SECONDS)
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        for future in (self.ready, self.broken):
            future.cancel()

    # what it is for

    async def tools(self) -> tuple[ServerTool, ...]:
        """Everything that the server lists; asked again once it says that its list has changed."""
        if self.listed is not None:
            return self.listed
        changes, found = self.changes, await self.list_tools()
        if changes == self.changes:
            self.listed = found
        return found

    async def list_tools(self) -> tuple[ServerTool, ...]:
        """All pages. Raises McpFault."""
        found: list[types.Tool] = []
        cursor: str | None = None
        session = self.ready.result()
        try:
            async with asyncio.timeout(self.target.connect_seconds):
                for _ in range(PAGES_MAX):
                    params = types.PaginatedRequestParams(cursor=cursor) if cursor else None
                    page = await self.answered(session.list_tools(params=params))
                    found += page.tools
                    cursor = page.next_cursor
                    if not cursor or len(found) >= TOOLS_MAX:
                        break
        except TimeoutError:
            raise faults.late(
                self.target.name, "list its tools", self.target.connect_seconds
            ) from None
        return tuple(self.described(tool) for tool in found[:TOOLS_MAX])

    def described(self, tool: types.Tool) -> ServerTool:
        """A tool in our words."""
        hints = tool.annotations
        return ServerTool(
            server=self.target.name,
            name=tool.name,
            description=tool.description or tool.title or "",
            input_schema=tool.input_schema,
            repeatable=bool(hints and (hints.read_only_hint or hints.idempotent_hint)),
            url=self.target.url,
        )

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The answer as plain data. Raises McpFault."""
        params = types.CallToolRequestParams(name=tool, arguments=dict(arguments))
        asked = self.ready.result().send_request(types.CallToolRequest(params=params), CALLED)
        try:
            async with asyncio.timeout(self.target.call_seconds):
                result = await self.answered(asked)
        except TimeoutError:
            raise faults.late(
                self.target.name, "answer the call", self.target.call_seconds
            ) from None
        plain: dict[str, Any] = result.model_dump(mode="json", by_alias=True, exclude_none=True)
        return plain

    async def answered(self, asked: Awaitable[Answer]) -> Answer:
        """The answer to a request, or why there is none. Being cancelled cancels the request.

        Not waited for then: telling a server that hangs would take its time.
        """
        request = asyncio.ensure_future(asked)
        request.add_done_callback(heard)
        try:
            ends: set[asyncio.Future[Any]] = {request, self.task, self.broken}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if not request.done():
                raise self.gone()
            return request.result()
        except MCPError as error:
            raise faults.of_call(self.target.name, error) from None
        except ValidationError as error:
            said = f"an answer that is not understood ({error.error_count()} faults)"
            raise McpFault(said, kind="refused") from None
        finally:
            request.cancel()

    def gone(self) -> McpFault:
        """Why no answer can come any more."""
        if self.broken.done() and not self.broken.cancelled():
            return self.broken.result()
        error = None if self.task.cancelled() else self.task.exception()
        said = "it was closed" if error is None else str(faults.leaf(error))
        return faults.cut(self.target.name, said)


def heard(request: "asyncio.Future[Any]") -> None:
    """A request that nobody waits for any more may fail unheard."""
    if not request.cancelled():
        request.exception()
