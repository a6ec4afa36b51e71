"""Reading the log: a worker's load, and the door's row."""

from collections.abc import Mapping, Sequence
from typing import Any

from agentstead.errors import LeaseLost, NotFound
from agentstead.log.log import Lease, SessionRecord, SessionRow
from agentstead.log.rows import (
    EVENT_COLUMNS,
    PENDING_COLUMNS,
    SESSION_COLUMNS,
    event_of,
    pending_of,
    session_of,
)
from agentstead.store.pool import Database, Transaction
from agentstead.wire.events.stored import Pending

LOAD = """
    select id, workspace_id, primary_thread_id, agent, environment, resources, fence, lease_owner,
           attempts, budget, vault_ids, stopped_by is not null as stopped,
           extract(epoch from created_at)::float8 as created_at,
           exists (select from budgets b
                   where b.workspace_id = sessions.workspace_id and b.archived_at is null
                     and (b.agent_id is null or b.agent_id = sessions.agent_id)) as budgeted
    from sessions where id = %s
"""


async def load(database: Database, lease: Lease) -> SessionRecord:
    """A claimed session, whole. Raises LeaseLost."""
    async with database.transaction() as tx:
        await tx.execute("set transaction isolation level repeatable read read only")
        row = await tx.fetch_one(LOAD, (lease.session_id,))
        if row is None or row["fence"] != lease.fence or row["lease_owner"] != lease.owner:
            raise LeaseLost
        events = await tx.fetch(
            f"select {EVENT_COLUMNS} from events where session_id = %s order by seq",  # noqa: S608
            (lease.session_id,),
        )
        inbox = await pending(tx, lease.session_id)
    return SessionRecord(
        session_id=row["id"],
        workspace_id=row["workspace_id"],
        primary_thread_id=row["primary_thread_id"],
        agent=row["agent"],
        environment=row["environment"],
        resources=tuple(row["resources"]),
        created_at=row["created_at"],
        events=tuple(event_of(event) for event in events),
        inbox=inbox,
        attempts=row["attempts"],
        budget=row["budget"],
        vault_ids=tuple(row["vault_ids"]),
        stopped=row["stopped"],
        budgeted=row["budgeted"],
    )


async def pending(source: Database | Transaction, session_id: str) -> tuple[Pending, ...]:
    """All input pending, in order of arrival."""
    rows = await source.fetch(
        f"select {PENDING_COLUMNS} from inbox where session_id = %s order by arrived",  # noqa: S608
        (session_id,),
    )
    return tuple(pending_of(row) for row in rows)


async def retrieve(
    source: Database | Transaction, workspace_id: str, session_id: str, *, lock: bool = False
) -> SessionRow:
    """One session. Raises NotFound."""
    if lock:  # first: a statement that waits for a lock counts the inbox as it was before
        await source.execute(
            "select id from sessions where id = %s and workspace_id = %s for no key update",
            (session_id, workspace_id),
        )
    row = await source.fetch_one(
        f"select {SESSION_COLUMNS} from sessions where id = %s and workspace_id = %s",  # noqa: S608
        (session_id, workspace_id),
    )
    if row is None:
        raise NotFound(f"There is no session {session_id}.")
    return session_of(row)


async def resources(database: Database, session_id: str) -> Sequence[Mapping[str, Any]]:
    """A session's resources as they are now; none when it is deleted."""
    row = await database.fetch_one("select resources from sessions where id = %s", (session_id,))
    return row["resources"] if row else ()
