"""What a session's log amounts to: `fold(state, event) -> state`.

The state after n events is the fold over the first n; a worker keeps it while it holds the claim.
Nothing here looks at a clock: times come from the events.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agentstead.harness import circles, mounts, repositories, usage
from agentstead.harness.budget import NOTHING, Cost
from agentstead.harness.evolve import evolve
from agentstead.harness.mounts import Skill
from agentstead.harness.place import by_client
from agentstead.harness.repositories import Attempts, Repository
from agentstead.harness.retry import RetryPolicy
from agentstead.harness.steps import Call, ServerCall
from agentstead.harness.thread import Item, RequestFault, Thread
from agentstead.wire.budget import reached
from agentstead.wire.events.stored import Event, Pending

DEFAULT_RETRY = RetryPolicy()


@dataclass(frozen=True)
class State:
    """Everything the planner looks at."""

    session_id: str
    primary_id: str
    agent: Mapping[str, Any]
    environment: Mapping[str, Any]
    created_at: float
    threads: Mapping[str, Thread]
    offered: tuple[str, ...] = ()
    """Built-in tools this platform can offer."""
    retry: RetryPolicy = DEFAULT_RETRY
    attempts: int = 0
    """Claims in a row without an append, and how many are too many."""
    attempts_max: int = 20
    status: str = "idle"
    stop_reason: Mapping[str, Any] | None = None
    quiet: bool = True
    """Nothing has been written since the last `session.status_idle` (or at all)."""
    inbox: tuple[Pending, ...] = ()
    attached: tuple[str, ...] = ()
    """Where the session's files lie in the sandbox, now."""
    known_files: tuple[str, ...] = ()  # those of which the model has been told
    mounted: tuple[str, ...] = ()  # those that lay there before its first message
    skills: tuple[Skill, ...] = ()
    vaults: bool = False
    """Whether it may use credentials of vaults; like its skills never changed."""
    repositories: tuple[Repository, ...] = ()
    attempted: Mapping[str, Attempts] = field(default_factory=dict)
    seq: int = 0
    """Of the last event folded that came from the log."""
    last_at: float = 0.0
    ordinal: int = 0
    usage: Mapping[str, int] | None = None
    budget: Mapping[str, Any] | None = None
    """The cap on the list cost, as on the wire."""
    cost: Cost = NOTHING
    said: tuple[str, ...] = ()  # the texts of every `user.message`, for the judge of calls
    active_seconds: float = 0.0
    active_since: float | None = None
    session_seconds: float | None = None  # it may run in all; None: for ever
    turn_seconds: float | None = None  # a turn may run; None: for ever
    before_turn: float = 0.0  # seconds that earlier turns ran
    repeats_max: int = 0  # equal failures in a row until the model is told; 0: no end
    stopped: bool = False
    """The operator wants nothing to begin."""
    budgeted: bool = False  # there are budgets above the session
    told: frozenset[str] = frozenset()
    """What has been said since the session was last idle and is not said, nor tried, again."""

    @property
    def primary(self) -> Thread:
        """The primary thread."""
        return self.threads[self.primary_id]

    @property
    def at_cap(self) -> bool:
        """The budget is used up: no model request may begin."""
        return reached(self.budget, self.cost.measured)

    def active_at(self, now: float) -> float:
        """Seconds in which at least one thread ran."""
        if self.active_since is None:
            return self.active_seconds
        return self.active_seconds + max(now - self.active_since, 0.0)

    def with_thread(self, thread: Thread) -> "State":
        """The same with this thread in its new form."""
        return evolve(self, threads={**self.threads, thread.id: thread})

    def with_inbox(self, inbox: tuple[Pending, ...]) -> "State":
        """The same with this input pending."""
        return self if inbox == self.inbox else evolve(self, inbox=inbox)

    def owner_of(self, call_id: str) -> Thread | None:
        """The thread that has this call open."""
        return next((each for each in self.threads.values() if each.find(call_id)), None)


def initial(
    *,
    session_id: str,
    primary_id: str,
    agent: Mapping[str, Any],
    environment: Mapping[str, Any],
    created_at: float,
    offered: tuple[str, ...] = (),
    retry: RetryPolicy = DEFAULT_RETRY,
    attempts: int = 0,
    attempts_max: int = 20,
    budget: Mapping[str, Any] | None = None,
    skills: tuple[Skill, ...] = (),
    vaults: bool = False,
    session_seconds: float | None = None,
    repeats_max: int = 0,
) -> State:
    """The state of a session before its first event."""
    primary = Thread(primary_id, agent, None, created_at)
    return State(
        session_id=session_id,
        primary_id=primary_id,
        agent=agent,
        environment=environment,
        created_at=created_at,
        threads={primary_id: primary},
        offered=offered,
        retry=retry,
        attempts=attempts,
        attempts_max=attempts_max,
        budget=budget,
        skills=skills,
        vaults=vaults,
        session_seconds=session_seconds,
        repeats_max=repeats_max,
    )


def fold(state: State, event: Event) -> State:
    """The state after one more event."""
    handler = HANDLERS.get(event.type)
    if handler is None:
        assert event.type in INERT, f"fold does not know {event.type}"
    else:
        state = handler(state, event)
    quiet = event.type == "session.status_idle" or (
        state.quiet and (event.type in SILENT or not event.primary)
    )
    inbox = tuple(one for one in state.inbox if one.id != event.id) if state.inbox else ()
    seq, last_at = max(state.seq, event.seq), max(state.last_at, event.at)
    return evolve(state, seq=seq, last_at=last_at, inbox=inbox, quiet=quiet)


def fold_all(state: State, events: Iterable[Event]) -> State:
    """The state after all of them."""
    for event in events:
        state = fold(state, event)
    return state


# Client input


def user_message(state: State, event: Event) -> State:
    """Input for the thread it is in."""
    state = told_of_files(state, event)
    thread = state.threads[event.thread_id]
    content = tuple(event.payload["content"])
    texts = (block["text"] for block in content if block["type"] == "text")
    state = evolve(state, said=(*state.said, *texts))
    return state.with_thread(thread.with_input(content))


def told_of_files(state: State, event: Event) -> State:
    """Files came or went before this input: the system prompt names the first, a note the later ones."""
    kept = (event.private or {}).get(mounts.KEY)
    if kept is None:
        return state
    state = evolve(state, known_files=mounts.after(state.known_files, kept))
    thread = state.threads[event.thread_id]
    if not thread.transcript:
        return evolve(state, mounted=state.known_files)
    note = Item("system", ({"type": "text", "text": mounts.note(kept)},))
    return state.with_thread(evolve(thread, transcript=thread.transcript.plus(note)))


def system_message(state: State, event: Event) -> State:
    """Instructions in mid-conversation; they start nothing."""
    thread = state.threads[event.thread_id]
    item = Item("system", tuple(event.payload["content"]))
    return state.with_thread(evolve(thread, transcript=thread.transcript.plus(item)))


def user_interrupt(state: State, event: Event) -> State:
    """Stops one thread, or all of them."""
    target = event.payload.get("session_thread_id")
    for thread in tuple(state.threads.values()):
        if target is not None and thread.id != target:
            continue
        if thread.busy or thread.open or thread.request_id:
            stopped_thread = evolve(thread, interrupted=True, fault=None, failures=0, retry_at=None)
            state = state.with_thread(stopped_thread)
    return state


def user_tool_confirmation(state: State, event: Event) -> State:
    """The client allows or denies an ask."""
    call_id = event.payload["tool_use_id"]
    thread = state.owner_of(call_id)
    if thread is None:
        return state
    result, message = event.payload["result"], event.payload.get("deny_message")
    return state.with_thread(thread.with_confirmation(call_id, result, message))


def answered(key: str) -> Callable[[State, Event], State]:
    """A call has its result; `key` names the link to the tool-use event."""

    def handler(state: State, event: Event) -> State:
        call_id = event.payload[key]
        thread = state.owner_of(call_id)
        if thread is None:
            return state
        blocks = tuple(event.payload.get("content") or ())
        is_error = bool(event.payload.get("is_error"))
        warn_at = state.repeats_max
        after = thread.with_result(call_id, blocks, is_error=is_error, warn_at=warn_at)
        return state.with_thread(after)

    return handler


# The model's doings


def request_started(state: State, event: Event) -> State:
    """A model request begins."""
    return state.with_thread(state.threads[event.thread_id].with_request(event.id))


def request_ended(state: State, event: Event) -> State:
    """A model request ended: well, with a fault, or by an interruption."""
    thread = state.threads[event.thread_id]
    private = event.private or {}
    if "layout" in private:
        thread = thread.with_answer(tuple(private["layout"]))
        counts, spent = private["usage"], private.get("list_cost")
        refusal = private.get("stop_details") or {} if private["stop_reason"] == "refusal" else None
        thread = evolve(
            thread,
            refusal=refusal,
            full=private["stop_reason"] == "context_window",
            usage=usage.add(thread.usage, counts),
            cost=thread.cost.plus(spent),
            context_tokens=sum(
                int(counts.get(name) or 0)
                for name in (
                    "input_tokens",
                    "cache_read_input_tokens",
                    "cache_creation_input_tokens",
                    "output_tokens",
                )
            ),
        )
        state = evolve(state, usage=usage.add(state.usage, counts), cost=state.cost.plus(spent))
    elif "short" in private:
        thread = evolve(thread, request_id=None, needs_model=True, short=private["short"])
    elif "fault" in private:
        fault = private["fault"]
        thread = evolve(
            thread,
            request_id=None,
            failures=thread.failures + 1,
            fault=RequestFault(
                event_id=event.id,
                kind=fault["kind"],
                message=fault["message"],
                retryable=fault["retryable"],
                retry_after=fault.get("retry_after"),
                at=event.at,
            ),
        )
    else:
        thread = evolve(thread, request_id=None)
    return state.with_thread(thread)


def agent_message(state: State, event: Event) -> State:
    """Text of the request in the making."""
    thread = state.threads[event.thread_id]
    return state.with_thread(evolve(thread, partial_texts=tuple(event.payload["content"])))


def tool_use(kind: str) -> Callable[[State, Event], State]:
    """The model calls a tool."""

    def handler(state: State, event: Event) -> State:
        thread = state.threads[event.thread_id]
        call = Call(
            id=event.id,
            thread_id=thread.id,
            kind=kind,
            name=event.payload["name"],
            input=event.payload["input"],
            provider_id=(event.private or {})["provider_id"],
            permission=event.payload.get("evaluated_permission") or "allow",
            server=ServerCall.of(event) if kind == "mcp" else None,
            by_client=by_client(state.environment, kind, event.payload["name"]),
        )
        state = evolve(state, ordinal=state.ordinal + 1)
        state = state.with_thread(thread.with_call(call, state.ordinal))
        return judged(state, thread.id, (event.private or {}).get("judge") or {})

    return handler


def judged(state: State, thread_id: str, record: Mapping[str, Any]) -> State:
    """What the judge of a call has used counts like the agent's own requests."""
    if "usage" not in record:
        return state
    thread, counts, cost = state.threads[thread_id], record["usage"], record.get("list_cost")
    thread = evolve(thread, usage=usage.add(thread.usage, counts), cost=thread.cost.plus(cost))
    state = evolve(state, usage=usage.add(state.usage, counts), cost=state.cost.plus(cost))
    return state.with_thread(thread)


# Threads


def thread_created(state: State, event: Event) -> State:
    """A child thread; its agent is in the private part."""
    agent = (event.private or {})["agent"]
    child = Thread(event.payload["session_thread_id"], agent, event.thread_id, event.at)
    return state.with_thread(child)


def thread_message_received(state: State, event: Event) -> State:
    """A message from another thread is input like a client's."""
    thread = state.threads[event.thread_id]
    return state.with_thread(thread.with_input(tuple(event.payload["content"])))


def thread_running(state: State, event: Event) -> State:
    """The thread works."""
    thread = state.threads[event.payload["session_thread_id"]]
    return state.with_thread(evolve(thread.moved("running", event.at), stop_reason=None))


def thread_rescheduled(state: State, event: Event) -> State:
    """The thread waits for a retry."""
    thread = state.threads[event.payload["session_thread_id"]]
    return state.with_thread(thread.moved("rescheduling", event.at))


def thread_idle(state: State, event: Event) -> State:
    """The thread's turn is over, or it waits: for the client, or at the budget with its work kept."""
    thread = state.threads[event.payload["session_thread_id"]]
    reason = event.payload["stop_reason"]["type"]
    kept = reason == "budget_reached" and thread.needs_model
    return state.with_thread(
        evolve(
            thread.moved("idle", event.at),
            stop_reason=event.payload["stop_reason"],
            interrupted=False,
            needs_model=kept,
            fault=None,
            failures=0,
            retry_at=None,
            refusal=None,
            full=False,
            failing=thread.failing if reason in circles.PAUSES else {},
        )
    )


def thread_terminated(state: State, event: Event) -> State:
    """The thread takes no more input."""
    thread = state.threads[event.payload["session_thread_id"]]
    return state.with_thread(evolve(thread.moved("terminated", event.at), open=()))


# The session


def session_running(state: State, event: Event) -> State:
    """A turn begins, or a retry."""
    since = event.at if state.active_since is None else state.active_since
    return evolve(state, status="running", stop_reason=None, active_since=since)


def stopped(status: str) -> Callable[[State, Event], State]:
    """The session leaves `running`."""

    def handler(state: State, event: Event) -> State:
        reason, ran = event.payload.get("stop_reason"), state.active_at(event.at)
        goes_on = status != "idle" or (reason or {}).get("type") in circles.PAUSES
        return evolve(
            state,
            status=status,
            stop_reason=reason,
            active_seconds=ran,
            before_turn=state.before_turn if goes_on else ran,
            active_since=None,
            told=frozenset() if status == "idle" else state.told,
            attempted={} if status == "idle" else state.attempted,
        )

    return handler


def session_error(state: State, event: Event) -> State:
    """A retry has been decided on, or a trouble was told, when the private part says so."""
    private = event.private or {}
    if "told" in private:
        state = evolve(state, told=state.told | {private["told"]})
    if (kept := private.get(repositories.KEY)) is not None:
        state = evolve(state, **repositories.after(state.attempted, state.threads, kept))
    if "retry_at" not in private:
        return state
    thread = state.threads[event.thread_id]
    return state.with_thread(
        evolve(thread, fault=None, retry_at=private["retry_at"], needs_model=True)
    )


def session_updated(state: State, event: Event) -> State:
    """New tools or servers apply from the next turn; a budget with room, its own or one above, ends pauses."""
    agent = event.payload.get("agent")
    if agent is not None:
        state = evolve(state.with_thread(evolve(state.primary, agent=agent)), agent=agent)
    if "budget" in event.payload:
        state = evolve(state, budget=event.payload["budget"])
    elif "room" not in (event.private or {}):
        return state
    for thread in () if state.at_cap else tuple(state.threads.values()):
        state = state.with_thread(thread.with_room())
    return state


Handler = Callable[[State, Event], State]

HANDLERS: Mapping[str, Handler] = {
    "user.message": user_message,
    "user.interrupt": user_interrupt,
    "user.tool_confirmation": user_tool_confirmation,
    "user.custom_tool_result": answered("custom_tool_use_id"),
    "user.tool_result": answered("tool_use_id"),
    "system.message": system_message,
    "agent.message": agent_message,
    "agent.tool_use": tool_use("builtin"),
    "agent.mcp_tool_use": tool_use("mcp"),
    "agent.custom_tool_use": tool_use("custom"),
    "agent.tool_result": answered("tool_use_id"),
    "agent.mcp_tool_result": answered("mcp_tool_use_id"),
    "agent.thread_message_received": thread_message_received,
    "span.model_request_start": request_started,
    "span.model_request_end": request_ended,
    "session.thread_created": thread_created,
    "session.thread_status_running": thread_running,
    "session.thread_status_rescheduled": thread_rescheduled,
    "session.thread_status_idle": thread_idle,
    "session.thread_status_terminated": thread_terminated,
    "session.status_running": session_running,
    "session.status_rescheduled": stopped("rescheduling"),
    "session.status_idle": stopped("idle"),
    "session.status_terminated": stopped("terminated"),
    "session.error": session_error,
    "session.updated": session_updated,
}

INERT = frozenset(
    {
        "agent.thinking",
        "agent.thread_context_compacted",
        "agent.thread_message_sent",
        "session.usage",
        "session.deleted",
        "user.define_outcome",
        "span.outcome_evaluation_start",
        "span.outcome_evaluation_ongoing",
        "span.outcome_evaluation_end",
        "workflow_run.created",
        "workflow_run.status_running",
        "workflow_run.status_idle",
        "workflow_run.phase_started",
        "workflow_run.phase_ended",
        "workflow_run.error",
        "workflow_run.status_ended",
    }
)
"""Known, and on purpose without effect on what happens next."""

SILENT = INERT | {"session.updated"}
"""What a client may find after an idle without another one: what it did to the session itself."""
