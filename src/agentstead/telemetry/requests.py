"""Counts requests at the edge of the ASGI application, by the template of their route."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from agentstead.clock import Clock
from agentstead.telemetry.metrics import Metrics

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

UNKNOWN_ROUTE = "unknown"
"""Label of requests that met no route, so that a scan of paths makes no new series."""
METHODS = frozenset({"GET", "POST", "DELETE", "HEAD", "OPTIONS", "PUT", "PATCH"})
STREAM = b"text/event-stream"


class CountedApp:
    """An ASGI application whose requests are counted; event streams are subscribers meanwhile."""

    def __init__(self, app: App, metrics: Metrics, clock: Clock) -> None:
        self.app = app
        self.metrics = metrics
        self.clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status, streams = 500, False
        started = self.clock.monotonic()

        async def watched(message: MutableMapping[str, Any]) -> None:
            nonlocal status, streams
            if message["type"] == "http.response.start":
                status = message["status"]
                if is_stream(message):
                    streams = True
                    self.metrics.subscribers.inc()
            await send(message)

        try:
            await self.app(scope, receive, watched)
        finally:
            if streams:
                self.metrics.subscribers.dec()
            seconds = None if streams else self.clock.monotonic() - started
            method = scope["method"] if scope["method"] in METHODS else "other"
            self.metrics.request(method, route_of(scope), status, seconds)


def is_stream(message: MutableMapping[str, Any]) -> bool:
    """Whether this answer is an event stream."""
    return any(
        name.lower() == b"content-type" and value.startswith(STREAM)
        for name, value in message.get("headers", ())
    )


def route_of(scope: Scope) -> str:
    """The template of the route that answered: the path with its parameters' names for values."""
    if "endpoint" not in scope:
        return UNKNOWN_ROUTE
    names = {str(value): f"{{{name}}}" for name, value in scope.get("path_params", {}).items()}
    return "/".join(names.get(part, part) for part in str(scope["path"]).split("/"))
