"""What may happen next: `plan(state, now) -> steps`. Total, pure, deterministic.

Two ordered tables of rules, first match wins: first those of the session, then those of each
thread. A `Record` stands alone, since writing changes the state and everything is planned anew;
otherwise there is at most one step per thread. Only the rules on retries, budgets and the session's
time look at `now`, besides the running time that is written into `session.usage`.
"""
# ruff: noqa: ARG001 - all rules of a table have one signature

from collections.abc import Callable

from agentstead.harness import circles, drafts, repositories, retry
from agentstead.harness.state import State
from agentstead.harness.steps import (
    Call,
    CallModel,
    CancelTools,
    CheckOut,
    Record,
    RunTools,
    Step,
    Wait,
)
from agentstead.harness.thread import Thread
from agentstead.wire.events.stored import Draft, Pending

URGENT = frozenset(
    {
        "user.interrupt",
        "user.tool_confirmation",
        "user.custom_tool_result",
        "user.tool_result",
        "session.error",
    }
)
"""Input that is taken in at once; everything else waits until its thread can answer.

A `session.error` in the inbox is the platform's own: what it has to say to a session that waits.
"""

WHILE_STOPPED = frozenset({"user.interrupt", "session.error"})
"""Input that a stopped session takes in; the rest waits."""

WAIT_ORDER = {"stopped": 0, "retry": 0, "client": 1, "budget": 2, "idle": 3, "terminated": 4}


def plan(state: State, now: float) -> tuple[Step, ...]:
    """One `Record`, or one step of work per thread that can move, or one `Wait`."""
    for _, session_rule in SESSION_RULES:
        if step := session_rule(state, now):
            return (step,)
    work: list[Step] = []
    waits: list[Wait] = []
    for thread in state.threads.values():
        step = thread_step(state, thread, now)
        if isinstance(step, Record):
            return (step,)
        if isinstance(step, Wait):
            waits.append(step)
        else:
            work.append(step)
    if not work and (again := announced_again(state, now)):
        return (again,)
    waits.sort(key=lambda wait: (WAIT_ORDER[wait.reason], wait.wake_at or 0.0))
    if not work:
        return (waits[0],)
    left = seconds_left(state, now)
    clock = () if left is None or left <= 0 else (Wait("time", now + left),)
    return (*work, *waits[:1], *clock)


def thread_step(state: State, thread: Thread, now: float) -> Step:
    """The first rule that applies to this thread."""
    for _, thread_rule in THREAD_RULES:
        if step := thread_rule(state, thread, now):
            return step
    return Wait("idle")


# Rules of the session


def terminated(state: State, now: float) -> Step | None:
    """Nothing happens in a terminated session."""
    return Wait("terminated") if state.status == "terminated" else None


def answers_and_interrupts(state: State, now: float) -> Step | None:
    """They are taken in at once, in the order in which they came."""
    wanted = WHILE_STOPPED if state.stopped else URGENT
    urgent = tuple(entry.id for entry in state.inbox if entry.type in wanted)
    return Record(take=urgent) if urgent else None


def gave_up(state: State, now: float) -> Step | None:
    """Workers have died on this session again and again: stop it and say so."""
    if state.attempts <= state.attempts_max:
        return None
    for thread in state.threads.values():
        if not (thread.busy or thread.runnable):
            continue
        written: tuple[Draft, ...] = ()
        if thread.request_id:
            written += (drafts.request_aborted(thread, state),)
        text = "The outcome of this call is not known: the worker that ran it was lost."
        written += tuple(drafts.result(state, entry.call, text) for entry in thread.open)
        message = (
            "Stopped: too many attempts in a row ended without progress; the workers' logs say why. "
            "Send a message to try again."
        )
        written += (drafts.error(thread, "unknown_error", message, "exhausted"),)
        return Record(drafts=(*written, *drafts.idle(state, thread, now, drafts.RETRIES_EXHAUSTED)))
    return None


def announced_again(state: State, now: float) -> Step | None:
    """The last entry of an idle session is its idle: whatever came after it is followed by one."""
    if state.status != "idle" or state.quiet or state.stop_reason is None:
        return None
    thread = state.primary
    reason = thread.stop_reason or drafts.END_TURN
    return Record(drafts=drafts.idle(state, thread, now, reason))


# Rules of a thread


def ended(state: State, thread: Thread, now: float) -> Step | None:
    """A terminated thread does nothing."""
    return Wait("terminated") if thread.status == "terminated" else None


def interrupted(state: State, thread: Thread, now: float) -> Step | None:
    """The request is dropped, open calls are ended; queued messages go on, else the turn is over."""
    if not thread.interrupted:
        return None
    if thread.request_id:
        return Record(drafts=(drafts.request_aborted(thread, state),))
    if thread.open:
        started = thread.runnable  # the client may still answer the others while these end
        ended = started or tuple(entry.call for entry in thread.open)
        results = tuple(drafts.result(state, call, drafts.INTERRUPTED) for call in ended)
        return CancelTools(thread.id, started, results) if started else Record(drafts=results)
    if mail := messages_for(state, thread):
        return Record(take=tuple(entry.id for entry in mail))
    return Record(drafts=drafts.idle(state, thread, now, drafts.END_TURN))


def held(state: State, thread: Thread, now: float) -> Step | None:
    """A stopped session begins nothing; what was going on was interrupted."""
    return Wait("stopped") if state.stopped else None


def time_over(state: State, thread: Thread, now: float) -> Step | None:
    """The session, or the turn, has run as long as it may: running calls are ended, the turn is over.

    Questions to the client stay open; what they lead to ends as soon as they are answered.
    """
    left = seconds_left(state, now)
    if left is None or left > 0:
        return None
    if calls := thread.runnable:
        results = tuple(drafts.result(state, call, drafts.OUT_OF_TIME) for call in calls)
        return CancelTools(thread.id, calls, results)
    if thread.open:
        return None
    if thread.request_id:
        return Record(drafts=(drafts.request_aborted(thread, state),))
    name, seconds = min(clocks(state, now), key=lambda clock: clock[2])[:2]
    if name == "session" and (mail := messages_for(state, thread)):  # goes down with the turn
        return Record(take=tuple(entry.id for entry in mail))
    if not thread.busy:
        return None
    message = (
        f"Stopped: the {name} has run for {seconds:g} seconds, which is as long as its environment "
        f"lets it (agentstead.limits.{name}_seconds)."
    )
    return Record(
        drafts=(
            drafts.error(thread, "unknown_error", message, "exhausted"),
            *drafts.idle(state, thread, now, drafts.RETRIES_EXHAUSTED),
        )
    )


def request_in_the_making(state: State, thread: Thread, now: float) -> Step | None:
    """A request that has begun is done, by whoever holds the session now."""
    return CallModel(thread.id, thread.request_id) if thread.request_id else None


def request_failed(state: State, thread: Thread, now: float) -> Step | None:
    """A failed request is tried again later, or ends the turn."""
    fault = thread.fault
    if fault is None:
        return None
    if retry.tries_again(state.retry, thread.failures, retryable=fault.retryable):
        wait = retry.delay_seconds(state.retry, thread.failures, fault.retry_after, fault.event_id)
        return Record(drafts=drafts.rescheduled(state, thread, fault, fault.at + wait))
    if mail := messages_for(state, thread):  # queued input goes down with the turn
        return Record(take=tuple(entry.id for entry in mail))
    kind = retry.error_type(fault.kind)
    return Record(
        drafts=(
            drafts.error(thread, kind, fault.message, "exhausted"),
            *drafts.idle(state, thread, now, drafts.RETRIES_EXHAUSTED),
        )
    )


def messages_to_take(state: State, thread: Thread, now: float) -> Step | None:
    """Messages are taken in between requests, never between a call and its result."""
    if thread.open:
        return None
    mail = messages_for(state, thread)
    return Record(take=tuple(entry.id for entry in mail)) if mail else None


def refused(state: State, thread: Thread, now: float) -> Step | None:
    """A refusal ends the turn."""
    if thread.refusal is None or thread.open:
        return None
    details = {
        "type": "refusal",
        "category": thread.refusal.get("category"),
        "explanation": thread.refusal.get("explanation"),
    }
    return Record(drafts=drafts.idle(state, thread, now, {"type": "refusal"}, details))


def context_full(state: State, thread: Thread, now: float) -> Step | None:
    """The conversation has outgrown the model, and nothing can shorten it yet."""
    if not thread.full or thread.open:
        return None
    message = (
        "The conversation no longer fits the model's context window, and compaction is not "
        "available yet. Start a new session."
    )
    return Record(
        drafts=(
            drafts.error(thread, "compaction_limit_reached_error", message, "exhausted"),
            *drafts.idle(state, thread, now, drafts.RETRIES_EXHAUSTED),
        )
    )


def denied_calls(state: State, thread: Thread, now: float) -> Step | None:
    """What may not run gets its result; a client's denial once all of its batch is answered."""
    waiting = bool(thread.blocking)
    entries = tuple(
        entry
        for entry in thread.open
        if entry.denied and (entry.call.permission == "deny" or not waiting)
    )
    if not entries:
        return None
    results = tuple(drafts.denial(state, entry) for entry in entries)
    return Record(drafts=(*drafts.running(state, thread), *results))


def tools_to_run(state: State, thread: Thread, now: float) -> Step | None:
    """Runnable calls run, all at once."""
    calls: tuple[Call, ...] = thread.runnable
    if not calls:
        return None
    if announcement := drafts.running(state, thread):
        return Record(drafts=announcement)
    return RunTools(thread.id, calls)


def awaiting_client(state: State, thread: Thread, now: float) -> Step | None:
    """The thread waits for answers, and says for which; anew after each partial answer."""
    blocking = thread.blocking
    if not blocking:
        return None
    reason = drafts.requires_action(blocking)
    if thread.status == "idle" and thread.stop_reason == reason:
        return Wait("client")
    return Record(drafts=drafts.idle(state, thread, now, reason))


def in_circles(state: State, thread: Thread, now: float) -> Step | None:
    """The model makes a failing call again and again although it was told: the turn is over."""
    most = circles.most(thread.failing)
    if not (state.repeats_max and thread.before_request and most >= 2 * state.repeats_max):
        return None
    message = (
        f"Stopped: the agent made the same call {most} times in a row and it failed in the same way "
        "each time. Mend what stands in the way, then send a message."
    )
    return Record(
        drafts=(
            drafts.error(thread, "unknown_error", message, "exhausted"),
            *drafts.idle(state, thread, now, drafts.RETRIES_EXHAUSTED),
        )
    )


def budget_reached(state: State, thread: Thread, now: float) -> Step | None:
    """At its budget, or one above it, no model request begins: the thread pauses, its work is kept."""
    if not thread.needs_model:
        return None
    until = None
    if not state.at_cap:
        if thread.short is None:
            return None
        until = thread.short.get("until")
        if until is not None and now >= until:  # a new period
            return None
    if thread.paused:
        return Wait("budget", until)
    return Record(drafts=drafts.idle(state, thread, now, drafts.BUDGET_REACHED))


def repository_missing(state: State, thread: Thread, now: float) -> Step | None:
    """What is to be checked out is there before the model is asked."""
    if not thread.before_request:
        return None
    found = repositories.due(state.repositories, state.attempted)
    if found is None or not repositories.with_hands(thread, state.offered):
        return None
    repository, at = found
    if now < at:
        if thread.status == "running":
            return Record(drafts=drafts.awaiting_retry(state, thread))
        return Wait("retry", at)
    if announcement := drafts.running(state, thread):
        return Record(drafts=announcement)
    return CheckOut(thread.id, repository.id)


def retry_to_wait_for(state: State, thread: Thread, now: float) -> Step | None:
    """A failed request waits for its next attempt."""
    if thread.retry_at is None:
        return None
    if now < thread.retry_at:
        return Wait("retry", thread.retry_at)
    return begin_request(state, thread)


def input_to_answer(state: State, thread: Thread, now: float) -> Step | None:
    """Input or a complete set of results goes to the model."""
    return begin_request(state, thread) if thread.needs_model else None


def turn_over(state: State, thread: Thread, now: float) -> Step | None:
    """Nothing is left to do in a running thread."""
    if thread.status not in ("running", "rescheduling"):
        return None
    return Record(drafts=drafts.idle(state, thread, now, drafts.END_TURN))


def begin_request(state: State, thread: Thread) -> Record:
    """The status and the start of a model request, in one append."""
    return Record(drafts=(*drafts.running(state, thread), drafts.request_start(thread, state)))


def seconds_left(state: State, now: float) -> float | None:
    """How long the session, or its turn, may still run; None: for ever."""
    return min((left for _, _, left in clocks(state, now)), default=None)


def clocks(state: State, now: float) -> list[tuple[str, float, float]]:
    """What runs out: its name, how long it may run, and how long still."""
    ran = state.active_at(now)
    known = (
        ("session", state.session_seconds, 0.0),
        ("turn", state.turn_seconds, state.before_turn),
    )
    return [(name, most, most + start - ran) for name, most, start in known if most is not None]


def messages_for(state: State, thread: Thread) -> tuple[Pending, ...]:
    """Queued messages of a thread; instructions alone start nothing and stay queued."""
    if state.stopped:
        return ()
    mine = tuple(
        entry
        for entry in state.inbox
        if entry.type not in URGENT and (entry.thread_id or state.primary_id) == thread.id
    )
    if not thread.busy and all(entry.type == "system.message" for entry in mine):
        return ()
    return mine


SESSION_RULES: tuple[tuple[str, Callable[[State, float], Step | None]], ...] = (
    ("terminated", terminated),
    ("answers_and_interrupts", answers_and_interrupts),
    ("gave_up", gave_up),
)

THREAD_RULES: tuple[tuple[str, Callable[[State, Thread, float], Step | None]], ...] = (
    ("ended", ended),
    ("interrupted", interrupted),
    ("held", held),
    ("time_over", time_over),
    ("request_in_the_making", request_in_the_making),
    ("request_failed", request_failed),
    ("messages_to_take", messages_to_take),
    ("refused", refused),
    ("context_full", context_full),
    ("denied_calls", denied_calls),
    ("tools_to_run", tools_to_run),
    ("awaiting_client", awaiting_client),
    ("in_circles", in_circles),
    ("budget_reached", budget_reached),
    ("repository_missing", repository_missing),
    ("retry_to_wait_for", retry_to_wait_for),
    ("input_to_answer", input_to_answer),
    ("turn_over", turn_over),
)
