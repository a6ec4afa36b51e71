"""What holds of every session at rest, whatever was done to it: the checks of the machine.

Each names the rule that it holds. `test_machine.test_checks_bite` proves that they can fail.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from tests.fuzz.watched import Event, Watched, linked, results, uses
from tests.simulation import order

QUEUED = ("user.message", "user.interrupt", "user.tool_confirmation", "system.message")
"""What has no time before it is taken in (wire §7.1)."""
STATUS = {"rescheduled": "rescheduling"}


@dataclass(frozen=True)
class Seen:
    """An event of the wire as the checks of the simulation read it."""

    seq: int
    type: str
    thread_id: str
    payload: Event

    @property
    def id(self) -> str:
        """Its id."""
        return str(self.payload["id"])


def check(watched: Watched, limit: int) -> None:
    """Everything, of a session that has settled."""
    session = watched.get()
    events = watched.listed()
    taken = pending_is_last(events)
    only_grows(watched, taken)
    in_order(watched, taken)
    status_agrees(session, taken)
    calls_are_answered_once(session, taken)
    idle_is_last(session, taken)
    thread_agrees(watched, session, taken)
    pages_agree(watched, events, limit)
    streamed_once(watched, taken)
    watched.kept = taken


def pending_is_last(events: list[Event]) -> list[Event]:
    """Clients rule 2: what is queued stands last; all else has its time. What was taken in."""
    taken = [one for one in events if one["processed_at"]]
    queued = events[len(taken) :]
    assert all(one["processed_at"] is None for one in queued), kinds(events)
    assert all(one["type"] in QUEUED for one in queued), kinds(queued)
    ids = Counter(one["id"] for one in events)
    assert max(ids.values(), default=1) == 1, ids.most_common(2)
    return taken


def only_grows(watched: Watched, taken: list[Event]) -> None:
    """The log changes no row."""
    assert taken[: len(watched.kept)] == watched.kept, (kinds(watched.kept), kinds(taken))


def in_order(watched: Watched, taken: list[Event]) -> None:
    """Wire §7.10."""
    seen = [Seen(n, one["type"], watched.primary, one) for n, one in enumerate(taken, 1)]
    running = any(one for one in order.complaints(watched.primary, seen) if "has no end" not in one)
    assert not running, (list(order.complaints(watched.primary, seen)), kinds(taken))
    threads = [one for one in taken if one["type"].startswith("session.thread_status")]
    assert all(one["session_thread_id"] == watched.primary for one in threads[:1]), "trap 21"


def status_agrees(session: Event, taken: list[Event]) -> None:
    """Clients rule 3: the status is what the log says last."""
    said = [one["type"].removeprefix("session.status_") for one in taken if one["type"].startswith("session.status_")]  # fmt: skip
    last = said[-1] if said else "idle"
    assert session["status"] == STATUS.get(last, last), (session["status"], kinds(taken))


def calls_are_answered_once(session: Event, taken: list[Event]) -> None:
    """One result per use; those without one are exactly those that the last idle names."""
    known, answered = uses(taken), results(taken)
    assert answered.keys() <= known.keys(), "a result without its use"
    for call, found in answered.items():
        # A client's answer may lose the race against the platform's; it has no effect then.
        effective = [one for n, one in enumerate(found) if not (n and one["type"].startswith("user."))]  # fmt: skip
        assert len(effective) == 1, (call, kinds(found))
    if session["status"] != "idle":
        return
    idles = [one for one in taken if one["type"] == "session.status_idle"]
    reason = idles[-1]["stop_reason"] if idles else {"type": "end_turn"}
    confirmed = {linked(one) for one in taken if one["type"] == "user.tool_confirmation"}
    open_calls = [call for call in known if call not in answered]
    blocking = [call for call in open_calls if call not in confirmed]
    if reason["type"] == "requires_action":
        assert reason["event_ids"] == blocking, "clients rule 7"
    else:
        assert open_calls == [], (reason, open_calls)


def idle_is_last(session: Event, taken: list[Event]) -> None:
    """Clients rule 5. Updates may follow: they are what a client did to an idle session."""
    said = [one["type"] for one in taken if one["type"] != "session.updated"]
    if session["status"] == "idle" and said:
        assert said[-1] == "session.status_idle", kinds(taken)


def thread_agrees(watched: Watched, session: Event, taken: list[Event]) -> None:
    """Wire §9.3, §12: one primary thread with the session's status and tokens."""
    (thread,) = watched.get("/threads")["data"]
    assert thread["id"] == watched.primary
    assert thread["parent_thread_id"] is None
    assert thread["status"] == session["status"], (thread, session["status"], kinds(taken)[-12:])
    usages = [one["usage"] for one in taken if one["type"] == "session.usage"]
    if usages and session["status"] == "idle":
        assert session["usage"]["output_tokens"] == usages[-1]["output_tokens"]
        assert thread["usage"]["output_tokens"] == usages[-1]["output_tokens"]
    spans = [one for one in taken if one["type"] == "span.model_request_end"]
    spent = sum(one["model_usage"]["output_tokens"] for one in spans)
    if session["status"] == "idle":
        assert session["usage"]["output_tokens"] == spent


def pages_agree(watched: Watched, events: list[Event], limit: int) -> None:
    """Wire §1.8: the same in pages of any size, in both orders, and filtered."""
    assert watched.listed(f"limit={limit}") == events
    assert watched.listed(f"limit={limit}&order=desc") == events[::-1]
    kind = events[len(events) // 2]["type"] if events else "user.message"
    found = watched.listed(f"types[]={kind}&limit={limit}")
    assert found == [one for one in events if one["type"] == kind]


def streamed_once(watched: Watched, taken: list[Event]) -> None:
    """Wire §7.1, §8.3: each entry once as it is listed, in its order; queued before, at most once."""
    follower = watched.follower
    assert not follower.troubles, follower.troubles
    if taken:
        eventually(lambda: follower.has(taken[-1]["id"]), f"the stream of {watched.id}")
    whole = [one for one in follower.frames if not one["type"].startswith("event_")]
    final = [one for one in whole if one.get("processed_at")]
    ends = [one for one in final if one["type"] == "session.deleted"]
    assert [one for one in final if one not in ends] == taken, (kinds(final), kinds(taken))
    early = Counter(one["id"] for one in whole if not one.get("processed_at"))
    assert max(early.values(), default=1) == 1, early.most_common(2)


def eventually(ready: Any, what: str) -> None:
    """Wait for it, not for ever."""
    import time

    until = time.monotonic() + 10
    while not ready():
        assert time.monotonic() < until, f"{what} did not come"
        time.sleep(0.002)


def kinds(events: list[Event]) -> list[str]:
    """Their types, to be read in a failure."""
    return [f"{one['type']}{'' if one.get('processed_at') else '?'}" for one in events]
