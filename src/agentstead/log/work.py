"""What sessions put into the work queue of their self-hosted environment (work queue §1.6).

Promises: a session has at most one live item; an item is queued in the transaction that makes the
session want a host, so whoever hears of that finds it; a session that has ended wants none. Lock
order: the session's row first, then its items. When an item comes to its end, `wanted_again` looks
whether the session still needs somebody.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agentstead.ids import WORK, Ids
from agentstead.log.asks import ANSWERS, remaining
from agentstead.log.log import Ask, Incoming
from agentstead.log.rows import asks_of
from agentstead.log.work_bell import Queued, tell_nobody
from agentstead.store.pool import Transaction

OFFER = """
    insert into work (id, workspace_id, environment_id, session_id, state, cause, created_at,
                      updated_at, available_at, reason)
    select r.id, s.workspace_id, s.environment_id, s.id, 'queued', r.cause, now.at, now.at,
           now.at + make_interval(secs => r.wait), r.reason
    from unnest(%s::text[], %s::text[], %s::text[], %s::float8[], %s::text[])
           as r(id, session_id, cause, wait, reason)
    join sessions s on s.id = r.session_id
    join environments e on e.id = s.environment_id and e.archived_at is null
    cross join (select clock_timestamp() as at) now
    where not exists (select from work w where w.session_id = s.id and w.state <> 'stopped')
    on conflict (session_id) where state <> 'stopped' do nothing
    returning id, session_id, environment_id
"""
WITHDRAW = """
    update work set state = 'stopped', stopped_at = clock_timestamp(),
        updated_at = clock_timestamp(), reason = %s
    where session_id = any(%s) and state <> 'stopped'
"""
SEEN = "select distinct cause from work where session_id = any(%s) and cause = any(%s)"
SESSION = """
    select s.status, s.asks, s.batch_first
    from sessions s join environments e on e.id = s.environment_id and e.archived_at is null
    where s.id = %s and s.archived_at is null and s.terminated_at is null
"""
"""Nothing when it wants no host: it has ended, or no worker can come to it any more."""
QUEUED_ANSWERS = """
    select payload from inbox where session_id = %s and type = any(%s) order by arrived
"""
TIMES = "select count(*) as times from work where session_id = %s and cause = %s"
WAIT_FACTOR = 5.0


@dataclass(frozen=True, slots=True)
class Offer:
    """A session that wants a host."""

    session_id: str
    cause: str
    """What for; the same as long as nothing moves."""
    wait_seconds: float = 0.0
    reason: str | None = None
    """Why again, when it had an item before."""


def for_input(event_id: str) -> str:
    """The cause of a turn that begins with this event."""
    return f"input:{event_id}"


def for_calls(asks: Iterable[Ask]) -> str | None:
    """The cause of calls that wait for results; None when none does."""
    calls = sorted(ask.id for ask in asks if ask.kind != "confirmation")
    if not calls:
        return None
    return "calls:" + hashlib.sha256(" ".join(calls).encode()).hexdigest()[:24]


def for_a_worker(asks: Sequence[Ask]) -> str | None:
    """The same, but only when a self-hosted worker is among those who must answer."""
    return for_calls(asks) if any(ask.kind == "tool" for ask in asks) else None


async def offer(
    tx: Transaction, ids: Ids, offers: Sequence[Offer], told: Queued = tell_nobody
) -> list[str]:
    """Queue items for sessions without a live one; the environments in which there is news."""
    rows = await tx.fetch(
        OFFER,
        (
            [ids.new(WORK) for _ in offers],
            [each.session_id for each in offers],
            [each.cause for each in offers],
            [each.wait_seconds for each in offers],
            [each.reason for each in offers],
        ),
    )
    for row in rows:
        await told(tx, row["environment_id"], row["session_id"])
    return [row["environment_id"] for row in rows]


async def offer_calls(
    tx: Transaction, ids: Ids, offers: Sequence[Offer], told: Queued = tell_nobody
) -> list[str]:
    """The same for calls that wait; those that have had an item of their own are left alone.

    What becomes of them is decided when that item ends.
    """
    seen = await tx.fetch(SEEN, ([o.session_id for o in offers], [o.cause for o in offers]))
    known = {row["cause"] for row in seen}
    fresh = [each for each in offers if each.cause not in known]
    return await offer(tx, ids, fresh, told) if fresh else []


async def withdraw(tx: Transaction, session_ids: Sequence[str], reason: str) -> None:
    """These sessions want no host any more; holders learn it with their next heartbeat."""
    await tx.execute(WITHDRAW, (reason, list(session_ids)))


@dataclass(frozen=True, slots=True)
class Again:
    """Whether a session whose item has ended needs another."""

    offer: Offer | None
    """The next item."""
    given_up: tuple[str, ...] = ()
    """Calls that too many workers in a row have left unanswered."""


async def wanted_again(
    tx: Transaction, session_id: str, reason: str, *, times_max: int, first_seconds: float
) -> Again:
    """Look at a locked session whose item has just ended."""
    row = await tx.fetch_one(SESSION, (session_id,))
    if row is None:
        return Again(None)
    answers = await tx.fetch(QUEUED_ANSWERS, (session_id, list(ANSWERS)))
    asks = remaining(asks_of(row["asks"]), [entry["payload"] for entry in answers])
    cause = for_calls(asks)
    if cause is None:
        if row["status"] not in ("running", "rescheduling"):
            return Again(None)
        cause = f"turn:{row['batch_first']}"
    counted = await tx.fetch_one(TIMES, (session_id, cause))
    times = int(counted["times"]) if counted else 0
    if times >= times_max:
        return Again(None, tuple(ask.id for ask in asks if ask.kind != "confirmation"))
    return Again(Offer(session_id, cause, first_seconds * WAIT_FACTOR**times, reason))


def complaint(event_id: str, at: str, calls: Sequence[str], reason: str) -> Incoming:
    """What the session is told when it is offered to no more workers."""
    message = (
        "One worker after the other has taken this session and left without answering "
        f"{', '.join(calls)}. The last one: {reason} It is offered to no more workers for these "
        "calls. Answer them with user.tool_result, or send user.interrupt and begin anew."
    )
    payload = {
        "type": "session.error",
        "id": event_id,
        "error": {
            "type": "unknown_error",
            "message": message,
            "retry_status": {"type": "exhausted"},
        },
        "processed_at": at,
    }
    return Incoming(event_id, "session.error", None, payload)
