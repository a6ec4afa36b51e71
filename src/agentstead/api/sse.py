"""Streams of server-sent events.

Promises: the subscription exists and the headers are out before the first event; a comment keeps
the line alive in quiet times; a client that goes away ends the subscription; stored bytes are
passed on as they are.
"""

from collections.abc import AsyncIterator

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from agentstead.log.log import Follower

HEADERS = {
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
    "content-type": "text/event-stream; charset=utf-8",
}
KEEP_ALIVE = b": keep-alive\n\n"
OPENED = b": open\n\n"


class Stream(StreamingResponse):
    """A follower as a response; closes it whatever happens."""

    def __init__(self, follower: Follower, keepalive_seconds: float) -> None:
        super().__init__(frames(follower, keepalive_seconds), headers=HEADERS)
        self.follower = follower

    async def __call__(  # type: ignore[explicit-override]
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Send until the follower ends or the client goes away."""
        try:
            if scope["method"] == "HEAD":
                await Response(headers=HEADERS)(scope, receive, send)
                return
            # The spec version makes the framework watch for the client's leaving while it sends.
            watched = {**scope, "asgi": {**scope.get("asgi", {}), "spec_version": "2.0"}}
            await super().__call__(watched, receive, send)
        finally:
            await self.follower.close()


async def frames(follower: Follower, keepalive_seconds: float) -> AsyncIterator[bytes]:
    """The frames of a follower, and keep-alive comments between them."""
    yield OPENED
    while True:
        try:
            frame = await follower.next(keepalive_seconds)
        except StopAsyncIteration:
            return
        yield KEEP_ALIVE if frame is None else frame
