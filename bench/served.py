"""A server of its own for a measurement, on a durable database that the measurement reaches too."""

import asyncio
import http.client
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from shutil import rmtree
from typing import Any
from urllib.parse import urlsplit

from tests.support.places import temporary_dir
from tests.support.processes import Platform, platform

from agentstead.store.embedded import EmbeddedPostgres

MODEL = "scripted-demo"


@contextmanager
def served(*arguments: str, **settings: str) -> Iterator[tuple[Platform, str]]:
    """A platform as real processes, and the URL of its database."""
    folder = temporary_dir()
    postgres = EmbeddedPostgres(folder / "data")
    url = asyncio.run(postgres.start())
    try:
        with platform(database_url=url, **settings) as place:
            place.serve(*arguments)
            yield place, url
    finally:
        asyncio.run(postgres.stop())
        rmtree(folder, ignore_errors=True)


def call_seconds(stream: Iterable[Any]) -> list[float]:
    """Seconds of each tool call of a turn: from its use to its result in the log. None may fail."""
    began, spent = {}, []
    for event in stream:
        if event.type == "agent.tool_use":
            began[event.id] = event.processed_at
        elif event.type == "agent.tool_result":
            assert not event.is_error, event
            spent.append((event.processed_at - began[event.tool_use_id]).total_seconds())
        elif event.type == "session.status_idle":
            break
    return spent


class Wire:
    """One kept connection, without a library's own cost."""

    def __init__(self, place: Platform) -> None:
        address = urlsplit(place.url)
        assert address.hostname
        self.connection = http.client.HTTPConnection(address.hostname, address.port)
        self.headers = {"x-api-key": place.key, "content-type": "application/json"}

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> bytes:
        """The bytes of a successful answer."""
        text = None if body is None else json.dumps(body).encode()
        self.connection.request(method, path, text, self.headers)
        answer = self.connection.getresponse()
        found = answer.read()
        assert answer.status == 200, found
        return found

    def make(self, path: str, **body: Any) -> str:
        """Create something; its id."""
        return str(json.loads(self.call("POST", path, body))["id"])


def ready_to_create(wire: Wire) -> dict[str, str]:
    """An agent and an environment, as the body of a session's creation."""
    agent = wire.make("/v1/agents", name="bench", model=MODEL)
    return {"agent": agent, "environment_id": wire.make("/v1/environments", name="bench")}
