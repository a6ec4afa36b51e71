"""The first key is made once; the operator's own one is made valid and never written down."""

import stat
from pathlib import Path

from pydantic import SecretStr

from agentstead.app.bootstrap import bootstrap_key
from agentstead.resources import api_keys
from agentstead.settings import Settings
from agentstead.store.pool import Database


async def test_the_first_key_is_made_once_and_kept_privately(
    database: Database, tmp_path: Path
) -> None:
    settings = Settings(data_dir=tmp_path)
    secret = await bootstrap_key(settings, database)
    assert secret is not None
    kept = tmp_path / "local-key"
    assert kept.read_text() == secret + "\n"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert await bootstrap_key(settings, database) is None
    assert len(await api_keys.list_keys(database)) == 1


async def test_the_operators_own_key_is_not_written_down(
    database: Database, tmp_path: Path
) -> None:
    settings = Settings(data_dir=tmp_path, api_key=SecretStr("my-own-key-0123456789"))
    assert await bootstrap_key(settings, database) is None
    assert await bootstrap_key(settings, database) is None
    assert not (tmp_path / "local-key").exists()
    (row,) = await api_keys.list_keys(database)
    assert row["name"] == "bootstrap"
