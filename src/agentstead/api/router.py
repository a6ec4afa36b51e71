"""Our Router: a noun's routes with everything they have in common.

A handler takes the `Call`, the ids of its path as keyword arguments, and, where the route has one,
the parsed body or the form, which it reads itself; it returns a JSON object, `Raw` bytes, a
`Download` or a `Stream`. Promises: key checked, body parsed and refused by its path, errors in the
wire's shape, the caller named in the audit trail.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive

from agentstead.api import scopes
from agentstead.api.auth import Caller, Keys
from agentstead.api.downloads import Download
from agentstead.api.faults import answered
from agentstead.api.ports import Services
from agentstead.api.query import Query
from agentstead.api.sse import Stream
from agentstead.api.uploads import Form
from agentstead.errors import NotFound, TooLarge
from agentstead.log.log import Follower
from agentstead.settings import Settings
from agentstead.store.audit import Actor, acting
from agentstead.store.table import Write
from agentstead.wire.shape import Shape, canonical, parse

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Raw:
    """A body that is ready to be sent."""

    body: bytes
    status: int = 200
    content_type: str = JSON


Answer = Mapping[str, Any] | Raw | Download | Stream
Handler = Callable[..., Awaitable[Answer]]
HandlerT = TypeVar("HandlerT", bound=Handler)


@dataclass(frozen=True, slots=True)
class Call:
    """One request, seen from a handler."""

    services: Services
    caller: Caller
    query: Query
    now: float
    """When it came: seconds since the epoch, to the microsecond, as it is stored and answered."""
    headers: Mapping[str, str]
    """Of the request, by lower-case name."""
    receive: Receive
    """What else comes from the client."""

    async def gone(self) -> None:
        """Return when the client has gone away; the body must have been read."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    @property
    def workspace_id(self) -> str:
        """Whose things it may see."""
        return self.caller.workspace_id

    @property
    def betas(self) -> frozenset[str]:
        """The names in `anthropic-beta`."""
        names = self.headers.get("anthropic-beta", "").split(",")
        return frozenset(name.strip() for name in names)

    def write(self, tx: Any) -> Write:
        """What the table kit needs for a write."""
        return Write(tx, self.services.ids, self.now, self.workspace_id)

    def stream(self, follower: Follower) -> Stream:
        """Answer with a follower's frames."""
        return Stream(follower, self.services.settings.keepalive_seconds)


@dataclass(frozen=True, slots=True)
class Fields:
    """The form that a route takes instead of JSON."""

    schema: Mapping[str, Any]
    """Name → JSON schema, for the description of the API."""
    large: str
    """The one with files."""
    bytes_max: Callable[[Settings], int]
    """How large the files in it may be."""


@dataclass(frozen=True, slots=True)
class Route:
    """One method on one path."""

    method: str
    path: str
    handler: Handler
    body: type[Shape] | None = None
    needs_key: bool = True
    """Without one the handler gets the services instead of a call."""
    query: tuple[str, ...] = ()
    """Names of its query parameters, for the description of the API."""
    form: Fields | None = None
    answer: Any = None
    """The shape of what it answers, for the description; `Stream` or `Download` where it is none."""


@dataclass(slots=True)
class Router:
    """The routes of one noun."""

    tag: str
    routes: list[Route] = field(default_factory=list)

    def get(
        self,
        path: str,
        *,
        query: tuple[str, ...] = (),
        needs_key: bool = True,
        answer: Any = None,
    ) -> Callable[[HandlerT], HandlerT]:
        """Read."""
        return self.add("GET", path, None, query=query, needs_key=needs_key, answer=answer)

    def post(
        self,
        path: str,
        body: type[Shape] | None = None,
        *,
        query: tuple[str, ...] = (),
        answer: Any = None,
    ) -> Callable[[HandlerT], HandlerT]:
        """Create, change, or do."""
        return self.add("POST", path, body, query=query, answer=answer)

    def upload(
        self, path: str, form: Fields, *, answer: Any = None
    ) -> Callable[[HandlerT], HandlerT]:
        """Create from a form; the handler gets it unread, as `form`."""

        def keep(handler: HandlerT) -> HandlerT:
            self.routes.append(Route("POST", path, handler, form=form, answer=answer))
            return handler

        return keep

    def delete(self, path: str, *, answer: Any = None) -> Callable[[HandlerT], HandlerT]:
        """Remove."""
        return self.add("DELETE", path, None, answer=answer)

    def add(
        self,
        method: str,
        path: str,
        body: type[Shape] | None,
        *,
        query: tuple[str, ...] = (),
        needs_key: bool = True,
        answer: Any = None,
    ) -> Callable[[HandlerT], HandlerT]:
        """Hang a handler on a path."""

        def keep(handler: HandlerT) -> HandlerT:
            self.routes.append(Route(method, path, handler, body, needs_key, query, answer=answer))
            return handler

        return keep


ID = re.compile(r"[A-Za-z0-9_.:/@+-]{1,256}")
"""Whatever an id or the name of a model may be made of."""


def endpoint(
    route: Route, services: Services, keys: Keys
) -> Callable[[Request], Awaitable[Response]]:
    """The route as the web framework calls it."""

    async def work(request: Request) -> Response:
        if not route.needs_key:
            return respond(await route.handler(services))
        caller = await keys.caller(request)
        now = round(services.clock.now(), 6)
        query = Query(request.scope["query_string"])
        call = Call(services, caller, query, now, request.headers, request.receive)
        arguments = ids(request)
        await scopes.check(
            services.database,
            caller.workspace_id,
            caller.scope,
            (route.method, route.path),
            arguments,
        )
        if route.form is not None:
            most = route.form.bytes_max(services.settings)
            arguments["form"] = Form(request, route.form.large, most)
        else:
            body = await read(request, services.settings.request_bytes_max)
            if route.body is not None:
                arguments["body"] = parse(route.body, body)
        with acting(Actor(caller.key_id, caller.source)):
            return respond(await route.handler(call, **arguments))

    async def serve(request: Request) -> Response:
        return await answered(work(request), request.scope["request_id"])

    return serve


def ids(request: Request) -> dict[str, Any]:
    """The ids of the path; NotFound when one cannot be any."""
    if not all(ID.fullmatch(value) for value in request.path_params.values()):
        raise NotFound("There is nothing with such an id.")
    return dict(request.path_params)


def respond(answer: Answer) -> Response:
    """An answer as a response."""
    if isinstance(answer, Stream | Download):
        return answer
    if isinstance(answer, Raw):
        return Response(answer.body, answer.status, media_type=answer.content_type)
    return Response(canonical(answer).encode(), media_type=JSON)


async def read(request: Request, bytes_max: int) -> bytes:
    """The whole body; TooLarge beyond the limit."""
    too_large = TooLarge(f"The request body is larger than {bytes_max} bytes.")
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > bytes_max:
        await drain(request, int(length), bytes_max)
        raise too_large
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > bytes_max:
            raise too_large
        parts.append(part)
    return b"".join(parts)


async def drain(request: Request, length: int, bytes_max: int) -> None:
    """Take in a body that is somewhat too large, so that the client reads why it was refused."""
    if length <= 2 * bytes_max:
        async for _ in request.stream():
            pass
