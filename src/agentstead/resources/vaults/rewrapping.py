"""Putting stored secrets under the current master key."""

from agentstead.resources import session_repositories
from agentstead.resources.vaults.credentials import context
from agentstead.store.pool import Database
from agentstead.store.seal import Seal
from agentstead.store.table import storable

BATCH = 100


async def rewrap(database: Database, seal: Seal) -> int:
    """Every secret of every workspace; how many were under another key."""
    sealed = 0
    for table, condition in (("vault_credentials", "archived_at is null"), ("connectors", "true")):
        sealed += await rewrap_fields(database, seal, table, condition)
    return sealed + await rewrap_repositories(database, seal)


async def rewrap_repositories(database: Database, seal: Seal) -> int:
    """The tokens of sessions' repositories."""
    count, last = 0, ""
    while True:
        async with database.transaction() as tx:
            rows = await tx.fetch(
                "select session_id, resource_id, sealed from session_repositories"
                " where resource_id > %s and sealed is not null"
                " order by resource_id limit %s for update",
                (last, BATCH),
            )
            for row in rows:
                name = session_repositories.context(row["resource_id"])
                if (text := seal.rewrapped(name, row["sealed"])) is not None:
                    await tx.execute(
                        "update session_repositories set sealed = %s"
                        " where session_id = %s and resource_id = %s",
                        (text, row["session_id"], row["resource_id"]),
                    )
                    count += 1
        if len(rows) < BATCH:
            return count
        last = rows[-1]["resource_id"]


async def rewrap_fields(database: Database, seal: Seal, table: str, condition: str) -> int:
    """The secrets of rows that hold several, by name: those of vaults and of connectors."""
    count, last = 0, ""
    while True:
        async with database.transaction() as tx:
            rows = await tx.fetch(
                f"select id, sealed from {table} where id > %s and {condition}"  # noqa: S608
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
                        f"update {table} set sealed = %s where id = %s",  # noqa: S608
                        (storable({**row["sealed"], **new}), row["id"]),
                    )
                    count += len(new)
        if len(rows) < BATCH:
            return count
        last = rows[-1]["id"]
