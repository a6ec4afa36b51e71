"""Opening a stream: from where it starts, and what a late opener still gets.

Most clients send first and open the stream afterwards. When the latest input had no stream since it
was accepted, and its turn still runs or ended only just now, the stream begins with that input.
Otherwise it is live from here on; nothing older is ever replayed.
"""

from collections.abc import Mapping
from typing import Any

from agentstead.errors import NotFound
from agentstead.log.inbox import queued_frame, queued_since
from agentstead.log.tail import Frame, stored_frame
from agentstead.store.pool import Database, Transaction

# Locked by a statement of its own: one that waited for a lock sees the row as it is by then, but
# events and inbox as they were when it began.
LOCK = "select id from sessions where id = %s and workspace_id = %s for no key update"
ROW = """
    select s.head_seq, s.primary_thread_id, s.batch_first, s.batch_arrived, s.batch_seen,
           s.status, array(select id from inbox where session_id = s.id) as queued,
           extract(epoch from clock_timestamp() - s.batch_ended_at)::float8 as ended_ago,
           (select seq from events e where e.session_id = s.id and e.id = s.batch_first) as first_seq
    from sessions s where s.id = %s and s.workspace_id = %s
"""


class Opening:
    """What a new subscriber starts with."""

    def __init__(
        self,
        primary_thread_id: str,
        head: int,
        queued: list[str],
        replay: list[Frame],
        *,
        over: bool,
    ) -> None:
        self.primary_thread_id = primary_thread_id
        self.head = head
        self.queued = queued
        """Ids of the input that waits."""
        self.replay = replay
        self.over = over
        """The session is terminated: nothing will come."""


async def opening(
    database: Database,
    workspace_id: str,
    session_id: str,
    thread_id: str | None,
    late_seconds: float,
) -> Opening:
    """Read where to start, and mark the latest batch as seen by this view. Raises NotFound."""
    view = thread_id or ""
    async with database.pipeline() as tx:
        await tx.ask(LOCK, (session_id, workspace_id))
        row = await tx.fetch_one(ROW, (session_id, workspace_id))
        if row is None:
            raise NotFound(f"There is no session {session_id}.")
        if thread_id is not None:
            await check_thread(tx, session_id, thread_id)
        replay: list[Frame] = []
        if row["batch_first"] is not None and view not in row["batch_seen"]:
            if is_recent(row, late_seconds):
                replay = await batch(tx, session_id, row)
            await tx.execute(
                "update sessions set batch_seen = array_append(batch_seen, %s) where id = %s",
                (view, session_id),
            )
    return Opening(
        row["primary_thread_id"],
        row["head_seq"],
        row["queued"],
        replay,
        over=row["status"] == "terminated",
    )


def is_recent(row: Mapping[str, Any], late_seconds: float) -> bool:
    """Whether the batch's turn still runs or ended only just now."""
    if late_seconds <= 0:
        return False
    return row["ended_ago"] is None or bool(row["ended_ago"] < late_seconds)


async def batch(tx: Transaction, session_id: str, row: Mapping[str, Any]) -> list[Frame]:
    """Everything from the batch's first event on, then what is still queued of it."""
    frames: list[Frame] = []
    if row["first_seq"] is not None:
        rows = await tx.fetch(
            "select seq, id, thread_id, type, primary_view, payload::text as text from events"
            " where session_id = %s and seq >= %s and seq <= %s order by seq",
            (session_id, row["first_seq"], row["head_seq"]),
        )
        frames = [stored_frame(event) for event in rows]
    queued = await queued_since(tx, session_id, row["batch_arrived"] - 1)
    return frames + [
        queued_frame(entry["id"], entry["type"], entry["thread_id"], entry["text"])
        for entry in queued
    ]


async def check_thread(tx: Transaction, session_id: str, thread_id: str) -> None:
    """Raises NotFound."""
    found = await tx.fetch_one(
        "select id from threads where session_id = %s and id = %s", (session_id, thread_id)
    )
    if found is None:
        raise NotFound(f"Session {session_id} has no thread {thread_id}.")
