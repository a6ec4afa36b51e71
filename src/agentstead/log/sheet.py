"""A session row while an append's transaction holds it: what it was, and what will be written."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agentstead.clock import rfc3339
from agentstead.ids import AUDIT, Ids
from agentstead.log.log import Derived, Lease, Park, ThreadRow
from agentstead.log.redact import Redactor
from agentstead.log.rows import asks_text, pending_of, text_of
from agentstead.wire.events.stored import Event, Pending

ENDS = frozenset({"session.status_idle", "session.status_terminated"})
"""Events that end a session's turn."""
JUDGED = frozenset({"agent.tool_use", "agent.mcp_tool_use"})
"""Events that carry a decision on whether a call may run."""
SAME_MOMENT_SECONDS = 0.000002
"""The database keeps microseconds."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An event with the texts that will lie in its row."""

    event: Event
    text: str
    private: str | None


def stored(event: Event, redactor: Redactor) -> Stored:
    """Redact and encode."""
    text = text_of(event.payload)
    clean = redactor.clean(event.type, text)
    if clean is not text:
        event = replace(event, payload=json.loads(clean))
    if event.private is None:
        return Stored(event, clean, None)
    hidden = text_of(event.private)
    masked = redactor.clean("", hidden)
    if masked is not hidden:
        event = replace(event, private=json.loads(masked))
    return Stored(event, clean, masked)


@dataclass(frozen=True, slots=True)
class Columns:
    """Derived columns, encoded where they are handed in: what cannot be written fails only its own."""

    derived: Derived
    stop_reason: str | None
    asks: str
    usage: str
    stats: str
    threads: Mapping[str, tuple[str | None, str | None]]
    """Thread id → usage and stats."""


def encoded_columns(derived: Derived) -> Columns:
    """Encode. Raises TypeError or ValueError for what is no JSON."""
    return Columns(
        derived,
        optional_text(derived.stop_reason),
        asks_text(derived.asks),
        json.dumps(derived.usage),
        json.dumps(derived.stats),
        {
            thread.id: (optional_text(thread.usage), optional_text(thread.stats))
            for thread in derived.threads
        },
    )


def optional_text(value: Mapping[str, Any] | None) -> str | None:
    """JSON or null."""
    return None if value is None else json.dumps(value)


def placed(entry: Stored, seq: int, at: float) -> Stored:
    """With its place in the log; `at` never runs backwards within a session."""
    event, text = entry.event, entry.text
    payload: Mapping[str, Any] = event.payload
    if event.at < at - SAME_MOMENT_SECONDS:
        payload = dict(payload)
        if payload.get("processed_at"):
            payload["processed_at"] = rfc3339(at)
        text = text_of(payload)
    else:
        at = event.at
    return Stored(
        Event(
            event.id, event.type, event.thread_id, payload, at, seq, event.private, event.primary
        ),
        text,
        entry.private,
    )  # `dataclasses.replace` takes four times as long


class Sheet:
    """One session within one transaction; several appends may write on it, one after the other."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        self.id: str = row["id"]
        self.workspace_id: str = row["workspace_id"]
        self.agent_id: str = row["agent_id"]
        self.budgeted: bool = row["budgeted"]
        """There are budgets above it."""
        self.primary_thread_id: str = row["primary_thread_id"]
        self.fence: int = row["fence"]
        self.owner: str | None = row["lease_owner"]
        self.actor = self.owner or "system"
        self.head: int = row["head_seq"]
        self.stopped: bool = row["stopped"]
        self.last_at: float | None = row["last_event_at"]
        self.at = self.last_at or 0.0
        self.pending: dict[str, Pending] = {}
        self.events: list[Event] = []
        """Those read and those written, in order."""
        self.written: list[Stored] = []
        self.taken: list[str] = []
        self.arrivals: dict[str, int] = {}
        """When what is taken in had arrived, by its id."""
        self.status: str = row["status"]
        """As it was before this transaction."""
        self.columns: Columns | None = None
        self.parked = False
        self.wake_in: float | None = None
        self.ended_seq: int | None = None

    def add_pending(self, row: Mapping[str, Any]) -> None:
        """Input that waits."""
        self.pending[row["id"]] = pending_of(row)

    def holds(self, lease: Lease) -> bool:
        """Whether the lease is the latest and was not given back."""
        return self.fence == lease.fence and self.owner == lease.owner

    def since(self, seen: int) -> tuple[Event, ...]:
        """Events after `seen`."""
        return tuple(event for event in self.events if event.seq > seen)

    def write(
        self,
        entries: Sequence[Stored],
        take: Sequence[str],
        columns: Columns,
        park: Park | None,
        now: float,
    ) -> None:
        """Put an append on the sheet."""
        for taken in take:
            self.arrivals[taken] = self.pending.pop(taken).arrived
        for entry in entries:
            self.put(entry)
        self.taken.extend(take)
        self.columns = columns
        self.at = max(self.at, now) if not entries else self.at
        if park:
            self.parked, self.owner = True, None
            self.wake_in = None if park.wake_at is None else park.wake_at - now

    def put(self, entry: Stored) -> None:
        """Give an event its place."""
        self.head += 1
        entry = placed(entry, self.head, self.last_at or 0.0)
        self.last_at = self.at = max(entry.event.at, self.last_at or 0.0)
        self.written.append(entry)
        self.events.append(entry.event)
        if entry.event.type in ENDS:
            self.ended_seq = entry.event.seq

    def record(self, views: Sequence[str]) -> tuple[Any, ...]:
        """The columns to set, in the order of the statement; `views` are streamed by this process."""
        columns = self.columns
        assert columns
        derived = columns.derived
        resting = derived.status in ("idle", "terminated")
        return (
            self.id,
            self.head,
            self.last_at,
            self.at,
            derived.status,
            columns.stop_reason,
            columns.asks,
            columns.usage,
            columns.stats,
            derived.active_since,
            self.parked,
            self.wake_in,
            self.ended_seq if resting else None,
            json.dumps(views) if resting and self.ended_seq is not None and views else None,
            None if derived.list_cost is None else str(derived.list_cost),
        )


def event_record(sheet: Sheet, entry: Stored) -> tuple[Any, ...]:
    """The columns of an event, in the order of the statement."""
    event = entry.event
    return (
        sheet.id,
        event.seq,
        event.id,
        sheet.workspace_id,
        event.thread_id,
        event.type,
        event.primary,
        event.at,
        sheet.fence,
        sheet.arrivals.get(event.id),
        entry.text,
        entry.private,
    )


def decision_record(ids: Ids, sheet: Sheet, event: Event) -> tuple[Any, ...]:
    """The audit row of a decision on a tool call, in the order of the statement."""
    evaluation = event.payload.get("evaluation") or {}
    detail = {"session_id": sheet.id, "tool": event.payload.get("name")}
    if "mcp_server_name" in event.payload:
        detail["mcp_server_name"] = event.payload["mcp_server_name"]
    if judge := (event.private or {}).get("judge"):
        detail["judge"] = judge
    return (
        ids.new(AUDIT),
        sheet.workspace_id,
        event.at,
        sheet.actor,
        event.id,
        event.payload.get("evaluated_permission"),
        evaluation.get("type", "not_enabled"),
        text_of(detail),
    )


def arrays(records: Sequence[tuple[Any, ...]]) -> list[str]:
    """Rows to columns, each as the text of an array: the driver takes three times as long for it."""
    return [
        "{" + ",".join([element(value) for value in column]) + "}"
        for column in zip(*records, strict=True)
    ]


def element(value: str | float | None) -> str:
    """A value within the text of an array."""
    if value is None:
        return "NULL"
    if not isinstance(value, str):
        return str(value)
    if "\\" in value or '"' in value:
        value = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{value}"'


class Threads:
    """Which thread rows were written last, so that unchanged ones are not written again."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[int, str, tuple[ThreadRow, ...]]] = {}

    def changed(self, sheet: Sheet) -> list[tuple[Any, ...]]:
        """The columns of thread rows that differ from those this claim wrote before.

        When the door has set the session's status since, it has set threads' as well.
        """
        assert sheet.columns
        texts = sheet.columns.threads
        fence, status, known = self.kept.get(sheet.id, (0, "", ()))
        same = known if (fence, status) == (sheet.fence, sheet.status) else ()
        return [
            (
                thread.id,
                sheet.id,
                sheet.workspace_id,
                None if thread.id == sheet.primary_thread_id else sheet.primary_thread_id,
                thread.status,
                *texts[thread.id],
                sheet.at,
            )
            for thread in sheet.columns.derived.threads
            if thread not in same
        ]

    def keep(self, sheet: Sheet) -> None:
        """Remember after the commit."""
        assert sheet.columns
        derived = sheet.columns.derived
        if sheet.parked:
            self.kept.pop(sheet.id, None)
        else:
            self.kept[sheet.id] = (sheet.fence, derived.status, derived.threads)

    def forget(self, session_id: str) -> None:
        """Others drive it now."""
        self.kept.pop(session_id, None)
