"""API keys: made, listed and revoked by the operator's command line; no routes.

Promises: the secret is shown once, at its making; the database has its sha-256 and the first
characters; a revoked key stays listed.
"""

import secrets

from agentstead.api.auth import digest
from agentstead.clock import Clock, SystemClock
from agentstead.errors import Invalid, NotFound
from agentstead.ids import KEY, Ids, RandomIds
from agentstead.store import audit
from agentstead.store.pool import Database, Transaction
from agentstead.store.table import Row, moment, readable
from agentstead.store.workspace import DEFAULT_WORKSPACE

PREFIX = "sk-as-"
SECRET_BYTES = 32
SHOWN = len(PREFIX) + 6
COLUMNS = "id, workspace_id, name, prefix, created_at, last_used_at, revoked_at"
INSERT = f"""
    insert into api_keys (id, workspace_id, name, hash, prefix, created_at)
    values (%s, %s, %s, %s, %s, %s) returning {COLUMNS}
"""  # noqa: S608
REVOKE = f"""
    update api_keys set revoked_at = coalesce(revoked_at, %s) where id = %s returning {COLUMNS}
"""  # noqa: S608


async def create(
    database: Database,
    name: str,
    *,
    workspace_id: str = DEFAULT_WORKSPACE,
    secret: str | None = None,
    clock: Clock | None = None,
    ids: Ids | None = None,
) -> tuple[Row, str]:
    """A new key (of this secret, where one is given): its row and the secret."""
    clock, ids = clock or SystemClock(), ids or RandomIds(clock)
    if not 1 <= len(name) <= 256 or not name.isprintable():
        raise Invalid("name: A key's name has 1 to 256 printable characters.")
    secret = secret or PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    now = clock.now()
    key_id = ids.new(KEY)
    async with database.transaction() as tx:
        row = await tx.fetch_one(
            INSERT,
            (key_id, workspace_id, name, digest(secret), secret[:SHOWN], moment(now)),
        )
        await note(tx, ids, workspace_id, "create", key_id, now)
    assert row is not None
    return readable(row), secret


async def list_keys(database: Database, *, workspace_id: str = DEFAULT_WORKSPACE) -> list[Row]:
    """All keys, oldest first, revoked ones too."""
    rows = await database.fetch(
        f"select {COLUMNS} from api_keys where workspace_id = %s order by created_at, id",  # noqa: S608
        (workspace_id,),
    )
    return [readable(row) for row in rows]


async def revoke(
    database: Database,
    key: str,
    *,
    workspace_id: str = DEFAULT_WORKSPACE,
    clock: Clock | None = None,
    ids: Ids | None = None,
) -> Row:
    """End a key, named by its id or its name (when only one live key has it); NotFound."""
    clock, ids = clock or SystemClock(), ids or RandomIds(clock)
    now = clock.now()
    async with database.transaction() as tx:
        found = await tx.fetch(
            "select id from api_keys where workspace_id = %s"
            " and (id = %s or (name = %s and revoked_at is null)) for update",
            (workspace_id, key, key),
        )
        if not found:
            raise NotFound(f'There is no key "{key}".')
        if len(found) > 1:
            raise Invalid(f'{len(found)} keys are named "{key}"; name one by its id.')
        row = await tx.fetch_one(
            REVOKE,
            (moment(now), found[0]["id"]),
        )
        await note(tx, ids, workspace_id, "revoke", str(found[0]["id"]), now)
    assert row is not None
    return readable(row)


async def bootstrap(database: Database, secret: str | None = None) -> str | None:
    """The first key of a new database, or the operator's own secret made valid.

    Answers the secret when a key was made, None when nothing had to be done.
    """
    if secret is None:
        known = await database.fetch_one("select 1 from api_keys limit 1")
        return None if known else (await create(database, "first"))[1]
    known = await database.fetch_one(
        "select revoked_at from api_keys where hash = %s", (digest(secret),)
    )
    if known is None:
        return (await create(database, "bootstrap", secret=secret))[1]
    if known["revoked_at"] is not None:
        raise Invalid("api_key: The bootstrap key was revoked; choose another.")
    return None


async def note(
    tx: Transaction, ids: Ids, workspace_id: str, verb: str, key_id: str, now: float
) -> None:
    """The audit row."""
    entry = audit.Entry(workspace_id, f"api_key.{verb}", "api_key", key_id, now)
    await audit.write(tx, ids, entry)
