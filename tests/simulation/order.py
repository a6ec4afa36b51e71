"""The order of events in a session's log (wire §7.10, clients rules 1 to 12), as a list of complaints."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from agentstead.harness.place import HANDS

INPUT = (
    "user.message",
    "user.interrupt",
    "user.tool_confirmation",
    "user.custom_tool_result",
    "user.tool_result",
    "user.define_outcome",
    "system.message",
)
OTHERS = ("session.updated", "session.status_terminated", "session.thread_status_terminated")
"""What a route may write at any time."""
USES = ("agent.tool_use", "agent.mcp_tool_use", "agent.custom_tool_use")
MODEL_WORDS = ("agent.message", "agent.thinking", *USES)
CALL_NAMES = ("tool_use_id", "mcp_tool_use_id", "custom_tool_use_id")


@dataclass
class ThreadSeen:
    """What has been seen of one thread."""

    status: str = "idle"
    request: str | None = None
    open: dict[str, bool] = field(default_factory=dict)
    """Call without a result → whether it waits for the client."""
    interrupted: bool = False
    hosted: bool = False
    elsewhere: set[str] = field(default_factory=set)
    """Calls that a self-hosted worker runs."""


def complaints(primary_id: str, events, *, hosted: bool = False) -> Iterator[str]:
    """Everything out of order, in words; `hosted`: on a self-hosted environment."""
    session, threads, before = "idle", {primary_id: ThreadSeen(hosted=hosted)}, []
    known: list[str] = []
    input_since_idle = True
    for event in events:
        where = f"event {event.seq} {event.type}"
        thread = threads.setdefault(event.thread_id, ThreadSeen(hosted=hosted))
        rebudgeted = event.type == "session.updated" and "budget" in event.payload
        if rebudgeted or event.type in INPUT or event.type == "agent.thread_message_received":
            input_since_idle = True
        elif not input_since_idle and event.type not in OTHERS:
            yield f"{where}: nothing may follow an idle without new input"
        yield from (f"{where}: {each}" for each in thread_order(event, thread, threads, known))
        if event.type.startswith("session.status_"):
            status = event.type.removeprefix("session.status_")
            yield from (
                f"{where}: {each}"
                for each in session_order(event, session, status, threads, before, known)
            )
            session = status
            input_since_idle = input_since_idle and status != "idle"
        elif event.type == "span.model_request_start" and session != "running":
            yield f"{where}: a model request while the session is {session}"
        before.append(event)
    for thread_id, thread in threads.items():
        if thread.request is not None:
            yield f"thread {thread_id}: the model request {thread.request} has no end"


def session_order(event, session, status, threads, before, known) -> Iterator[str]:
    """Running once per turn; an idle comes right after the usage, and that after a thread's idle."""
    if status == "running" and session == "running":
        yield "running although it ran"
    if status == "rescheduled" and session != "running":
        yield f"rescheduled although it was {session}"
    if status != "idle":
        return
    shown = before[-2:]
    if [each.type for each in shown] != ["session.thread_status_idle", "session.usage"]:
        yield f"an idle after {[each.type for each in shown]}"
    busy = [each for each, seen in threads.items() if seen.status != "idle"]
    if busy:
        yield f"the session is idle while {busy} are not"
    waiting = [call for call in known if any(thread.open.get(call) for thread in threads.values())]
    reason = event.payload["stop_reason"]
    listed = reason.get("event_ids", [])
    if reason["type"] == "requires_action" and listed != waiting:
        yield f"lists {listed}, but {waiting} wait for the client"
    if reason["type"] != "requires_action" and waiting:
        yield f"says {reason['type']}, but {waiting} wait for the client"
    runs = [call for seen in threads.values() for call, waits in seen.open.items() if not waits]
    confirmed = [call for call in runs if not waiting]
    if confirmed:
        yield f"idle while {confirmed} have no result and wait for nobody"


def thread_order(event, thread, threads, known) -> Iterator[str]:
    """Statuses alternate, requests pair up, words come within a request, results after their use."""
    kind = event.type
    if kind.startswith("session.thread_status_"):
        named = threads.setdefault(event.payload["session_thread_id"], ThreadSeen())
        yield from status_order(kind.removeprefix("session.thread_status_"), named)
    elif kind == "span.model_request_start":
        yield from request_start(event, thread)
    elif kind == "span.model_request_end":
        if thread.request != event.payload["model_request_start_id"]:
            yield f"ends {event.payload['model_request_start_id']}, open is {thread.request}"
        thread.request = None
    elif kind in MODEL_WORDS:
        if thread.request is None:
            yield "the model's words outside of a request"
        if thread.interrupted:
            yield "the model's words after an interrupt"
        if kind in USES:
            known.append(event.id)
            permission = event.payload.get("evaluated_permission")
            if thread.hosted and event.payload["name"] in HANDS and permission != "deny":
                thread.elsewhere.add(event.id)
            mine = kind == "agent.custom_tool_use" or event.id in thread.elsewhere
            thread.open[event.id] = permission == "ask" or mine
    elif kind == "user.message" and thread.open:
        yield f"a message between {list(thread.open)} and their results"
    elif kind == "user.interrupt":
        target = event.payload.get("session_thread_id")
        for thread_id, each in threads.items():
            hit = target in (None, thread_id) and each.request is not None
            each.interrupted = each.interrupted or hit
    else:
        yield from answer_order(event, threads)


def status_order(status: str, named: ThreadSeen) -> Iterator[str]:
    """running → rescheduled → running → idle."""
    if status == "running" and named.status == "running":
        yield "running although it ran"
    if status == "rescheduled" and named.status != "running":
        yield f"rescheduled although it was {named.status}"
    if status == "idle" and named.request is not None:
        yield "idle within a model request"
    named.status = "idle" if status == "terminated" else status
    named.interrupted = False


def request_start(event, thread: ThreadSeen) -> Iterator[str]:
    """One at a time, in a running thread, with nothing open."""
    if thread.request is not None:
        yield f"a second request beside {thread.request}"
    if thread.open:
        yield f"a request while {list(thread.open)} have no result"
    if thread.status != "running":
        yield f"a request in a thread that is {thread.status}"
    thread.request = event.id
    thread.interrupted = False


def answer_order(event, threads) -> Iterator[str]:
    """Results and confirmations belong to an open call."""
    call = next((event.payload[name] for name in CALL_NAMES if name in event.payload), None)
    if call is None:
        return
    owner = next((each for each in threads.values() if call in each.open), None)
    if owner is None and event.type in INPUT:
        return  # too late: it lost a race, and has no effect
    if owner is None:
        yield f"answers {call}, which is not open"
    elif event.type == "user.tool_confirmation":
        owner.open[call] = call in owner.elsewhere and event.payload["result"] == "allow"
    else:
        del owner.open[call]
