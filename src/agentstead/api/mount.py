"""Routers → one ASGI app.

Promises: every response carries `request-id`; unknown paths and methods answer in the API's shape;
`/openapi.json` describes every route that is mounted.
"""

from collections.abc import Iterable, Sequence
from functools import cache, partial

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agentstead.api.auth import Keys
from agentstead.api.describe import describe
from agentstead.api.faults import render
from agentstead.api.ports import Services
from agentstead.api.router import Router, endpoint
from agentstead.ids import REQUEST


def create_app(routers: Iterable[Router], services: Services) -> Starlette:
    """The platform's HTTP side."""
    mounted = tuple(routers)
    app = Starlette()
    app.router.redirect_slashes = False
    keys = Keys(services)
    for router in mounted:
        for route in router.routes:
            app.add_route(
                route.path,
                endpoint(route, services, keys),
                methods=[route.method],
                include_in_schema=False,
            )

    # Made when somebody first asks: the schemas of all bodies would delay every start.
    description = cache(partial(describe, mounted))

    async def openapi(_: Request) -> Response:
        return JSONResponse(description())

    app.add_route("/openapi.json", openapi, include_in_schema=False)
    app.add_exception_handler(HTTPException, partial(unrouted, app.routes))
    app.add_middleware(Envelope, services=services)
    return app


async def unrouted(routes: Sequence[BaseRoute], request: Request, error: Exception) -> Response:
    """What the framework refuses itself; of a wrong method, it knows only one of the right ones."""
    response = render(error, request.scope["request_id"])
    if response.status_code == 405:
        allowed = {
            method
            for route in routes
            if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE
            for method in route.methods or ()
        }
        response.headers["allow"] = ", ".join(sorted(allowed))
    return response


class Envelope:
    """The outermost layer of ours: gives each request its id, and each response too."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self.app = app
        self.services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = self.services.ids.new(REQUEST)
        scope["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"request-id", request_id.encode())]
            await send(message)

        await self.app(scope, receive, send_with_id)
