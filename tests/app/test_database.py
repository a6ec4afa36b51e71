"""Whoever needs the database gets it, and leaves it as it was found."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agentstead.app.database import any_database, attached_database, running, served_database
from agentstead.clock import SystemClock
from agentstead.errors import Misconfigured
from agentstead.settings import Settings
from tests.support.places import memory_dir

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]
CLOCK = SystemClock()


@pytest.fixture
def settings() -> Iterator[Settings]:
    with memory_dir() as folder:
        yield Settings(data_dir=folder / "data", database_connections_max=2)


async def test_one_that_did_not_run_is_stopped_again(settings: Settings) -> None:
    async with any_database(settings, CLOCK) as database:
        assert running(settings)
        assert await database.fetch_one("select count(*) as number from sessions") == {"number": 0}
    assert not running(settings)


async def test_one_that_runs_is_shared_and_goes_on(settings: Settings) -> None:
    async with served_database(settings, CLOCK):
        async with any_database(settings, CLOCK) as shared:
            assert await shared.fetch_one("select 1 as one") == {"one": 1}
        assert running(settings)
    assert not running(settings)


async def test_only_one_serves(settings: Settings) -> None:
    async with served_database(settings, CLOCK):
        with pytest.raises(Misconfigured, match="holds the data directory"):
            async with served_database(settings, CLOCK):
                raise AssertionError("held twice")
        assert running(settings)


async def test_attaching_needs_one_that_runs(settings: Settings) -> None:
    with pytest.raises(Misconfigured):
        async with attached_database(settings, CLOCK):
            raise AssertionError("attached to nothing")


async def test_an_external_one_that_does_not_answer_is_the_operators_to_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentstead.store.pool.CONNECT_SECONDS", 0.3)
    settings = Settings(data_dir=tmp_path, database_url="postgresql://x@127.0.0.1:1/none")
    with pytest.raises(Misconfigured, match="--database-url"):
        async with attached_database(settings, CLOCK):
            raise AssertionError("attached to nothing")
