"""An MCP server behind OAuth, with its token endpoint, on a free port of the loopback."""

import asyncio
import base64
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route


@dataclass
class Guarded:
    """What the server accepts, what it was asked, and how it is to fail."""

    url: str = ""
    accepted: set[str] = field(default_factory=lambda: {"access-1-secret"})
    refresh_token: str = "refresh-1-secret"
    grants: int = 0
    exchanges: list[dict[str, str]] = field(default_factory=list)
    mcp_status: int | None = None
    token_status: int | None = None
    lasts: int | None = 3600
    slow: float = 0.0
    hosts: list[str] = field(default_factory=list)

    @property
    def server(self) -> str:
        """The MCP server."""
        return f"{self.url}/mcp"

    async def mcp(self, request: Request) -> Response:
        """Answers as far as the token is good."""
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self.mcp_status is not None:
            return PlainTextResponse(f"no good: {token}", self.mcp_status)
        if token not in self.accepted:
            return PlainTextResponse(f"unknown token {token}", 401)
        asked = await request.json()
        if "id" not in asked:
            return Response(status_code=202)
        answer = {"jsonrpc": "2.0", "id": asked["id"], "result": {"tools": []}}
        return JSONResponse(answer, headers={"mcp-session-id": "conversation"})

    async def token(self, request: Request) -> Response:
        """Spends a refresh token once."""
        self.hosts.append(request.headers["host"])
        form = {
            name: values[0] for name, values in parse_qs((await request.body()).decode()).items()
        }
        if basic := request.headers.get("authorization"):
            form["basic"] = base64.b64decode(basic.removeprefix("Basic ")).decode()
        self.exchanges.append(form)
        await asyncio.sleep(self.slow)
        if self.token_status is not None:
            said = {"error": "invalid_grant", "said": form.get("refresh_token")}
            return JSONResponse(said, self.token_status)
        if form.get("refresh_token") != self.refresh_token:
            return JSONResponse({"error": "invalid_grant"}, 400)
        self.grants += 1
        token = f"access-{self.grants + 1}-secret"
        self.refresh_token = f"refresh-{self.grants + 1}-secret"
        self.accepted = {token}
        return JSONResponse(
            {"access_token": token, "refresh_token": self.refresh_token, "expires_in": self.lasts}
        )


@asynccontextmanager
async def guarded() -> AsyncIterator[Guarded]:
    """The server, running."""
    state = Guarded()
    app = Starlette(
        routes=[
            Route("/mcp", state.mcp, methods=["POST", "GET"]),
            Route("/token", state.token, methods=["POST"]),
        ]
    )
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", ws="none"))
    task = asyncio.create_task(server._serve(sockets=[listener]))
    try:
        while not server.started and not task.done():  # noqa: ASYNC110  uvicorn has no event
            await asyncio.sleep(0.005)
        state.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        yield state
    finally:
        server.should_exit = True
        await task
        listener.close()
