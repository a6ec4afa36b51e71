"""The contract of the log, kept by the PostgreSQL form and by `testing.MemoryLog` alike.

Promises: `seq` is gapless per session from 1, assigned under the session row's lock; an append is
all or nothing; an append of a worker carries the fence of its claim and raises `LeaseLost` when a
newer claim exists; a queued client event keeps its id when it is taken in; nothing in the log is
ever changed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from agentstead.log.work_bell import Queued, WorkBell
from agentstead.store.pool import Transaction
from agentstead.wire.events.stored import Event, Pending


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on one session. A newer claim has a higher fence."""

    session_id: str
    workspace_id: str
    fence: int
    owner: str


@dataclass(frozen=True, slots=True)
class Ask:
    """A tool call that waits for the client."""

    id: str
    """The tool-use event's id."""
    kind: str
    """What is awaited: a `confirmation` (of an `ask` permission), or the result of a `custom` tool
    or of a `tool` that a self-hosted worker runs."""
    thread_id: str
    result_follows: bool = False
    """Once it is confirmed, its result is awaited: a self-hosted worker runs it."""


@dataclass(frozen=True, slots=True)
class ThreadRow:
    """What `threads` repeats of a thread's log."""

    id: str
    status: str
    usage: Mapping[str, Any] | None
    stats: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Derived:
    """Columns that repeat the log; written in the transaction of the events that cause them."""

    status: str
    """idle | running | rescheduling | terminated"""
    stop_reason: Mapping[str, Any] | None
    """Of the last idle; None while running."""
    asks: tuple[Ask, ...]
    usage: Mapping[str, Any]
    """Session usage as on the wire (wire §12)."""
    stats: Mapping[str, Any]
    """At least `active_seconds`: float up to `active_since`."""
    active_since: float | None
    """Since when at least one thread runs; None when none does."""
    threads: tuple[ThreadRow, ...]
    list_cost: int | None = None
    """What was used, in picodollars; None: some of it has no price."""


@dataclass(frozen=True, slots=True)
class Park:
    """Give the lease back in the same transaction, unless the planner does not know everything.

    `known`: ids of pending input the planner has seen and cannot take in yet. When the inbox holds
    anything else, or somebody else has written an event after `seen` (a raised budget must not be
    slept over), nothing is written at all and the append answers `refused=True`.
    """

    wake_at: float | None
    """When the session next wants a worker; None: when input arrives."""
    known: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Appended:
    """What an append found and did."""

    events: tuple[Event, ...]
    """Every event after `seen`, in order: others' (e.g. `session.updated`) and one's own, with seq."""
    inbox: tuple[Pending, ...]
    """All input still pending, in order of arrival."""
    refused: bool = False
    """Nothing was written (events and inbox are current): a park met unknown input or events, or the
    planner took the session for stopped when it was not, or the other way round."""
    stopped: bool = False
    """Whether a stop holds for the session."""
    budgeted: bool = False
    """There are budgets above the session: what it asks of models is to be reserved."""


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A session as a worker loads it: settings, whole log (since the last snapshot), inbox."""

    session_id: str
    workspace_id: str
    primary_thread_id: str
    agent: Mapping[str, Any]
    """SessionAgent snapshot as on the wire."""
    environment: Mapping[str, Any]
    """The environment object as on the wire, at the session's creation."""
    resources: tuple[Mapping[str, Any], ...]
    created_at: float
    events: tuple[Event, ...]
    inbox: tuple[Pending, ...]
    attempts: int
    """Claims in a row that ended without an append; above 3 the session stops with a reason."""
    budget: Mapping[str, Any] | None = None
    """As on the wire; that of now, whatever it was before."""
    vault_ids: tuple[str, ...] = ()
    stopped: bool = False
    budgeted: bool = False
    """As in `Appended`."""


class Log(Protocol):
    """What a worker does with the log."""

    async def claim(self, owner: str, limit: int) -> list[Lease]:
        """Claim up to `limit` due sessions (`wake_at` reached, lease free), fair per workspace."""
        ...

    async def heartbeat(self, leases: Sequence[Lease]) -> dict[str, bool]:
        """Renew; session id → whether it has input pending. A session missing from it is lost."""
        ...

    async def release(self, leases: Sequence[Lease]) -> None:
        """Hand sessions back at once, due now (graceful stop). Stale leases are ignored."""
        ...

    async def load(self, lease: Lease) -> SessionRecord:
        """Read a claimed session. Raises LeaseLost when the fence is stale."""
        ...

    async def append(
        self,
        lease: Lease,
        entries: Sequence[Event],
        *,
        seen: int,
        take: Sequence[str] = (),
        derived: Derived,
        park: Park | None = None,
        stopped: bool = False,
    ) -> Appended:
        """Write `entries` (ids and times set, seq 0), remove `take` from the inbox, set `derived`.

        `stopped`: what the planner believed; when it is not so, nothing is written (`refused`).

        `entries` holds the taken input too, at its place in the order and under its own id. An id
        of `take` that is not in the inbox any more makes the append fail: AssertionError.
        Raises LeaseLost on a stale fence.
        """
        ...

    async def start_call(self, lease: Lease, call_id: str) -> bool:
        """Note that a call is about to go out, durably; False when it was noted before, by anybody.

        For calls that nobody else remembers: a call whose start is noted and whose result is not in
        the log may have happened, and must not be made again. Raises LeaseLost on a stale fence.
        """
        ...

    async def pending(self, session_id: str) -> tuple[Pending, ...]:
        """All input pending, in order of arrival."""
        ...

    async def due(self, timeout_seconds: float) -> None:
        """Return when a session may be due (a notice came), or after the time-out."""
        ...

    async def news(self, session_id: str, after: int) -> int:
        """Return when input with `arrived` > after may be pending, and the arrival heard of.

        Level-triggered per process: pass the answer as the next `after`, or it returns at once.
        """
        ...


@dataclass(frozen=True, slots=True)
class CallFacts:
    """What the log knows of a tool-use event."""

    id: str
    type: str
    """agent.tool_use | agent.mcp_tool_use | agent.custom_tool_use"""
    name: str
    permission: str | None
    """evaluated_permission"""
    thread_id: str
    awaits: str | None
    """What it still waits for (as `Ask.kind`), answers in log and inbox counted; None: nothing."""

    @property
    def open(self) -> bool:
        """It still waits for the client."""
        return self.awaits is not None


@dataclass(frozen=True, slots=True)
class Desk:
    """The locked facts on which the door decides whether input is legal now."""

    session_id: str
    workspace_id: str
    status: str
    stop_reason: Mapping[str, Any] | None
    archived: bool
    primary_thread_id: str
    threads: Mapping[str, str]
    """thread id → status"""
    calls: Mapping[str, CallFacts]
    """Those asked for with `call_ids`, where they exist in this session."""
    open_asks: tuple[Ask, ...]
    """Asks without an answer in log or inbox."""
    environment: Mapping[str, Any]
    budget: Mapping[str, Any] | None = None
    list_cost: int | None = None
    """As in `Derived`."""
    queued: int = 0
    """Events in its inbox."""
    stopped: bool = False
    short: bool = False
    """A budget above it has no room for its next model request."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """Input to be queued, complete with id and payload as it will be echoed."""

    id: str
    type: str
    thread_id: str | None
    payload: Mapping[str, Any]
    private: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What the door decided to queue."""

    queue: tuple[Incoming, ...]
    starts_work: bool
    """The session becomes `running` in the same transaction."""
    echoes: tuple[Mapping[str, Any], ...] = field(default=())
    """The payloads to answer with, in request order (queued ones and no-ops)."""


Decide = Callable[[Desk], Decision]
"""Pure; may raise a Refusal, then nothing is written."""


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session to be created, with its primary thread and first input, in one transaction."""

    id: str
    workspace_id: str
    primary_thread_id: str
    agent_id: str
    agent_version: int
    agent: Mapping[str, Any]
    environment_id: str
    environment: Mapping[str, Any]
    title: str | None
    metadata: Mapping[str, str]
    resources: tuple[Mapping[str, Any], ...]
    vault_ids: tuple[str, ...]
    created_at: float
    incoming: tuple[Incoming, ...]
    """`initial_events`; when there are any the session is `running` from the start."""
    budget: Mapping[str, Any] | None = None
    priority: int = 0
    """Before others of its workspace; a point is worth `claims.PRIORITY_SECONDS` of waiting."""


@dataclass(frozen=True, slots=True)
class SessionRow:
    """The stored session as the door and the resources see it."""

    id: str
    workspace_id: str
    primary_thread_id: str
    agent_id: str
    agent_version: int
    agent: Mapping[str, Any]
    environment_id: str
    environment: Mapping[str, Any]
    title: str | None
    metadata: Mapping[str, str]
    resources: tuple[Mapping[str, Any], ...]
    vault_ids: tuple[str, ...]
    status: str
    stop_reason: Mapping[str, Any] | None
    asks: tuple[Ask, ...]
    usage: Mapping[str, Any]
    stats: Mapping[str, Any]
    active_since: float | None
    created_at: float
    updated_at: float
    archived_at: float | None
    terminated_at: float | None
    # for /why
    head_seq: int
    wake_at: float | None
    lease_owner: str | None
    lease_until: float | None
    attempts: int
    last_event_at: float | None
    inbox_count: int
    budget: Mapping[str, Any] | None = None
    list_cost: int | None = None
    """As in `Derived`."""
    priority: int = 0
    stopped_by: str | None = None
    """The stop that holds for it."""


@dataclass(frozen=True, slots=True)
class Stop:
    """The operator's word that sessions do nothing (`log/stop.py`)."""

    id: str
    workspace_id: str
    reason: str
    created_at: float
    created_by: str
    agent_id: str | None = None
    session_id: str | None = None
    metadata: Mapping[str, str] | None = None
    """Of these three at most one; without any it holds for the whole workspace."""
    lifted_at: float | None = None
    lifted_by: str | None = None
    sessions: int = 0
    """How many it found."""
    interrupted: int = 0
    """How many of them worked."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a route changes of a session: columns to set and events to write, in one transaction."""

    columns: Mapping[str, Any]
    """Of: title, metadata, agent, resources, budget, priority, status, archived_at, terminated_at.

    `running` begins the running time. Empty: nothing.
    """
    entries: tuple[Event, ...] = ()
    """seq 0; written after the log's end."""
    wakes: bool = False
    """The session wants a worker now."""


@dataclass(frozen=True, slots=True)
class EventPage:
    """A page of events as their stored bytes, ready to be spliced into a response."""

    rows: tuple[bytes, ...]
    """Public payloads as JSON in UTF-8."""
    last: tuple[int, int, int] | None
    """Where the next page begins (`pages.Place`): how far log and queue were shown."""
    more: bool


class Follower(Protocol):
    """One subscriber of one session or thread; registered when handed out."""

    async def next(self, timeout_seconds: float) -> bytes | None:
        """The next SSE frame (`id: …\\nevent: …\\ndata: …\\n\\n`), None on time-out.

        Queued input and previews have no `id`. Raises StopAsyncIteration when the stream is over
        (after `session.status_terminated` or `session.deleted`, when the subscriber was too slow
        and must resume or list again, or when the session has rested for too long).
        """
        ...

    async def close(self) -> None:
        """Unsubscribe."""
        ...


class SessionLog(Log, Protocol):
    """What the door does with the log, beyond what workers do."""

    async def create(self, new: NewSession) -> str | None:
        """Insert session, primary thread and inbox rows; wake when there is input; audit row.

        The id of the stop that holds for it: then it starts nothing.
        """
        ...

    async def accept(
        self, workspace_id: str, session_id: str, call_ids: Sequence[str], decide: Decide
    ) -> Decision:
        """Lock the session, let `decide` look at the desk, queue what it says, wake, publish.

        When the work starts, status is `running` in the same transaction; in a stopped session none
        does. Raises NotFound.
        """
        ...

    async def change(
        self, workspace_id: str, session_id: str, decide: Callable[[SessionRow], Change]
    ) -> SessionRow:
        """Lock the session, let `decide` look at it, write what it says; NotFound."""
        ...

    async def delete(
        self, workspace_id: str, session_id: str, check: Callable[[SessionRow], None]
    ) -> None:
        """Delete the session and everything of it; open streams get `session.deleted` and end."""
        ...

    async def stop(self, stop: Stop) -> Stop:
        """From now on no session that matches begins anything; those that work are interrupted."""
        ...

    async def lift(self, workspace_id: str, stop_id: str, by: str) -> Stop:
        """End a stop; input that waited is taken in. Once: later calls change nothing; NotFound."""
        ...

    async def retrieve(self, workspace_id: str, session_id: str) -> SessionRow:
        """One session. Raises NotFound."""
        ...

    async def page(
        self,
        workspace_id: str,
        session_id: str,
        *,
        thread_id: str | None = None,
        types: Sequence[str] = (),
        created: Mapping[str, float] | None = None,
        descending: bool = False,
        limit: int = 1000,
        after: tuple[int, int, int] | None = None,
    ) -> EventPage:
        """A page of a session's primary view (thread_id None) or of one thread's log.

        Pending input comes last in ascending order (first in descending), is left out when a
        `created` filter (gt, gte, lt, lte → seconds) is given.
        """
        ...

    async def follow(
        self,
        workspace_id: str,
        session_id: str,
        *,
        thread_id: str | None = None,
        previews: frozenset[str] = frozenset(),
        after: str | None = None,
    ) -> Follower:
        """Subscribe; with the late-opener rule (clients rule 1), or from after an event on.

        Raises NotFound; Invalid when the session has no event `after`.
        """
        ...

    async def settled(
        self,
        workspace_id: str,
        session_id: str,
        done: Callable[[SessionRow], bool],
        timeout_seconds: float,
    ) -> SessionRow:
        """The session once `done` says so of it, or as it is after the time-out. Raises NotFound."""
        ...

    @property
    def work_bell(self) -> WorkBell:
        """Where polls of the work queue wait."""
        ...

    @property
    def work_queued(self) -> Queued:
        """Hears of every work item that is queued."""
        ...

    async def tell(self, tx: Transaction, line: str) -> None:
        """A notice to all processes, when and if the transaction commits."""
        ...

    def preview(self, lease: Lease, thread_id: str, frame: Mapping[str, Any]) -> None:
        """Publish an `event_start` or `event_delta` payload; may be shed, never stored."""
        ...
