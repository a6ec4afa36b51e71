"""API keys: made, listed, revoked; only their hash is kept."""

import pytest

from agentstead.api.auth import digest
from agentstead.errors import Invalid, NotFound
from agentstead.resources import api_keys
from agentstead.store.pool import Database


# Issue item 8: keys are hashed at rest.
async def test_only_the_hash_of_a_key_is_kept(database: Database) -> None:
    row, secret = await api_keys.create(database, "ci")
    assert secret.startswith("sk-as-")
    assert len(secret) > 40
    assert secret.startswith(row["prefix"])
    stored = await database.fetch_one("select api_keys::text as text, hash from api_keys")
    assert stored is not None
    assert stored["hash"] == digest(secret)
    assert secret not in stored["text"]
    assert "hash" not in row


async def test_a_revoked_key_stays_listed(database: Database) -> None:
    first, _ = await api_keys.create(database, "a")
    await api_keys.create(database, "b")
    revoked = await api_keys.revoke(database, "a")
    assert revoked["revoked_at"] is not None
    assert await api_keys.revoke(database, first["id"]) == revoked
    listed = await api_keys.list_keys(database)
    assert [(row["name"], row["revoked_at"] is None) for row in listed] == [
        ("a", False),
        ("b", True),
    ]


async def test_a_name_may_be_ambiguous(database: Database) -> None:
    await api_keys.create(database, "a")
    await api_keys.create(database, "a")
    with pytest.raises(Invalid, match="name one by its id"):
        await api_keys.revoke(database, "a")
    with pytest.raises(NotFound):
        await api_keys.revoke(database, "none")
    for bad in ("", "x" * 257, "a\nb"):
        with pytest.raises(Invalid):
            await api_keys.create(database, bad)


# the design: the first key is made at the first start; AGENTSTEAD_API_KEY is made valid.
async def test_a_new_database_gets_one_key(database: Database) -> None:
    secret = await api_keys.bootstrap(database)
    assert secret is not None
    assert await api_keys.bootstrap(database) is None
    assert await api_keys.bootstrap(database, "sk-own-secret") == "sk-own-secret"
    assert await api_keys.bootstrap(database, "sk-own-secret") is None
    assert len(await api_keys.list_keys(database)) == 2
    await api_keys.revoke(database, "bootstrap")
    with pytest.raises(Invalid, match="revoked"):
        await api_keys.bootstrap(database, "sk-own-secret")
