"""Keys of self-hosted environments: what workers poll with. Made, listed and revoked by the CLI.

Promises: the secret is shown once, at its making; the database has its sha-256 and the first
characters; a revoked key is refused from the next request on, and stays listed.
"""

import secrets

from agentstead.api.auth import ENVIRONMENT_PREFIX, digest
from agentstead.clock import Clock, SystemClock
from agentstead.errors import Invalid, NotFound
from agentstead.ids import ALPHABET, ENVIRONMENT_KEY, Ids, RandomIds
from agentstead.resources.environments import environments
from agentstead.store import audit
from agentstead.store.pool import Database, Transaction
from agentstead.store.table import Row, moment, readable
from agentstead.store.workspace import DEFAULT_WORKSPACE
from agentstead.wire.environment import self_hosted

CHARACTERS = 48
"""Some hosts refuse keys of 30 characters and fewer (clients rule 41)."""
SHOWN = len(ENVIRONMENT_PREFIX) + 6
COLUMNS = "id, workspace_id, environment_id, name, prefix, created_at, last_used_at, revoked_at"


INSERT = f"""
    insert into environment_keys
        (id, workspace_id, environment_id, name, hash, prefix, created_at)
    values (%s, %s, %s, %s, %s, %s, %s) returning {COLUMNS}
"""  # noqa: S608


async def create(
    database: Database,
    environment_id: str,
    name: str,
    *,
    workspace_id: str = DEFAULT_WORKSPACE,
    clock: Clock | None = None,
    ids: Ids | None = None,
) -> tuple[Row, str]:
    """A new key for an environment's workers: its row and the secret; NotFound, Invalid."""
    clock, ids = clock or SystemClock(), ids or RandomIds(clock)
    if not 1 <= len(name) <= 256 or not name.isprintable():
        raise Invalid("name: A key's name has 1 to 256 printable characters.")
    secret = ENVIRONMENT_PREFIX + "".join(secrets.choice(ALPHABET) for _ in range(CHARACTERS))
    now = clock.now()
    key_id = ids.new(ENVIRONMENT_KEY)
    async with database.transaction() as tx:
        environment = await environments.retrieve(tx, workspace_id, environment_id)
        if not self_hosted(environment):
            raise Invalid(f"Environment {environment_id} is not self_hosted: it has no workers.")
        row = await tx.fetch_one(
            INSERT,
            (
                key_id,
                workspace_id,
                environment_id,
                name,
                digest(secret),
                secret[:SHOWN],
                moment(now),
            ),
        )
        await note(tx, ids, workspace_id, "create", key_id, now)
    assert row is not None
    return readable(row), secret


async def list_keys(
    database: Database,
    environment_id: str | None = None,
    *,
    workspace_id: str = DEFAULT_WORKSPACE,
) -> list[Row]:
    """The keys of an environment, or of all; oldest first, revoked ones too."""
    rows = await database.fetch(
        f"select {COLUMNS} from environment_keys where workspace_id = %s"  # noqa: S608
        " and (%s::text is null or environment_id = %s) order by created_at, id",
        (workspace_id, environment_id, environment_id),
    )
    return [readable(row) for row in rows]


async def revoke(
    database: Database,
    key_id: str,
    *,
    workspace_id: str = DEFAULT_WORKSPACE,
    clock: Clock | None = None,
    ids: Ids | None = None,
) -> Row:
    """End a key, named by its id; NotFound."""
    clock, ids = clock or SystemClock(), ids or RandomIds(clock)
    now = clock.now()
    async with database.transaction() as tx:
        row = await tx.fetch_one(
            "update environment_keys set revoked_at = coalesce(revoked_at, %s)"  # noqa: S608
            f" where id = %s and workspace_id = %s returning {COLUMNS}",
            (moment(now), key_id, workspace_id),
        )
        if row is None:
            raise NotFound(f'There is no key "{key_id}".')
        await note(tx, ids, workspace_id, "revoke", key_id, now)
    return readable(row)


async def note(
    tx: Transaction, ids: Ids, workspace_id: str, verb: str, key_id: str, now: float
) -> None:
    """The audit row."""
    entry = audit.Entry(workspace_id, f"environment_key.{verb}", "environment_key", key_id, now)
    await audit.write(tx, ids, entry)
