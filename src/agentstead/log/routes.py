"""What routes write of a session: its beginning, its changes, its end."""

import json
from collections.abc import Sequence
from typing import Any

from agentstead.clock import rfc3339
from agentstead.log.log import Change, NewSession, SessionRow
from agentstead.log.redact import Redactor
from agentstead.log.rows import text_of
from agentstead.log.sheet import Stored, placed, stored
from agentstead.log.tail import Frame, encoded
from agentstead.store.pool import Transaction
from agentstead.wire.events.stored import Event

JSON_COLUMNS = frozenset({"metadata", "agent", "resources", "budget"})
TIME_COLUMNS = frozenset({"archived_at", "terminated_at"})
PLAIN_COLUMNS = frozenset({"title", "status", "priority"})


async def insert_session(tx: Transaction, new: NewSession, stopped_by: str | None) -> None:
    """The session's row and its primary thread's."""
    at = new.created_at
    await tx.execute(
        "insert into sessions (id, workspace_id, primary_thread_id, agent_id, agent_version, agent,"
        " environment_id, environment, title, metadata, resources, vault_ids, created_at,"
        " updated_at, status, budget, priority, stopped_by, list_cost) values (%s, %s, %s, %s, %s, %s,"
        " %s, %s, %s, %s, %s, %s, to_timestamp(%s), to_timestamp(%s), 'idle', %s::json, %s, %s, 0)",
        (
            new.id,
            new.workspace_id,
            new.primary_thread_id,
            new.agent_id,
            new.agent_version,
            text_of(new.agent),
            new.environment_id,
            text_of(new.environment),
            new.title,
            text_of(new.metadata),
            text_of(list(new.resources)),
            json.dumps(list(new.vault_ids)),
            at,
            at,
            json_text(new.budget),
            new.priority,
            stopped_by,
        ),
    )
    await tx.execute(
        "insert into threads (id, session_id, workspace_id, status, created_at, updated_at)"
        " values (%s, %s, %s, 'idle', to_timestamp(%s), to_timestamp(%s))",
        (new.primary_thread_id, new.id, new.workspace_id, at, at),
    )


async def write_change(
    tx: Transaction, row: SessionRow, change: Change, redactor: Redactor, now: float
) -> list[Stored]:
    """Set the columns and write the events of a locked session; the events with their places."""
    entries: list[Stored] = []
    head, last_at = row.head_seq, row.last_event_at or 0.0
    for event in change.entries:
        head += 1
        entry = placed(stored(event, redactor), head, last_at)
        last_at = max(last_at, entry.event.at)
        entries.append(entry)
    sets, values = columns(change)
    if change.columns.get("status") == "terminated":
        # A worker that still holds the session must not write after its end.
        sets += ["fence = fence + 1", "lease_owner = null", "lease_until = null", "wake_at = null"]
        sets += ["asks = '[]'", "stop_reason = null", "active_since = null"]
        await end_threads(tx, row, now)
    elif change.columns.get("status") == "running":
        sets += ["stop_reason = null", "active_since = coalesce(active_since, to_timestamp(%s))"]
        values.append(now)
    if change.wakes:
        sets.append("wake_at = least(wake_at, clock_timestamp())")
    await tx.execute(
        f"update sessions set {', '.join(sets)}, head_seq = %s,"  # noqa: S608 - column names are ours
        " last_event_at = case when %s > 0 then to_timestamp(%s) else last_event_at end,"
        " updated_at = greatest(updated_at, to_timestamp(%s)) where id = %s",
        (*values, head, last_at, last_at, now, row.id),
    )
    await insert_events(tx, row, entries)
    return entries


def columns(change: Change) -> tuple[list[str], list[Any]]:
    """The assignments of a change."""
    sets, values = ["id = id"], []
    for name, value in change.columns.items():
        if name in JSON_COLUMNS:
            sets.append(f"{name} = %s::json")
            values.append(json_text(value))
        elif name in TIME_COLUMNS:
            sets.append(f"{name} = to_timestamp(%s)")
            values.append(value)
        else:
            assert name in PLAIN_COLUMNS, f"routes do not change {name}"
            sets.append(f"{name} = %s")
            values.append(value)
    return sets, values


def json_text(value: Any) -> str | None:
    """JSON text; nothing for nothing."""
    return None if value is None else text_of(value)


async def end_threads(tx: Transaction, row: SessionRow, now: float) -> None:
    """The threads end with their session."""
    await tx.execute(
        "update threads set status = 'terminated', updated_at = to_timestamp(%s)"
        " where session_id = %s",
        (now, row.id),
    )
    await tx.execute("delete from inbox where session_id = %s", (row.id,))


async def insert_events(tx: Transaction, row: SessionRow, entries: Sequence[Stored]) -> None:
    """Write them; fence 0 tells that a route did."""
    for entry in entries:
        event = entry.event
        await tx.execute(
            "insert into events (session_id, seq, id, workspace_id, thread_id, type, primary_view,"
            " at, fence, payload, private) values (%s, %s, %s, %s, %s, %s, %s, to_timestamp(%s), 0,"
            " %s, %s)",
            (
                row.id,
                event.seq,
                event.id,
                row.workspace_id,
                event.thread_id,
                event.type,
                event.primary,
                event.at,
                entry.text,
                None if event.private is None else text_of(event.private),
            ),
        )


async def erase(tx: Transaction, session_id: str) -> None:
    """Everything of a session."""
    for table in ("events", "inbox", "threads", "call_starts"):
        await tx.execute(f"delete from {table} where session_id = %s", (session_id,))  # noqa: S608
    await tx.execute("delete from sessions where id = %s", (session_id,))


def farewell(event_id: str, thread_id: str, now: float) -> tuple[Event, Frame, str]:
    """`session.deleted`: the last frame of open streams, kept nowhere."""
    payload = {"type": "session.deleted", "id": event_id, "processed_at": rfc3339(now)}
    text = text_of(payload)
    event = Event(event_id, "session.deleted", thread_id, payload, now)
    return event, Frame(0, event_id, thread_id, True, event.type, encoded(event.type, text)), text
