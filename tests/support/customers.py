"""An API of customers, which tells what it was asked; and does strange things below /odd."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response


@dataclass
class Asked:
    """One request."""

    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Customers:
    """The API."""

    url: str = ""
    rows: dict[str, Any] = field(default_factory=lambda: {"1": {"id": "1", "name": "Ada"}})
    asked: list[Asked] = field(default_factory=list)
    failures: list[Response] = field(default_factory=list)
    """Answered instead, one request each."""
    hold: asyncio.Event | None = None
    """Writes wait for it once they are done."""

    async def serve(self, request: Request) -> Response:
        """Answer one request."""
        body = await request.body()
        path = request.scope["raw_path"].decode()
        self.asked.append(
            Asked(request.method, path, dict(request.query_params), request.headers, body)
        )
        if self.failures:
            return self.failures.pop(0)
        if path.startswith("/odd/away"):
            return RedirectResponse("http://127.0.0.1:1/customers")
        if path.startswith("/odd/here"):
            return RedirectResponse("/customers/1", 302)
        key = path.removeprefix("/customers").strip("/")
        if request.method == "GET":
            return JSONResponse(self.rows if not key else self.rows.get(key, {}))
        if request.method == "DELETE":
            self.rows.pop(key, None)
            return Response(status_code=204)
        if request.method != "HEAD":
            await self._write(request, key)
        return JSONResponse({"done": request.method}, 201)

    async def _write(self, request: Request, key: str) -> None:
        row = await request.json()
        self.rows[key or str(len(self.rows) + 1)] = row
        if self.hold is not None:
            await self.hold.wait()


@asynccontextmanager
async def customers_serving() -> AsyncIterator[Customers]:
    """The API on a free port of the loopback."""
    api = Customers()
    methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
    app = Starlette()
    app.add_route("/{rest:path}", api.serve, methods=methods)
    listener = socket.create_server(("127.0.0.1", 0))
    api.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    config = uvicorn.Config(
        app, log_config=None, lifespan="off", ws="none", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve(sockets=[listener]))
    try:
        while not server.started and not task.done():  # noqa: ASYNC110  uvicorn has no event
            await asyncio.sleep(0.005)
        yield api
    finally:
        if api.hold is not None:
            api.hold.set()
        server.should_exit = True
        await task
        listener.close()
