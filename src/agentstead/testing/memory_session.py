"""One session of a `MemoryLog`: its row, its log, its inbox, and what can be asked of them.

Everything that is stored passes through JSON, as it does in a database: what cannot be written
there is refused here too, and nobody can change a stored row through a reference he kept.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from agentstead.log.asks import remaining
from agentstead.log.log import (
    Ask,
    CallFacts,
    Desk,
    Incoming,
    Lease,
    NewSession,
    SessionRecord,
    SessionRow,
    ThreadRow,
)
from agentstead.wire.events.stored import Event, Pending

T = TypeVar("T")

NO_USAGE: Mapping[str, Any] = {
    "input_tokens": 0,
    "output_tokens": 0,
    "cache_read_input_tokens": 0,
    "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
    "server_tool_use": {"web_search_requests": 0, "web_fetch_requests": 0},
    "active_seconds": 0.0,
}
TOOL_USES = ("agent.tool_use", "agent.mcp_tool_use", "agent.custom_tool_use")
REFERENCES = ("tool_use_id", "mcp_tool_use_id", "custom_tool_use_id")


def through_json(value: T) -> T:
    """What comes back of `value` when it has been stored as JSON."""
    stored: T = json.loads(json.dumps(value, allow_nan=False))
    return stored


def answered(payload: Mapping[str, Any]) -> str | None:
    """The id of the tool use that this event answers or confirms."""
    for name in REFERENCES:
        if name in payload:
            return str(payload[name])
    return None


@dataclass(slots=True)
class MemorySession:
    """A session's row, with its log and inbox."""

    new: NewSession
    row: SessionRow
    events: list[Event] = field(default_factory=list)
    inbox: list[Pending] = field(default_factory=list)
    threads: dict[str, ThreadRow] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)
    """Of everything in log and inbox."""
    latest: int = 0
    """Arrival of the newest input ever queued."""
    fence: int = 0
    lease: Lease | None = None
    audit: list[str] = field(default_factory=list)
    started: set[str] = field(default_factory=set)
    """Calls whose start was noted."""

    @staticmethod
    def begin(new: NewSession) -> "MemorySession":
        """A session as it is right after its creation, before its first input is queued."""
        status = "running" if new.incoming else "idle"
        row = SessionRow(
            id=new.id,
            workspace_id=new.workspace_id,
            primary_thread_id=new.primary_thread_id,
            agent_id=new.agent_id,
            agent_version=new.agent_version,
            agent=through_json(new.agent),
            environment_id=new.environment_id,
            environment=through_json(new.environment),
            title=new.title,
            metadata=through_json(new.metadata),
            resources=tuple(through_json(list(new.resources))),
            vault_ids=new.vault_ids,
            status=status,
            stop_reason=None,
            asks=(),
            usage=NO_USAGE,
            stats={},
            active_since=new.created_at if new.incoming else None,
            created_at=new.created_at,
            updated_at=new.created_at,
            archived_at=None,
            terminated_at=None,
            head_seq=0,
            wake_at=None,
            lease_owner=None,
            lease_until=None,
            attempts=0,
            last_event_at=None,
            inbox_count=0,
            budget=through_json(new.budget),
            list_cost=0,
            priority=new.priority,
        )
        session = MemorySession(new, row)
        session.threads[new.primary_thread_id] = ThreadRow(
            new.primary_thread_id, status, None, None
        )
        session.audit.append("create")
        return session

    def update(self, **columns: Any) -> None:
        """Change columns of the row."""
        self.row = replace(self.row, **columns)

    def seen(self) -> SessionRow:
        """The row with everything that is counted rather than stored."""
        return replace(self.row, head_seq=len(self.events), inbox_count=len(self.inbox))

    def queue(self, incoming: Incoming, arrived: int, at: float) -> None:
        """Put client input into the inbox."""
        assert incoming.id not in self.ids, f"{incoming.id} is in the log or inbox already"
        self.ids.add(incoming.id)
        self.latest = arrived
        self.inbox.append(
            Pending(
                incoming.id,
                incoming.type,
                incoming.thread_id,
                through_json(incoming.payload),
                arrived,
                at,
            )
        )

    def write(self, entries: Iterable[Event], taken: Sequence[str] = ()) -> tuple[Event, ...]:
        """Append to the log, and take input out of the inbox: all of it or nothing."""
        missing = set(taken) - {pending.id for pending in self.inbox}
        assert not missing, f"taken in, but not in the inbox: {sorted(missing)}"
        written: list[Event] = []
        ids: set[str] = set()
        for entry in entries:
            assert entry.seq == 0, f"{entry.id}: only the log numbers events"
            known = entry.id in ids or (entry.id in self.ids and entry.id not in taken)
            assert not known, f"{entry.id} is in the log or inbox already"
            ids.add(entry.id)
            written.append(
                replace(
                    entry,
                    seq=len(self.events) + len(written) + 1,
                    payload=through_json(entry.payload),
                    private=through_json(entry.private),
                )
            )
        self.inbox = [pending for pending in self.inbox if pending.id not in taken]
        self.ids.difference_update(taken)
        self.ids.update(ids)
        self.events.extend(written)
        if written:
            self.update(last_event_at=written[-1].at)
        return tuple(written)

    def run_threads(self, incoming: Iterable[Incoming]) -> None:
        """The threads whose input starts work run; input without a thread is for the primary."""
        for thread_id in {each.thread_id or self.row.primary_thread_id for each in incoming}:
            thread = self.threads.get(thread_id)
            if thread is not None and thread.status != "terminated":
                self.threads[thread_id] = replace(thread, status="running")

    def end(self) -> None:
        """The door has terminated it: whoever still holds it must not write after its end."""
        self.fence += 1
        self.lease = None
        self.update(
            lease_owner=None, lease_until=None, wake_at=None, asks=(), stop_reason=None,
            active_since=None,
        )  # fmt: skip
        self.threads = {
            each.id: replace(each, status="terminated") for each in self.threads.values()
        }
        self.ids.difference_update(pending.id for pending in self.inbox)
        self.inbox = []

    def record(self) -> SessionRecord:
        """The session as a worker loads it."""
        return SessionRecord(
            session_id=self.row.id,
            workspace_id=self.row.workspace_id,
            primary_thread_id=self.row.primary_thread_id,
            agent=self.row.agent,
            environment=self.row.environment,
            resources=self.row.resources,
            created_at=self.row.created_at,
            events=tuple(self.events),
            inbox=tuple(self.inbox),
            attempts=self.row.attempts,
            budget=self.row.budget,
            stopped=self.row.stopped_by is not None,
        )

    def settled_calls(self) -> set[str]:
        """Tool uses with an answer or confirmation in log or inbox."""
        payloads = [event.payload for event in self.events]
        payloads += [pending.payload for pending in self.inbox]
        return {call for payload in payloads if (call := answered(payload)) is not None}

    def open_asks(self) -> tuple[Ask, ...]:
        """Asks without an answer in log or inbox."""
        return remaining(self.row.asks, [pending.payload for pending in self.inbox])

    def desk(self, call_ids: Sequence[str]) -> Desk:
        """What the door decides on."""
        waiting = {ask.id: ask.kind for ask in self.open_asks()}
        wanted = set(call_ids)
        calls = {
            event.id: CallFacts(
                event.id,
                event.type,
                event.payload["name"],
                event.payload.get("evaluated_permission"),
                event.thread_id,
                waiting.get(event.id),
            )
            for event in self.events
            if event.id in wanted and event.type in TOOL_USES
        }
        return Desk(
            session_id=self.row.id,
            workspace_id=self.row.workspace_id,
            status=self.row.status,
            stop_reason=self.row.stop_reason,
            archived=self.row.archived_at is not None,
            primary_thread_id=self.row.primary_thread_id,
            threads={each.id: each.status for each in self.threads.values()},
            calls=calls,
            open_asks=self.open_asks(),
            environment=self.row.environment,
            budget=self.row.budget,
            list_cost=self.row.list_cost,
            stopped=self.row.stopped_by is not None,
        )
