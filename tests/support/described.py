"""Holds answers against the shapes that the API describes them with."""

import re
from functools import cache
from typing import Any

import httpx2
from pydantic import TypeAdapter, ValidationError

from agentstead.api.downloads import Download
from agentstead.api.router import JSON, Route
from agentstead.api.sse import Stream
from agentstead.resources import ROUTERS

PARAMETER = re.compile(r"{(\w+)(?::\w+)?}")


@cache
def routes() -> list[tuple[re.Pattern[str], Route]]:
    return [
        (re.compile(PARAMETER.sub("[^/]+", route.path)), route)
        for router in ROUTERS
        for route in router.routes
    ]


@cache
def adapter(method: str, path: str) -> TypeAdapter[Any] | None:
    """The shape of what a request is answered with."""
    for pattern, route in routes():
        if route.method == method and pattern.fullmatch(path):
            plain = route.answer in (None, Stream, Download)
            return None if plain else TypeAdapter(route.answer)
    return None


async def hold(answer: httpx2.Response) -> None:
    """Fail when an answer differs from its description."""
    shape = adapter(answer.request.method, answer.request.url.path)
    if shape is None or answer.status_code != 200 or answer.headers["content-type"] != JSON:
        return
    try:
        shape.validate_json(await answer.aread())
    except ValidationError as error:
        raise AssertionError(f"{answer.request.method} {answer.request.url}: {error}") from None
