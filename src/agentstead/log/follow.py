"""Opening a stream: from where it starts.

A client that says after which event it wants to go on gets everything from there. Of the others
most send first and open the stream afterwards: when the latest input had no stream since it was
accepted, and its turn still runs or ended only just now, the stream begins with that input.
Otherwise it is live from here on; nothing older is ever replayed unasked.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentstead.errors import Invalid, NotFound
from agentstead.log.inbox import queued_frame, queued_since
from agentstead.log.tail import Frame, stored_frame
from agentstead.store.pool import Database, Transaction

REPLAY_MAX = 500
"""Events that a stream takes along when it opens; of more it reads page by page first."""

# Locked by a statement of its own: one that waited for a lock sees the row as it is by then, but
# events and inbox as they were when it began.
LOCK = "select id from sessions where id = %s and workspace_id = %s for no key update"
ROW = """
    select s.head_seq, s.primary_thread_id, s.batch_first, s.batch_arrived, s.batch_seen,
           s.status, s.stop_reason, array(select id from inbox where session_id = s.id) as queued,
           extract(epoch from clock_timestamp() - s.batch_ended_at)::float8 as ended_ago,
           (select seq from events e where e.session_id = s.id and e.id = s.batch_first) as first_seq
    from sessions s where s.id = %s and s.workspace_id = %s
"""
PLACE = """
    select (select seq from events where id = %(event)s and session_id = %(session)s) as seq,
           (select arrived from inbox where id = %(event)s and session_id = %(session)s) as arrived
"""
SINCE = """
    select seq, id, thread_id, type, primary_view, payload::text as text from events
    where session_id = %s and seq > %s order by seq limit %s
"""

Mark = str | int
"""After which event a stream goes on: its id, or its seq."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stream goes on: after an event of the log, and after an arrival of queued input."""

    seq: int
    arrived: int


@dataclass(frozen=True, slots=True)
class Opening:
    """What a new subscriber starts with."""

    primary_thread_id: str
    head: int
    queued: list[str]
    """Ids of the input that waits."""
    replay: list[Frame]
    far: int | None
    """When there is too much to replay at once: the seq after which to read page by page."""
    input_known: int
    """The arrival of the latest batch."""
    over: bool
    """The session is terminated: nothing will come."""
    at_rest: bool
    """Its turn has ended, and nobody's answer is awaited."""


async def opening(
    database: Database,
    workspace_id: str,
    session_id: str,
    thread_id: str | None,
    late_seconds: float,
    after: Mark | None = None,
) -> Opening:
    """Read where to start, and mark the latest batch as seen by this view.

    Raises NotFound for the session or thread, Invalid for an event that the session does not have.
    """
    view = thread_id or ""
    async with database.pipeline() as tx:
        await tx.ask(LOCK, (session_id, workspace_id))
        row = await tx.fetch_one(ROW, (session_id, workspace_id))
        if row is None:
            raise NotFound(f"There is no session {session_id}.")
        if thread_id is not None:
            await check_thread(tx, session_id, thread_id)
        head = row["head_seq"]
        place = await place_of(tx, session_id, after, head)
        if row["batch_first"] is not None and view not in row["batch_seen"]:
            if place is None and is_recent(row, late_seconds):
                before = head if row["first_seq"] is None else row["first_seq"] - 1
                place = Place(before, row["batch_arrived"] - 1)
            await tx.execute(
                "update sessions set batch_seen = array_append(batch_seen, %s) where id = %s",
                (view, session_id),
            )
        far = place is not None and head - place.seq > REPLAY_MAX
        replay = [] if place is None or far else await since(tx, session_id, place)
    return Opening(
        row["primary_thread_id"],
        head,
        row["queued"],
        replay,
        place.seq if place is not None and far else None,
        row["batch_arrived"] or 0,
        over=row["status"] == "terminated",
        at_rest=is_at_rest(row),
    )


async def place_of(tx: Transaction, session_id: str, after: Mark | None, head: int) -> Place | None:
    """Where to go on; after queued input: at the log's end. Raises Invalid."""
    if after is None:
        return None
    if isinstance(after, int):
        return Place(after, 0)
    row = await tx.fetch_one(PLACE, {"event": after, "session": session_id})
    assert row
    if row["seq"] is not None:
        return Place(row["seq"], 0)
    if row["arrived"] is not None:
        return Place(head, row["arrived"])
    raise Invalid(f"There is no event {after} in session {session_id} to go on after.")


def is_recent(row: Mapping[str, Any], late_seconds: float) -> bool:
    """Whether the batch's turn still runs or ended only just now."""
    if late_seconds <= 0:
        return False
    return row["ended_ago"] is None or bool(row["ended_ago"] < late_seconds)


def is_at_rest(row: Mapping[str, Any]) -> bool:
    """Whether a turn has ended and nobody's answer is awaited."""
    reason = row["stop_reason"]
    return row["status"] == "idle" and reason is not None and reason["type"] != "requires_action"


async def since(tx: Transaction, session_id: str, place: Place) -> list[Frame]:
    """Everything of the log after that place, then what is queued after it."""
    rows = await tx.fetch(SINCE, (session_id, place.seq, REPLAY_MAX))
    queued = await queued_since(tx, session_id, place.arrived)
    return [stored_frame(event) for event in rows] + [
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
