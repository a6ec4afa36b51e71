"""A running server and the official SDK on it, for every conformance test."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.server import MODEL, Running, serving


@pytest.fixture
async def server(database_url: str) -> AsyncIterator[Running]:
    """A server without workers: nothing moves by itself."""
    async with serving(database_url, keepalive_seconds=0.2) as running:
        yield running


@pytest.fixture
def client(server: Running) -> Any:
    """The official SDK, strict about what it gets."""
    return server.sdk()


@pytest.fixture
async def agent(client: Any) -> Any:
    """A plain agent."""
    return await client.beta.agents.create(name="Fixer", model=MODEL)


@pytest.fixture
async def environment(client: Any) -> Any:
    """A plain environment."""
    return await client.beta.environments.create(name="plain")


@pytest.fixture
async def session(client: Any, agent: Any, environment: Any) -> Any:
    """An idle session."""
    return await client.beta.sessions.create(agent=agent.id, environment_id=environment.id)
