"""Requests are counted by route template; streams count as subscribers while they are open."""

from typing import Any

import pytest

from agentstead.clock import SystemClock
from agentstead.telemetry import names
from agentstead.telemetry.metrics import Metrics
from agentstead.telemetry.requests import CountedApp
from tests.telemetry.test_metrics import value


async def ask(app: CountedApp, method: str = "GET") -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: Any) -> None: ...

    await app({"type": "http", "method": method, "path": "/v1/agents/agent_1"}, receive, send)


def answering(status: int, content_type: bytes = b"application/json", route: bool = False) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if route:
            # what the framework leaves behind when a route has answered
            scope["endpoint"] = app
            scope["path_params"] = {"id": scope["path"].rpartition("/")[2]}
        headers = [(b"Content-Type", content_type)]
        await send({"type": "http.response.start", "status": status, "headers": headers})

    return app


async def test_the_label_is_the_template_not_the_path() -> None:
    metrics = Metrics()
    await ask(CountedApp(answering(200, route=True), metrics, SystemClock()))
    assert value(metrics, names.REQUESTS, method="GET", route="/v1/agents/{id}", status="200") == 1
    assert b"agent_1" not in metrics.render()


async def test_unknown_paths_and_methods_share_one_series() -> None:
    metrics = Metrics()
    await ask(CountedApp(answering(404), metrics, SystemClock()), method="BREW")
    assert value(metrics, names.REQUESTS, method="other", route="unknown", status="404") == 1


async def test_a_crash_before_the_answer_counts_as_500() -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("broken")

    metrics = Metrics()
    with pytest.raises(ValueError, match="broken"):
        await ask(CountedApp(broken, metrics, SystemClock()))
    assert value(metrics, names.REQUESTS, method="GET", route="unknown", status="500") == 1


async def test_an_open_stream_is_a_subscriber_and_is_not_timed() -> None:
    metrics = Metrics()
    seen: list[float | None] = []

    async def stream(scope: Any, receive: Any, send: Any) -> None:
        await answering(200, b"text/event-stream; charset=utf-8", True)(scope, receive, send)
        seen.append(value(metrics, names.SUBSCRIBERS))

    await ask(CountedApp(stream, metrics, SystemClock()))
    assert seen == [1]
    assert value(metrics, names.SUBSCRIBERS) == 0
    assert value(metrics, names.REQUEST_SECONDS + "_count", route="/v1/agents/{id}") is None
