"""Pages of a session's events as their stored bytes: the log in its order, then what is queued.

Promises: a walk over all pages misses nothing that was there when it began and shows nothing twice,
also when input is taken in between two pages. So a place says how far the log was shown, and how far
the queue: what was shown queued is not shown again in the log, and what was not is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentstead.log.log import EventPage
from agentstead.store.pool import Database

Place = tuple[int, int, int]
"""How far a list has come: a seq, an arrival, and, newest first, the log's end when it began."""
END = (1 << 62) - 1
FIRST: Place = (0, 0, 0)
LAST: Place = (END, END, END)

COMPARISONS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}

FACTS = """
    select primary_thread_id, batch_ended_seq, batch_seen, head_seq,
           exists (select from inbox where session_id = s.id) as queued
    from sessions s where id = %s and workspace_id = %s
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a page is of."""

    session_id: str
    thread_id: str | None
    """None: the session's own view."""
    types: Sequence[str]
    created: Mapping[str, float] | None
    """gt, gte, lt, lte → seconds."""
    descending: bool
    limit: int
    after: Place | None

    @property
    def start(self) -> Place:
        """After what it begins."""
        return self.after or (LAST if self.descending else FIRST)

    @property
    def shows_queue(self) -> bool:
        """Whether queued input can be on it: it has no time, and newest first it comes first."""
        return not self.created and (not self.descending or self.start[0] == END)


@dataclass(frozen=True, slots=True)
class Found:
    """A page, and whether it shows the end of the latest turn."""

    page: EventPage
    shows_end: bool


async def page(
    database: Database, workspace_id: str, wanted: Wanted
) -> tuple[Mapping[str, Any], Found] | None:
    """The session's facts and a page; None when there is no such session.

    The log is read right after the facts: mostly nothing is queued, and then it holds all there was.
    """
    where, params = logged(wanted)
    way = "desc" if wanted.descending else "asc"
    log = (
        f"select seq, payload from events where {where}"  # noqa: S608 - our words
        f" order by seq {way} limit {wanted.limit + 1}"
    )
    facts, rows = await database.fetch_one_and_raw(
        (FACTS, (wanted.session_id, workspace_id)), (log, params)
    )
    if facts is None:
        return None
    if facts["queued"] and wanted.shows_queue:
        return facts, await both(database, wanted, facts)
    return facts, log_alone(wanted, facts, rows)


def log_alone(wanted: Wanted, facts: Mapping[str, Any], rows: list[tuple[Any, ...]]) -> Found:
    """A page of the log only."""
    more = len(rows) > wanted.limit
    del rows[wanted.limit :]
    texts = tuple([row[1] for row in rows])
    if not rows:
        return Found(EventPage((), None, more), shows_end=False)
    low, high = sorted((rows[0][0], rows[-1][0]))
    ended = facts["batch_ended_seq"]
    shows_end = ended is not None and low <= ended <= high and any(row[0] == ended for row in rows)
    last = place_of(wanted, rows[-1][0], None, max(facts["head_seq"], high))
    return Found(EventPage(texts, last, more), shows_end)


async def both(database: Database, wanted: Wanted, facts: Mapping[str, Any]) -> Found:
    """Log and queue in one statement, so that input that is taken in meanwhile is seen once."""
    log_where, log_params = logged(wanted)
    queue_where, queue_params = queued(wanted, facts["primary_thread_id"])
    way = "desc" if wanted.descending else "asc"
    most = wanted.limit + 1
    rows = await database.fetch_raw(
        f"""
        (select 0, seq, payload, (select head_seq from sessions where id = %s) from events
          where {log_where} order by seq {way} limit {most})
        union all
        (select 1, arrived, payload, (select head_seq from sessions where id = %s) from inbox
          where {queue_where} order by arrived {way} limit {most})
        order by 1 {way}, 2 {way} limit {most}
        """,  # noqa: S608 - every word of it is ours; values are parameters
        (wanted.session_id, *log_params, wanted.session_id, *queue_params),
    )
    more = len(rows) > wanted.limit
    del rows[wanted.limit :]
    texts = tuple([row[2] for row in rows])
    if not rows:
        return Found(EventPage((), None, more), shows_end=False)
    last_part, last_place, _, head = rows[-1]
    arrived = next((place for part, place, _, _ in reversed(rows) if part == 1), None)
    last = place_of(wanted, None if last_part else last_place, arrived, head)
    ended = facts["batch_ended_seq"]
    shows_end = any(part == 0 and place == ended for part, place, _, _ in rows)
    return Found(EventPage(texts, last, more), shows_end)


def place_of(wanted: Wanted, seq: int | None, arrived: int | None, head: int) -> Place:
    """Where the page after one begins.

    `seq`: of its last row, None when that was queued; `arrived`: of its last queued row.
    """
    before_seq, before_arrived, before_head = wanted.start
    arrived = before_arrived if arrived is None else arrived
    if wanted.descending:
        return before_seq if seq is None else seq, arrived, min(before_head, head)
    return head if seq is None else seq, arrived, 0


def logged(wanted: Wanted) -> tuple[str, list[Any]]:
    """Which events of the log."""
    terms, params = conditions(wanted.session_id, wanted.types, wanted.created)
    if wanted.thread_id is None:
        terms.append("primary_view")
    else:
        terms.append("thread_id = %s")
        params.append(wanted.thread_id)
    seq, arrived, head = wanted.start
    if wanted.descending:
        terms.append("seq < %s and (seq <= %s or arrived < %s)")
        params += [seq, head, arrived]
    else:
        terms.append("seq > %s and (arrived is null or arrived > %s)")
        params += [seq, arrived]
    return " and ".join(terms), params


def queued(wanted: Wanted, primary_thread_id: str) -> tuple[str, list[Any]]:
    """Which input that waits."""
    terms, params = conditions(wanted.session_id, wanted.types, None)
    if wanted.thread_id is not None:
        terms.append("coalesce(thread_id, %s) = %s")
        params += [primary_thread_id, wanted.thread_id]
    terms.append("arrived < %s" if wanted.descending else "arrived > %s")
    params.append(wanted.start[1])
    return " and ".join(terms), params


def conditions(
    session_id: str, types: Sequence[str], created: Mapping[str, float] | None
) -> tuple[list[str], list[Any]]:
    """What holds for both the log and the inbox."""
    terms, params = ["session_id = %s"], [session_id]
    values: list[Any] = list(params)
    if types:
        terms.append("type = any(%s)")
        values.append(list(types))
    for name, at in (created or {}).items():
        terms.append(f"at {COMPARISONS[name]} to_timestamp(%s)")
        values.append(at)
    return terms, values
