"""Client input on its way into the log: the desk, what is queued, and what it wakes."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import DictRow

from agentstead.errors import NotFound
from agentstead.log.log import CallFacts, Desk, Incoming
from agentstead.log.rows import asks_of, text_of
from agentstead.log.tail import QUEUED_TYPES, Frame, encoded
from agentstead.store.pool import Transaction

CALLS = ("agent.tool_use", "agent.mcp_tool_use", "agent.custom_tool_use")
BATCH_TYPES = frozenset({
    "user.message", "user.define_outcome", "user.tool_confirmation", "user.custom_tool_result",
    "user.tool_result",
})  # fmt: skip
"""Input whose turn a stream opened later still gets (an interrupt alone is no work)."""

LOCK = """
    select id, workspace_id, primary_thread_id, status, stop_reason, asks, environment,
           archived_at is not null as archived, head_seq
    from sessions where id = %s and workspace_id = %s for no key update
"""
ANSWERED = """
    select coalesce(payload->>'tool_use_id', payload->>'custom_tool_use_id') as id
    from inbox where session_id = %s
      and type in ('user.tool_confirmation', 'user.custom_tool_result', 'user.tool_result')
"""
QUEUE = """
    insert into inbox (session_id, id, workspace_id, thread_id, type, at, payload, private)
    select %s, r.id, %s, r.thread_id, r.type, to_timestamp(%s), r.payload::json, r.private::json
    from unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[])
      with ordinality as r(id, thread_id, type, payload, private, place)
    order by r.place returning id, arrived
"""
WAKE = """
    update sessions set
        wake_at = least(wake_at, clock_timestamp()),
        updated_at = greatest(updated_at, to_timestamp(%(at)s)),
        status = case when %(starts)s then 'running' else status end,
        stop_reason = case when %(starts)s then null else stop_reason end,
        active_since = case when %(starts)s then coalesce(active_since, to_timestamp(%(at)s))
            else active_since end,
        batch_first = coalesce(%(first)s, batch_first),
        batch_arrived = coalesce(%(arrived)s, batch_arrived),
        batch_seen = case when %(first)s::text is null then batch_seen else %(views)s end,
        batch_ended_seq = case when %(first)s::text is null then batch_ended_seq end,
        batch_ended_at = case when %(first)s::text is null then batch_ended_at end
    where id = %(id)s
"""


async def desk(
    tx: Transaction, workspace_id: str, session_id: str, call_ids: Sequence[str]
) -> Desk:
    """Lock the session and gather what a decision needs. Raises NotFound."""
    row = await tx.fetch_one(LOCK, (session_id, workspace_id))
    if row is None:
        raise NotFound(f"There is no session {session_id}.")
    threads = await tx.fetch("select id, status from threads where session_id = %s", (session_id,))
    answered = {entry["id"] for entry in await tx.fetch(ANSWERED, (session_id,))}
    asks = tuple(ask for ask in asks_of(row["asks"]) if ask.id not in answered)
    waiting = {ask.id for ask in asks}
    calls: dict[str, CallFacts] = {}
    if call_ids:
        found = await tx.fetch(
            "select id, type, thread_id, payload->>'evaluated_permission' as permission"
            " from events where id = any(%s) and session_id = %s and type = any(%s)",
            (list(call_ids), session_id, list(CALLS)),
        )
        calls = {
            entry["id"]: CallFacts(
                entry["id"],
                entry["type"],
                entry["permission"],
                entry["thread_id"],
                entry["id"] in waiting,
            )
            for entry in found
        }
    return Desk(
        session_id=session_id,
        workspace_id=workspace_id,
        status=row["status"],
        stop_reason=row["stop_reason"],
        archived=row["archived"],
        primary_thread_id=row["primary_thread_id"],
        threads={entry["id"]: entry["status"] for entry in threads},
        calls=calls,
        open_asks=asks,
        environment=row["environment"],
    )


async def queue(
    tx: Transaction, workspace_id: str, session_id: str, incoming: Sequence[Incoming], at: float
) -> dict[str, int]:
    """Put input in; id → order of arrival."""
    if not incoming:
        return {}
    rows = await tx.fetch(
        QUEUE,
        (
            session_id,
            workspace_id,
            at,
            [entry.id for entry in incoming],
            [entry.thread_id for entry in incoming],
            [entry.type for entry in incoming],
            [text_of(entry.payload) for entry in incoming],
            [None if entry.private is None else json.dumps(entry.private) for entry in incoming],
        ),
    )
    return {row["id"]: row["arrived"] for row in rows}


async def wake(
    tx: Transaction,
    session_id: str,
    incoming: Sequence[Incoming],
    arrived: Mapping[str, int],
    *,
    starts: bool,
    views: Sequence[str],
    at: float,
) -> None:
    """The session wants a worker now; remember the batch for streams that open later."""
    first = next((entry.id for entry in incoming if entry.type in BATCH_TYPES), None)
    await tx.execute(
        WAKE,
        {
            "id": session_id,
            "at": at,
            "starts": starts,
            "first": first,
            "arrived": arrived.get(first) if first else None,
            "views": list(views),
        },
    )


def queued_frames(incoming: Iterable[Incoming]) -> list[Frame]:
    """What streams show of input before it is taken in."""
    return [
        queued_frame(entry.id, entry.type, entry.thread_id, text_of(entry.payload))
        for entry in incoming
        if entry.type in QUEUED_TYPES
    ]


def queued_frame(event_id: str, kind: str, thread_id: str | None, text: str) -> Frame:
    """One frame of queued input."""
    return Frame(0, event_id, thread_id, True, kind, encoded(kind, text))


async def queued_since(
    connection: AsyncConnection[DictRow], session_id: str, arrived: int
) -> list[dict[str, Any]]:
    """Queued input with a later arrival, payloads as text."""
    cursor = await connection.execute(
        b"select arrived, id, type, thread_id, payload::text as text from inbox"
        b" where session_id = %s and arrived > %s and type = any(%s) order by arrived",
        (session_id, arrived, list(QUEUED_TYPES)),
    )
    return await cursor.fetchall()
