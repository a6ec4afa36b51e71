"""A server with a worker, in a thread of its own, for what hypothesis drives."""

from collections.abc import Iterator

import httpx2
import pytest

from tests.fuzz.garden import SCRIPT, Garden
from tests.support.background import serving_in_thread
from tests.support.postgres import Server
from tests.support.server import Running


@pytest.fixture(scope="module")
def running(postgres: Server) -> Iterator[Running]:
    """The server."""
    url = postgres.create()
    with serving_in_thread(url, workers=1, script=SCRIPT) as server:
        yield server
    postgres.drop(url)


@pytest.fixture(scope="module")
def garden(running: Running) -> Iterator[Garden]:
    """Real things on it."""
    headers = {"x-api-key": running.key}
    with httpx2.Client(
        base_url=running.url, headers=headers, timeout=10, trust_env=False
    ) as client:
        yield Garden(client).grow()
