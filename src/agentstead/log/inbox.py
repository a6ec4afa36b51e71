"""Client input on its way into the log: the desk, what is queued, and what it wakes."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from agentstead.errors import NotFound
from agentstead.log.asks import ANSWERS, remaining
from agentstead.log.log import CallFacts, Desk, Incoming
from agentstead.log.redact import Redactor
from agentstead.log.rows import asks_of, text_of, whole
from agentstead.log.tail import QUEUED_TYPES, Frame, encoded
from agentstead.store.pool import Database, Transaction

BATCH_TYPES = frozenset({
    "user.message", "user.define_outcome", "user.tool_confirmation", "user.custom_tool_result",
    "user.tool_result",
})  # fmt: skip
"""Input whose turn a stream opened later still gets (an interrupt alone is no work)."""

LOCK = """
    select id, workspace_id, primary_thread_id, status, stop_reason, asks, environment,
           archived_at is not null as archived, head_seq, budget, list_cost,
           (select count(*) from inbox where inbox.session_id = sessions.id) as queued,
           stopped_by is not null as stopped,
           exists (select from budget_waits w where w.session_id = sessions.id and w.final
                   and (w.until is null or w.until > clock_timestamp())) as short
    from sessions where id = %s and workspace_id = %s for no key update
"""
THREADS = "select id, status from threads where session_id = %s"
# Whole payloads, because PostgreSQL refuses to take a field out of one with NUL or lone surrogates.
QUEUED_ANSWERS = """
    select payload from inbox where session_id = %s and type = any(%s) order by arrived
"""
CALLS = """
    select id, type, thread_id, payload from events
    where id = any(%s) and session_id = %s
      and type in ('agent.tool_use', 'agent.mcp_tool_use', 'agent.custom_tool_use')
"""
QUEUE = """
    insert into inbox (session_id, id, workspace_id, thread_id, type, at, payload, private)
    select %s, r.id, %s, r.thread_id, r.type, to_timestamp(%s), r.payload::json, r.private::json
    from unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[])
      with ordinality as r(id, thread_id, type, payload, private, place)
    order by r.place
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
        batch_arrived = coalesce((select arrived from inbox where id = %(first)s), batch_arrived),
        batch_seen = case when %(first)s::text is null then batch_seen else %(views)s end,
        batch_ended_seq = case when %(first)s::text is null then batch_ended_seq end,
        batch_ended_at = case when %(first)s::text is null then batch_ended_at end
    where id = %(id)s
"""
RUNNING = """
    update threads set status = 'running', updated_at = greatest(updated_at, to_timestamp(%s))
    where session_id = %s and status <> 'terminated'
      and (id = any(%s::text[]) or (%s and parent_thread_id is null))
"""
"""The threads whose input starts work; input without a thread is for the primary."""
LATEST = "select coalesce(max(arrived), 0) as arrived from inbox where id = any(%s)"


async def desk(
    tx: Transaction, workspace_id: str, session_id: str, call_ids: Sequence[str]
) -> Desk:
    """Lock the session and gather what a decision needs. Raises NotFound."""
    locked = await tx.ask(LOCK, (session_id, workspace_id))
    threads = await tx.ask(THREADS, (session_id,))
    answers = await tx.ask(QUEUED_ANSWERS, (session_id, list(ANSWERS)))
    found = await tx.ask(CALLS, (list(call_ids), session_id)) if call_ids else None
    row = await locked.fetchone()
    if row is None:
        raise NotFound(f"There is no session {session_id}.")
    queued = [entry["payload"] for entry in await answers.fetchall()]
    asks = remaining(asks_of(row["asks"]), queued)
    waiting = {ask.id: ask.kind for ask in asks}
    calls = {
        entry["id"]: CallFacts(
            entry["id"],
            entry["type"],
            entry["payload"]["name"],
            entry["payload"].get("evaluated_permission"),
            entry["thread_id"],
            waiting.get(entry["id"]),
        )
        for entry in (await found.fetchall() if found else ())
    }
    return Desk(
        session_id=session_id,
        workspace_id=workspace_id,
        status=row["status"],
        stop_reason=row["stop_reason"],
        archived=row["archived"],
        primary_thread_id=row["primary_thread_id"],
        threads={entry["id"]: entry["status"] for entry in await threads.fetchall()},
        calls=calls,
        open_asks=asks,
        environment=row["environment"],
        budget=row["budget"],
        list_cost=whole(row["list_cost"]),
        queued=row["queued"],
        stopped=row["stopped"],
        short=row["short"],
    )


def clean(incoming: Iterable[Incoming], redactor: Redactor) -> tuple[Incoming, ...]:
    """Input without the platform's own secrets, before it is queued or shown."""
    return tuple(
        entry
        if (payload := redactor.without_values(entry.payload)) is entry.payload
        else replace(entry, payload=payload)
        for entry in incoming
    )


async def queue(
    tx: Transaction, workspace_id: str, session_id: str, incoming: Sequence[Incoming], at: float
) -> None:
    """Put input in, in this order."""
    if not incoming:
        return
    await tx.execute(
        QUEUE,
        (
            session_id,
            workspace_id,
            at,
            [entry.id for entry in incoming],
            [entry.thread_id for entry in incoming],
            [entry.type for entry in incoming],
            [text_of(entry.payload) for entry in incoming],
            [None if entry.private is None else text_of(entry.private) for entry in incoming],
        ),
    )


async def wake(
    tx: Transaction,
    session_id: str,
    incoming: Sequence[Incoming],
    *,
    starts: bool,
    views: Sequence[str],
    at: float,
) -> int:
    """The session wants a worker now; remember the batch for streams that open later.

    The arrival of the latest of this input, 0 when there is none.
    """
    first = next((entry.id for entry in incoming if entry.type in BATCH_TYPES), None)
    await tx.execute(
        WAKE,
        {"id": session_id, "at": at, "starts": starts, "first": first, "views": list(views)},
    )
    if starts:
        threads = [entry.thread_id for entry in incoming if entry.thread_id is not None]
        primary = len(threads) < len(incoming)
        await tx.execute(RUNNING, (at, session_id, threads, primary))
    latest = await tx.fetch_one(LATEST, ([entry.id for entry in incoming],))
    assert latest
    return int(latest["arrived"])


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
    source: Database | Transaction, session_id: str, arrived: int
) -> list[dict[str, Any]]:
    """Queued input with a later arrival that streams show, payloads as text."""
    return await source.fetch(
        "select arrived, id, type, thread_id, payload::text as text from inbox"
        " where session_id = %s and arrived > %s and type = any(%s) order by arrived",
        (session_id, arrived, list(QUEUED_TYPES)),
    )


async def seen_since(
    database: Database, session_id: str, arrived: int, views: Sequence[str]
) -> list[dict[str, Any]]:
    """The same, and in one go: these views have seen the latest batch."""
    if not views:
        return await queued_since(database, session_id, arrived)
    return await database.fetch(
        "with seen as (update sessions set batch_seen = batch_seen || %s::text[]"
        " where id = %s and batch_first is not null and not batch_seen @> %s::text[])"
        " select arrived, id, type, thread_id, payload::text as text from inbox"
        " where session_id = %s and arrived > %s and type = any(%s) order by arrived",
        (list(views), session_id, list(views), session_id, arrived, list(QUEUED_TYPES)),
    )
