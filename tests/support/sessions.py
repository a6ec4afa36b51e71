"""Builders for tests of the log: a session, its input, its events, its derived columns."""

import itertools
import json
import time
from collections.abc import Iterable
from typing import Any

from agentstead.log.log import Ask, Decision, Derived, Incoming, NewSession, Park, ThreadRow
from agentstead.store.workspace import DEFAULT_WORKSPACE
from agentstead.wire.events.stored import Event, Pending

_numbers = itertools.count(1)


def number() -> int:
    """Never the same twice in a run."""
    return next(_numbers)


def message(text: str = "hello", event_id: str | None = None) -> Incoming:
    """A client's message, not taken in yet."""
    event_id = event_id or f"sevt_message{number()}"
    payload = {
        "id": event_id,
        "type": "user.message",
        "processed_at": None,
        "content": [{"type": "text", "text": text}],
    }
    return Incoming(event_id, "user.message", None, payload)


def incoming(kind: str, thread_id: str | None = None, **fields: Any) -> Incoming:
    """Any client input."""
    event_id = f"sevt_in{number()}"
    payload = {"id": event_id, "type": kind, "processed_at": None, **fields}
    return Incoming(event_id, kind, thread_id, payload)


def a_session(*first: Incoming, workspace: str = DEFAULT_WORKSPACE, at: float = 0) -> NewSession:
    """A session to be created, with its first input."""
    n = number()
    return NewSession(
        id=f"sesn_test{n:06}",
        workspace_id=workspace,
        primary_thread_id=f"sthr_test{n:06}",
        agent_id="agent_test",
        agent_version=1,
        agent={"id": "agent_test", "name": "tester"},
        environment_id="env_test",
        environment={"id": "env_test", "config": {"type": "cloud"}},
        title=None,
        metadata={},
        resources=(),
        vault_ids=(),
        created_at=at or time.time(),
        incoming=first,
    )


def event(
    new: NewSession,
    kind: str = "agent.message",
    *,
    thread_id: str | None = None,
    primary: bool = True,
    at: float = 0,
    **fields: Any,
) -> Event:
    """An event ready to be appended."""
    event_id = fields.pop("id", None) or f"sevt_event{number()}"
    payload = {
        "id": event_id,
        "type": kind,
        "processed_at": "2026-01-01T00:00:00.000000Z",
        **fields,
    }
    return Event(
        event_id, kind, thread_id or new.primary_thread_id, payload, at or time.time(),
        primary=primary,
    )  # fmt: skip


def taken(new: NewSession, pending: Pending | Incoming) -> Event:
    """Input as it stands in the log."""
    payload = {**pending.payload, "processed_at": "2026-01-01T00:00:00.000000Z"}
    return Event(pending.id, pending.type, new.primary_thread_id, payload, time.time())


def derived(new: NewSession, status: str = "running", asks: tuple[Ask, ...] = ()) -> Derived:
    """The columns of a session in this state."""
    stop = {"type": "end_turn"} if status == "idle" else None
    return Derived(
        status=status,
        stop_reason=stop,
        asks=asks,
        usage={"input_tokens": 1},
        stats={"active_seconds": 0.5},
        active_since=1.0 if status == "running" else None,
        threads=(ThreadRow(new.primary_thread_id, status, None, None),),
    )


def queues(*entries: Incoming, starts: bool = True) -> Any:
    """A door's decision that queues these."""
    echoes = tuple(entry.payload for entry in entries)
    return lambda desk: Decision(queue=entries, starts_work=starts, echoes=echoes)


async def turn_over(log: Any, lease: Any, new: NewSession, seen: int) -> Any:
    """Take all input in, answer it, and park."""
    pending = await log.pending(new.id)
    entries = [
        *(taken(new, each) for each in pending),
        event(new, "agent.message", content=[]),
        event(new, "session.status_idle", stop_reason={"type": "end_turn"}),
    ]
    return await log.append(
        lease,
        entries,
        seen=seen,
        take=[each.id for each in pending],
        derived=derived(new, "idle"),
        park=Park(None),
    )


async def claim_one(log: Any, owner: str = "worker_1") -> Any:
    """The only session that is due."""
    (lease,) = await log.claim(owner, 1)
    return lease


def parsed(frame: bytes) -> dict[str, Any]:
    """An SSE frame's payload; its name must be the payload's type, its id the payload's id."""
    *place, name, data, one, two = frame.decode().split("\n")
    assert [one, two] == ["", ""]
    payload: dict[str, Any] = json.loads(data.removeprefix("data: "))
    assert name == f"event: {payload['type']}"
    assert place in ([], [f"id: {payload.get('id')}"])
    return payload


async def frames(follower: Any, most: int = 1000, seconds: float = 0.15) -> list[dict[str, Any]]:
    """What comes until nothing comes for a while, or the stream is over."""
    found: list[dict[str, Any]] = []
    while len(found) < most:
        try:
            frame = await follower.next(seconds)
        except StopAsyncIteration:
            break
        if frame is None:
            break
        found.append(parsed(frame))
    return found


def ids(events: Iterable[Any]) -> list[str]:
    """Their ids, in order."""
    return [each["id"] if isinstance(each, dict) else each.id for each in events]
