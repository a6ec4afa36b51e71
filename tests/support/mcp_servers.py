"""A real MCP server for a test, on a free port of the loopback, made with the protocol's own library.

Streamable HTTP or SSE only; with a token or without. It counts what it was asked, and its tools
do what a test needs: answer, fail, take their time, give every kind of content.
"""

import asyncio
import base64
import socket
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from mcp.server.mcpserver import Context, Image, MCPServer
from mcp.types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    EmbeddedResource,
    ResourceLink,
    TextContent,
    TextResourceContents,
    ToolAnnotations,
)
from starlette.responses import JSONResponse

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@dataclass
class Mcp:
    """A server that runs."""

    url: str
    calls: Counter[str] = field(default_factory=Counter)
    """Tool → how often it was begun."""
    notes: Counter[str] = field(default_factory=Counter)
    """Token → how often `note` was called with it."""
    noting: int = 0
    """Calls of `note` that are going on."""
    peeks: Counter[str] = field(default_factory=Counter)
    cancelled: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)
    """HTTP method → how often."""
    headers: list[dict[str, str]] = field(default_factory=list)
    token: str | None = None
    """Wanted of every request."""
    status: int | None = None
    """Answered to every request instead of an answer."""
    old: bool = False
    """Knows the protocol's earlier handshake only."""
    release: asyncio.Event = field(default_factory=asyncio.Event)
    """What `slow` waits for."""
    server: MCPServer | None = None


def tools_of(mcp: Mcp, server: MCPServer, many: int) -> None:
    """The tools of the test's server."""

    def counted(name: str) -> None:
        mcp.calls[name] += 1

    @server.tool(description="Add two numbers.")
    def add(a: int, b: int) -> int:
        counted("add")
        return a + b

    @server.tool(annotations=ToolAnnotations(readOnlyHint=True))
    def look(what: str) -> str:
        """Look something up."""
        counted("look")
        return f"about {what}"

    @server.tool(annotations=ToolAnnotations(idempotentHint=True))
    async def put(what: str) -> str:
        """Put something where it may be already."""
        counted("put")
        await mcp.release.wait()
        return f"put {what}"

    @server.tool()
    def reveal() -> str:
        """Say what was shown to the server."""
        return f"You showed {mcp.headers[-1].get('authorization', 'nothing')}."

    @server.tool()
    def fail() -> str:
        """Fail."""
        counted("fail")
        raise ValueError("it does not work")

    @server.tool()
    async def slow() -> str:
        """Take a long time."""
        counted("slow")
        try:
            await asyncio.wait_for(mcp.release.wait(), 20)
        except asyncio.CancelledError:
            mcp.cancelled["slow"] += 1
            raise
        return "at last"

    @server.tool()
    def everything() -> CallToolResult:
        """Give every kind of content."""
        text = TextResourceContents(uri="file:///notes.txt", mimeType="text/plain", text="notes")
        pdf = BlobResourceContents(
            uri="file:///a.pdf", mimeType="application/pdf",
            blob=base64.b64encode(b"%PDF-1.4").decode(),
        )  # fmt: skip
        return CallToolResult(
            content=[
                TextContent(text="words"),
                Image(data=PNG, format="png").to_image_content(),
                AudioContent(data="AAAA", mimeType="audio/wav"),
                ResourceLink(name="readme", uri="file:///readme.md", description="read it"),
                EmbeddedResource(resource=text),
                EmbeddedResource(resource=pdf),
            ]
        )

    @server.tool()
    async def grow(ctx: Context[Any, Any]) -> str:
        """Become one more tool."""
        counted("grow")

        def grown() -> str:
            """New."""
            return "grown"

        server.add_tool(grown)
        await ctx.session.send_tool_list_changed()
        return "there is one more"

    @server.tool()
    async def note(token: str, seconds: float = 0.0) -> str:
        """Note a token, and take some time."""
        mcp.notes[token] += 1
        mcp.noting += 1
        try:
            await asyncio.sleep(seconds)
        finally:
            mcp.noting -= 1
        return f"noted {token}"

    @server.tool(annotations=ToolAnnotations(readOnlyHint=True))
    async def peek(token: str, seconds: float = 0.0) -> str:
        """Look at a token, and take some time."""
        mcp.peeks[token] += 1
        await asyncio.sleep(seconds)
        return f"seen {token}"

    for number in range(many):
        server.add_tool(lambda: "x", name=f"tool_{number:03}", description=f"Number {number}.")


class Door:
    """Before the server: counts, wants a token, and fails where the test says so."""

    def __init__(self, mcp: Mcp, app: Any) -> None:
        self.mcp = mcp
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {k.decode(): v.decode() for k, v in scope["headers"]}
        self.mcp.requests[scope["method"]] += 1
        self.mcp.headers.append(headers)
        status = self.mcp.status
        if self.mcp.token and headers.get("authorization") != f"Bearer {self.mcp.token}":
            status = 401
        if self.mcp.old and headers.get("mcp-method") == "server/discover":
            status = 400
        if status is not None:
            await JSONResponse({"error": "no"}, status)(scope, receive, send)
            return
        await self.app(scope, receive, send)


@contextmanager
def mcp_in_a_thread(**options: Any) -> Iterator[Mcp]:
    """A server beside a test that is not asynchronous."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="mcp server")
    thread.start()
    serving = mcp_serving(**options)
    try:
        yield asyncio.run_coroutine_threadsafe(serving.__aenter__(), loop).result(10)
    finally:
        leaving = serving.__aexit__(None, None, None)
        asyncio.run_coroutine_threadsafe(leaving, loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@asynccontextmanager
async def mcp_serving(
    *,
    sse: bool = False,
    token: str | None = None,
    old: bool = False,
    many: int = 0,
    port: int = 0,
    name: str = "test",
    stateless: bool = False,
) -> AsyncIterator[Mcp]:
    """A server for as long as the block runs."""
    listener = socket.create_server(("127.0.0.1", port))
    port = listener.getsockname()[1]
    mcp = Mcp(f"http://127.0.0.1:{port}/{'sse' if sse else 'mcp'}", token=token, old=old)
    mcp.server = server = MCPServer(name, log_level="CRITICAL")
    tools_of(mcp, server, many)
    app = server.sse_app() if sse else server.streamable_http_app(stateless_http=stateless)
    door = Door(mcp, app)
    web = uvicorn.Server(
        uvicorn.Config(
            door, ws="none", log_config=None, access_log=False,
            timeout_graceful_shutdown=1,
        )
    )  # fmt: skip
    web.capture_signals = suppress  # type: ignore[assignment, method-assign]
    task = asyncio.create_task(web.serve(sockets=[listener]))
    try:
        while not web.started and not task.done():  # noqa: ASYNC110  uvicorn has no event
            await asyncio.sleep(0.005)
        yield mcp
    finally:
        web.should_exit = True
        web.force_exit = True
        with suppress(asyncio.CancelledError):
            await task
        listener.close()
