"""Reading the log: a worker's load, the door's row, and pages of stored JSON texts."""

from collections.abc import Mapping, Sequence
from typing import Any

from agentstead.errors import LeaseLost, NotFound
from agentstead.log.log import EventPage, Lease, SessionRecord, SessionRow
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

Place = tuple[int, int, int]
"""How far a list has come: a seq, an arrival, and, newest first, the log's end when it began."""
END = (1 << 62) - 1
FIRST: Place = (0, 0, 0)
LAST: Place = (END, END, END)

COMPARISONS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}

LOAD = """
    select id, workspace_id, primary_thread_id, agent, environment, resources, fence, lease_owner,
           attempts, budget, extract(epoch from created_at)::float8 as created_at
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


async def page(
    database: Database,
    session_id: str,
    primary_thread_id: str,
    *,
    thread_id: str | None,
    types: Sequence[str],
    created: Mapping[str, float] | None,
    descending: bool,
    limit: int,
    after: Place | None,
) -> tuple[EventPage, frozenset[int]]:
    """A page in one statement, so that input that is taken in meanwhile is seen once; its seqs.

    Input may also be taken in between two pages. So a place says how far the log was shown, and how
    far the queue: what was shown queued is not shown again in the log, and what was not is.
    """
    logged, logged_params = conditions(session_id, types, created)
    queued, queued_params = conditions(session_id, types, None)
    if thread_id is None:
        logged.append("primary_view")
    else:
        logged.append("thread_id = %s")
        logged_params.append(thread_id)
        queued.append("coalesce(thread_id, %s) = %s")
        queued_params += [primary_thread_id, thread_id]
    if created:
        queued.append("false")
    start = LAST if descending else FIRST
    seq, arrived, head = after or start
    if descending:
        logged.append("seq < %s and (seq <= %s or arrived < %s)")
        logged_params += [seq, head, arrived]
        queued.append("arrived < %s" if seq == END else "false")
        queued_params += [arrived] if seq == END else []
    else:
        logged.append("seq > %s and (arrived is null or arrived > %s)")
        logged_params += [seq, arrived]
        queued.append("arrived > %s")
        queued_params.append(arrived)
    way = "desc" if descending else "asc"
    rows = await database.fetch(
        f"""
        (select 0 as part, seq as place, payload::text as text,
                (select head_seq from sessions where id = %s) as head from events
          where {" and ".join(logged)} order by seq {way} limit {limit + 1})
        union all
        (select 1, arrived, payload::text, (select head_seq from sessions where id = %s) from inbox
          where {" and ".join(queued)} order by arrived {way} limit {limit + 1})
        order by 1 {way}, 2 {way} limit {limit + 1}
        """,  # noqa: S608 - every word of it is ours; values are parameters
        (session_id, *logged_params, session_id, *queued_params),
    )
    more = len(rows) > limit
    rows = rows[:limit]
    seqs = frozenset(row["place"] for row in rows if row["part"] == 0)
    last = place_of(rows, after or start, descending=descending) if rows else None
    return EventPage(tuple(row["text"] for row in rows), last, more), seqs


def place_of(rows: Sequence[Mapping[str, Any]], before: Place, *, descending: bool) -> Place:
    """Where the page after these rows begins."""
    seq, arrived, head = before
    for row in reversed(rows):
        if row["part"] == 1:
            arrived = row["place"]
            break
    last = rows[-1]
    if descending:
        return seq if last["part"] else last["place"], arrived, min(head, last["head"])
    return last["head"] if last["part"] else last["place"], arrived, 0


def conditions(
    session_id: str, types: Sequence[str], created: Mapping[str, float] | None
) -> tuple[list[str], list[Any]]:
    """What holds for both the log and the inbox."""
    terms, params = ["session_id = %s"], [session_id]
    values: list[Any] = list(params)
    if types:
        terms.append("type = any(%s)")
        values.append(list(types))
    for name, at in (created or {}).items():
        terms.append(f"at {COMPARISONS[name]} to_timestamp(%s)")
        values.append(at)
    return terms, values
