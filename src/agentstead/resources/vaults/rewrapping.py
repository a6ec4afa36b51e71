"""Putting stored secrets under the current master key."""

from agentstead.resources.vaults.credentials import context
from agentstead.store.pool import Database
from agentstead.store.seal import Seal
from agentstead.store.table import storable

BATCH = 100


async def rewrap(database: Database, seal: Seal) -> int:
    """Every secret of every workspace; how many were under another key."""
    count, last = 0, ""
    while True:
        async with database.transaction() as tx:
            rows = await tx.fetch(
                "select id, sealed from vault_credentials where id > %s and archived_at is null"
                " order by id limit %s for update",
                (last, BATCH),
            )
            for row in rows:
                new = {
                    name: text
                    for name, old in row["sealed"].items()
                    if (text := seal.rewrapped(context(row["id"], name), old)) is not None
                }
                if new:
                    await tx.execute(
                        "update vault_credentials set sealed = %s where id = %s",
                        (storable({**row["sealed"], **new}), row["id"]),
                    )
                    count += len(new)
        if len(rows) < BATCH:
            return count
        last = rows[-1]["id"]
