"""`agentstead backup` and `restore` on databases of their own."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support.postgres import Server
from tests.support.processes import run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]


@pytest.fixture
def empty_url(postgres: Server) -> Iterator[str]:
    url = postgres.create("template0")
    yield url
    postgres.drop(url)


def test_a_platform_is_saved_and_made_again(
    database_url: str, empty_url: str, tmp_path: Path
) -> None:
    target = tmp_path / "backup"
    old = ("--data-dir", str(tmp_path / "old"), "--database-url", database_url)
    saved = run("backup", str(target), *old)
    assert (saved.returncode, saved.stdout.strip()) == (0, str(target)), saved.stderr
    assert "not saved: the master keys" in saved.stderr
    password = psycopg.conninfo.conninfo_to_dict(database_url)["password"]
    assert str(password) not in saved.stdout + saved.stderr

    new = ("--data-dir", str(tmp_path / "new"), "--database-url", empty_url)
    restored = run("restore", str(target), *new)
    assert (restored.returncode, restored.stdout) == (0, ""), restored.stderr
    assert "agentstead key create" in restored.stderr
    with psycopg.connect(empty_url) as connection:
        assert connection.execute("select count(*) from sessions").fetchone() == (0,)

    again = run("restore", str(target), *new)
    assert again.returncode == 1
    assert again.stderr.startswith("agentstead: The database is not empty")
