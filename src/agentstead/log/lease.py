"""Who works on which session: claims, heartbeats, handing back, and knowing soon who is dead.

Promises: every claim raises the fence; a claimed session keeps its wake, so that it is claimed again
when its lease runs out, or goes on where it was in the order when it is handed back. Whose turn it
is, `claims` says. All comparisons are made with the database's clock.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from psycopg import AsyncConnection, Error
from psycopg.errors import LockNotAvailable
from psycopg.rows import DictRow, dict_row

from agentstead.clock import Clock
from agentstead.errors import StoreFault
from agentstead.log.claims import CLAIM, CLAIM_LOCK, PATIENCE, PATIENT, Shares
from agentstead.log.log import Lease
from agentstead.store.migrate import MIGRATIONS, found
from agentstead.store.pool import IDLE_SECONDS, Connection, Database, faults

LOCK_SPACE = 0x6A57EAD
"""First key of the advisory locks that say a worker lives; the second is its number."""
LOOK_SECONDS = 0.4
"""How often a process looks for dead workers."""

HEARTBEAT = """
    with mine as (
        select s.id from sessions s
        join unnest(%(ids)s::text[], %(fences)s::bigint[], %(owners)s::text[]) as r(id, fence, owner)
          on s.id = r.id and s.fence = r.fence and s.lease_owner = r.owner
        order by s.id for no key update of s
    )
    update sessions s set lease_until = clock_timestamp() + make_interval(secs => %(seconds)s)
    from mine where s.id = mine.id
    returning s.id, exists (select from inbox where inbox.session_id = s.id) as input
"""
RELEASE = """
    with mine as (
        select s.id from sessions s
        join unnest(%(ids)s::text[], %(fences)s::bigint[], %(owners)s::text[]) as r(id, fence, owner)
          on s.id = r.id and s.fence = r.fence and s.lease_owner = r.owner
        order by s.id for no key update of s
    )
    update sessions s set lease_owner = null, lease_until = null,
        wake_at = least(s.wake_at, clock_timestamp()), attempts = greatest(s.attempts - 1, 0)
    from mine where s.id = mine.id
"""
EXPIRE = """
    with theirs as (
        select id from sessions where lease_owner = %s order by id for no key update
    )
    update sessions s set lease_until = clock_timestamp() - interval '1 ms'
    from theirs where s.id = theirs.id
"""

SILENT = """
    select pg_terminate_backend(a.pid) from pg_stat_activity a
    where a.datname = current_database() and a.usename = current_user and a.state = 'active'
      and a.wait_event = 'ClientRead' and a.query not ilike 'copy%%'
      and a.xact_start < clock_timestamp() - make_interval(secs => %(seconds)s)
      and a.state_change < clock_timestamp() - make_interval(secs => %(seconds)s)
      and exists (select from pg_locks l where l.pid = a.pid and l.granted
                  and l.relation = 'sessions'::regclass)
"""
"""Ends transactions whose process fell silent between two statements of one journey: the database's own
limit for silent transactions counts only those that wait for a new journey."""


class Leases:
    """Claims of this process."""

    def __init__(
        self, database: Database, lease_seconds: float, shares: Shares | None = None
    ) -> None:
        self.database = database
        self.lease_seconds = lease_seconds
        self.shares = shares or Shares()
        self.schema = found(MIGRATIONS)[-1].number
        """What this build knows of the database."""

    async def claim(self, owner: str, limit: int) -> list[Lease]:
        """Claim up to `limit` due sessions."""
        asked: dict[str, object] = {
            "owner": owner,
            "most": limit,
            "candidates": limit * 4,
            "seconds": self.lease_seconds,
            "schema": self.schema,
            **self.shares.columns(),
        }
        if self.shares.bounded:
            async with self.database.pipeline() as tx:
                await tx.execute("select pg_advisory_xact_lock(%s)", (CLAIM_LOCK,))
                rows = await tx.fetch(CLAIM, asked)
        else:
            rows = await self.database.fetch(CLAIM, asked)
        if rows and rows[0]["id"] is None:
            rows = await self.overlooked(asked)
        return [
            Lease(row["id"], row["workspace_id"], row["fence"], owner)
            for row in rows
            if row["id"] is not None
        ]

    async def overlooked(self, asked: dict[str, object]) -> list[dict[str, Any]]:
        """Claim what is due and was locked for a moment, as by a stream that opens.

        Its notice has been heard already: nobody else would come for it until the next look-round.
        """
        with suppress(LockNotAvailable):
            async with self.database.transaction() as tx:
                await tx.execute(PATIENCE)
                if self.shares.bounded:
                    await tx.execute("select pg_advisory_xact_lock(%s)", (CLAIM_LOCK,))
                return await tx.fetch(PATIENT, asked)
        return []

    async def heartbeat(self, leases: Sequence[Lease]) -> dict[str, bool]:
        """Renew in one statement; session id → whether it has input pending."""
        rows = await self.database.fetch(
            HEARTBEAT, {**columns(leases), "seconds": self.lease_seconds}
        )
        return {row["id"]: row["input"] for row in rows}

    async def release(self, leases: Sequence[Lease]) -> None:
        """Hand back, due now."""
        if leases:
            await self.database.execute(RELEASE, columns(leases))


def columns(leases: Sequence[Lease]) -> dict[str, list[object]]:
    """Leases as the arrays of a statement."""
    return {
        "ids": [lease.session_id for lease in leases],
        "fences": [lease.fence for lease in leases],
        "owners": [lease.owner for lease in leases],
    }


class Presence:
    """Makes death known sooner than the lease.

    While a worker lives, its own connection holds an advisory lock; the server drops it the moment
    the process dies. Whoever can take the lock of a registered worker gives its sessions free. The
    fence covers the rest: a worker that only lost its connection finds its leases expired.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        expired: Callable[[], None],
        sessions_max: int | None = None,
    ) -> None:
        self.database = database
        self.clock = clock
        self.expired = expired
        self.sessions_max = sessions_max
        """What each worker of this process takes at once, for others to read."""
        self.owners: set[str] = set()
        self.connection: Connection | None = None
        self.task: asyncio.Task[None] | None = None
        self.lock = asyncio.Lock()

    async def join(self, owner: str) -> None:
        """From now on this owner counts as alive as long as this process is."""
        if owner in self.owners:
            return
        async with self.lock:
            await self.register(owner)
            self.owners.add(owner)
        if self.task is None:
            self.task = asyncio.create_task(self.looking(), name="presence")

    async def register(self, owner: str) -> None:
        """Take the lock first, then appear: nobody is found dead while being born."""
        with faults():
            if self.connection is None or self.connection.closed:
                self.connection = await AsyncConnection[DictRow].connect(
                    self.database.url, autocommit=True, row_factory=dict_row
                )
            async with self.connection.transaction():
                cursor = await self.connection.execute(
                    b"insert into workers (owner, host, pid, sessions_max) values (%s, %s, %s, %s)"
                    b" on conflict (owner) do update set host = excluded.host returning number",
                    (owner, socket.gethostname(), os.getpid(), self.sessions_max),
                )
                row = await cursor.fetchone()
                assert row
                await self.connection.execute(
                    b"select pg_advisory_lock(%s, %s)", (LOCK_SPACE, row["number"])
                )

    async def looking(self) -> None:
        """Look for the dead, and for one's own connection."""
        while True:
            await self.clock.sleep(LOOK_SECONDS)
            with suppress(StoreFault, Error):
                async with self.lock:
                    if not await self.connected():
                        for owner in self.owners:
                            await self.register(owner)
                await self.database.execute(SILENT, {"seconds": IDLE_SECONDS})
                if await self.bury():
                    self.expired()

    async def connected(self) -> bool:
        """Whether the connection that holds the locks is there: it tells only when asked."""
        if self.connection is None:
            return False
        try:
            await self.connection.execute(b"select 1")
        except Error:
            await self.connection.close()
            self.connection = None
            return False
        return True

    async def bury(self) -> bool:
        """Free the sessions of workers whose lock is free; whether there were any."""
        found = False
        rows = await self.database.fetch(
            "select owner, number from workers where owner <> all(%s)", (list(self.owners),)
        )
        for row in rows:
            found |= await self.bury_one(row["owner"], row["number"])
        return found

    async def bury_one(self, owner: str, number: int) -> bool:
        """Free a worker's sessions if its lock is free.

        The row comes first, as when registering: who held the lock and waited for the row of one
        who registers again would wait for ever. It also tells whether the number still is his.
        """
        async with self.database.transaction() as tx:
            held = await tx.fetch_one(
                "select owner from workers where owner = %s and number = %s for update skip locked",
                (owner, number),
            )
            if held is None:
                return False
            got = await tx.fetch_one(
                "select pg_try_advisory_xact_lock(%s, %s) as dead", (LOCK_SPACE, number)
            )
            if not got or not got["dead"]:
                return False
            await tx.execute(EXPIRE, (owner,))
            await tx.execute("delete from workers where owner = %s", (owner,))
            return True

    async def close(self) -> None:
        """Leave."""
        if self.task:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
            self.task = None
        if self.owners:
            with suppress(StoreFault):
                await self.database.execute(
                    "delete from workers where owner = any(%s)", (list(self.owners),)
                )
            self.owners.clear()
        if self.connection is not None:
            with suppress(Error):
                await self.connection.close()
            self.connection = None
