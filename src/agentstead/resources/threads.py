"""Threads of a session: the primary, and later those it delegates to."""

from collections.abc import Mapping
from typing import Any

from agentstead.api.paging import BAD, Cursor, cursor, limit, page
from agentstead.api.query import instant
from agentstead.api.router import Call, Raw, Router
from agentstead.api.sse import Stream
from agentstead.clock import rfc3339
from agentstead.errors import Invalid, NotFound
from agentstead.resources.session_events import STREAM_QUERY, followed, listed
from agentstead.store.table import moment
from agentstead.wire import thread as wire
from agentstead.wire.answers.answer import Page
from agentstead.wire.answers.events import EventPage
from agentstead.wire.answers.session import Thread
from agentstead.wire.session import STATUSES

router = Router("Threads")
LIMIT_MAX = 1000
COLUMNS = """
    id, parent_thread_id, agent, status, usage, stats, workflow_run_id,
    extract(epoch from created_at)::float8 as created_at,
    extract(epoch from updated_at)::float8 as updated_at,
    extract(epoch from archived_at)::float8 as archived_at
"""


@router.get(
    "/v1/sessions/{session_id}/threads", query=("statuses[]", "limit", "page"), answer=Page[Thread]
)
async def list_threads(call: Call, session_id: str) -> Mapping[str, Any]:
    """List the threads of a session, the primary first."""
    session = await call.services.log.retrieve(call.workspace_id, session_id)
    kind = f"threads:{session_id}"
    most = limit(call.query, LIMIT_MAX, LIMIT_MAX)
    at = cursor(call.query, kind, "asc", (str, str))
    where = ["workspace_id = %s", "session_id = %s"]
    params: list[Any] = [call.workspace_id, session_id]
    if at is not None:
        where.append("(created_at, id) > (%s, %s)")
        params.extend(after(at))
    if wanted := call.query.words("statuses", STATUSES):
        # A session's end is every thread's; their rows may still say otherwise.
        where.append("case when %s then 'terminated' else threads.status end = any(%s)")
        params.extend((session.status == "terminated", list(wanted)))
    rows = await call.services.database.fetch(
        f"select {COLUMNS} from threads where {' and '.join(where)}"  # noqa: S608
        " order by threads.created_at, threads.id limit %s",
        (*params, most + 1),
    )
    shown = [wire.answer(row, session, call.now) for row in rows[:most]]
    last = None
    if len(rows) > most:
        row = rows[most - 1]
        last = Cursor(kind, "asc", (rfc3339(row["created_at"]), row["id"]))
    return page(shown, last)


@router.get("/v1/sessions/{session_id}/threads/{thread_id}", answer=Thread)
async def retrieve(call: Call, session_id: str, thread_id: str) -> Mapping[str, Any]:
    """Retrieve a thread."""
    session = await call.services.log.retrieve(call.workspace_id, session_id)
    row = await call.services.database.fetch_one(
        f"select {COLUMNS} from threads where workspace_id = %s and session_id = %s and id = %s",  # noqa: S608
        (call.workspace_id, session_id, thread_id),
    )
    if row is None:
        raise NotFound(f"Session {session_id} has no thread {thread_id}.")
    return wire.answer(row, session, call.now)


@router.post("/v1/sessions/{session_id}/threads/{thread_id}/archive", answer=Thread)
async def archive(call: Call, session_id: str, thread_id: str) -> Mapping[str, Any]:
    """Archive a thread; the primary one ends only with its session."""
    thread = await retrieve(call, session_id, thread_id)
    if thread["parent_thread_id"] is None:
        raise Invalid(
            f"Thread {thread_id} is the primary thread of its session; archive the session instead."
        )
    raise Invalid("Threads for several agents are not available on this server yet.")


@router.get(
    "/v1/sessions/{session_id}/threads/{thread_id}/events",
    query=("limit", "page"),
    answer=EventPage,
)
async def list_events(call: Call, session_id: str, thread_id: str) -> Raw:
    """List the events of a thread, oldest first."""
    await retrieve(call, session_id, thread_id)
    return await listed(call, session_id, thread_id)


@router.get(
    "/v1/sessions/{session_id}/threads/{thread_id}/stream", query=STREAM_QUERY, answer=Stream
)
async def stream(call: Call, session_id: str, thread_id: str) -> Stream:
    """Follow the events of a thread as they come."""
    await retrieve(call, session_id, thread_id)
    return await followed(call, session_id, thread_id)


def after(at: Cursor) -> tuple[Any, str]:
    """The row a cursor points at."""
    try:
        return moment(instant(at.key[0])), at.key[1]
    except ValueError:
        raise Invalid(BAD) from None
