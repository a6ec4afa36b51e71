"""Stops in the database: imposing one, lifting it, and who is created under one.

Promises: all in one transaction each. Once a stop is written, an append of a worker that does not
know of it is refused (`append.py`), so nothing new begins; a session that is created at the same
moment is either found by the stop or finds it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from agentstead.errors import NotFound
from agentstead.ids import Ids
from agentstead.log.log import NewSession, Stop
from agentstead.log.rows import text_of
from agentstead.log.stop import words
from agentstead.store import audit
from agentstead.store.pool import Database, Transaction

LOCK_SPACE = 0x570B
"""First key of the advisory locks on the stops of a workspace; the second is its hash."""
ALONE = "select pg_advisory_xact_lock(%s, hashtext(%s))"
BESIDE = "select pg_advisory_xact_lock_shared(%s, hashtext(%s))"
MATCHES = """
    st.workspace_id = s.workspace_id and st.lifted_at is null
    and (st.agent_id is null or st.agent_id = s.agent_id)
    and (st.session_id is null or st.session_id = s.id)
    and not exists (select from json_each_text(coalesce(st.metadata, '{}')) as w(key, value)
                    where s.metadata ->> w.key is distinct from w.value)
"""
COLUMNS = """
    id, workspace_id, reason, created_by, agent_id, session_id, metadata, lifted_by, sessions,
    interrupted, extract(epoch from created_at)::float8 as created_at,
    extract(epoch from lifted_at)::float8 as lifted_at
"""
HOLDING = f"""
    select st.id from stops st,
        (select %s::text as workspace_id, %s::text as id, %s::text as agent_id, %s::json as metadata) s
    where {MATCHES} order by st.created_at, st.id limit 1
"""  # noqa: S608
INSERT = """
    insert into stops (id, workspace_id, reason, created_by, agent_id, session_id, metadata, created_at)
    values (%s, %s, %s, %s, %s, %s, %s::json, to_timestamp(%s))
"""
# Asks are stored by `rows.asks_text`, which writes their kind like this.
FOUND = f"""
    select s.id, s.stopped_by is null and
        (s.status <> 'idle' or s.asks::text like '%%"kind": "tool"%%') as works
    from sessions s join stops st on st.id = %s
    where s.workspace_id = %s and s.terminated_at is null and {MATCHES}
    order by s.id for no key update of s
"""  # noqa: S608
HOLD = "update sessions set stopped_by = %s where id = any(%s) and stopped_by is null"
INTERRUPT = """
    insert into inbox (session_id, id, workspace_id, thread_id, type, at, payload)
    select r.session_id, r.id, %s, null, r.type, to_timestamp(%s), r.payload::json
    from unnest(%s::text[], %s::text[], %s::text[], %s::text[])
      with ordinality as r(session_id, id, type, payload, place)
    order by r.place
    returning session_id, arrived
"""
WAKE = "update sessions set wake_at = least(wake_at, clock_timestamp()) where id = any(%s)"
COUNTED = "update stops set sessions = %s, interrupted = %s where id = %s"
LOCK = "select id from sessions where stopped_by = %s order by id for no key update"
FREE = f"""
    update sessions s set stopped_by =
        (select st.id from stops st where {MATCHES} order by st.created_at, st.id limit 1)
    where s.id = any(%s)
"""  # noqa: S608
GO_ON = """
    update sessions s set wake_at = least(s.wake_at, clock_timestamp())
    where s.id = any(%s) and s.stopped_by is null and s.terminated_at is null
      and (s.wake_at is not null or s.stop_reason::text like '%%budget_reached%%'
           or exists (select from inbox where inbox.session_id = s.id))
    returning s.id
"""


async def holding(tx: Transaction, new: NewSession) -> str | None:
    """The open stop that holds for a session to be; none comes or goes until the transaction ends."""
    await tx.execute(BESIDE, (LOCK_SPACE, new.workspace_id))
    facts = (new.workspace_id, new.id, new.agent_id, text_of(new.metadata))
    row = await tx.fetch_one(HOLDING, facts)
    return None if row is None else str(row["id"])


async def impose(tx: Transaction, ids: Ids, stop: Stop) -> tuple[Stop, Sequence[tuple[str, int]]]:
    """Write the stop and interrupt who works: these sessions, with the arrival of their interrupt."""
    await tx.execute(ALONE, (LOCK_SPACE, stop.workspace_id))
    metadata = None if stop.metadata is None else text_of(stop.metadata)
    await tx.execute(
        INSERT,
        (
            stop.id,
            stop.workspace_id,
            stop.reason,
            stop.created_by,
            stop.agent_id,
            stop.session_id,
            metadata,
            stop.created_at,
        ),
    )
    rows = await tx.fetch(FOUND, (stop.id, stop.workspace_id))
    await tx.execute(HOLD, (stop.id, [row["id"] for row in rows]))
    working = [row["id"] for row in rows if row["works"]]
    told = await interrupt(tx, ids, stop, working)
    await tx.execute(COUNTED, (len(rows), len(working), stop.id))
    detail = {"reason": stop.reason, "sessions": len(rows), "interrupted": len(working)}
    await note(tx, ids, stop, "create", stop.created_at, {**scope(stop), **detail})
    return replace(stop, sessions=len(rows), interrupted=len(working)), told


async def interrupt(
    tx: Transaction, ids: Ids, stop: Stop, session_ids: Sequence[str]
) -> Sequence[tuple[str, int]]:
    """Tell them why, and interrupt them, through their inbox."""
    if not session_ids:
        return ()
    sent = [(session_id, one) for session_id in session_ids for one in words(ids, stop)]
    rows = await tx.fetch(
        INTERRUPT,
        (
            stop.workspace_id,
            stop.created_at,
            [session_id for session_id, _ in sent],
            [one.id for _, one in sent],
            [one.type for _, one in sent],
            [text_of(one.payload) for _, one in sent],
        ),
    )
    await tx.execute(WAKE, (list(session_ids),))
    latest: dict[str, int] = {}
    for row in rows:
        latest[row["session_id"]] = max(row["arrived"], latest.get(row["session_id"], 0))
    return tuple(latest.items())


async def lift(
    tx: Transaction, ids: Ids, workspace_id: str, stop_id: str, by: str, at: float
) -> tuple[Stop, Sequence[str]]:
    """End a stop: it, and the sessions that go on. Another stop that matches takes its place."""
    await tx.execute(ALONE, (LOCK_SPACE, workspace_id))
    stop = await retrieve(tx, workspace_id, stop_id)
    if stop.lifted_at is not None:
        return stop, ()
    await tx.execute(
        "update stops set lifted_at = to_timestamp(%s), lifted_by = %s where id = %s",
        (at, by, stop_id),
    )
    rows = await tx.fetch(LOCK, (stop_id,))
    held = [row["id"] for row in rows]
    await tx.execute(FREE, (held,))
    freed = await tx.fetch(GO_ON, (held,))
    await note(tx, ids, stop, "lift", at, {**scope(stop), "sessions": len(held)})
    return await retrieve(tx, workspace_id, stop_id), [row["id"] for row in freed]


async def retrieve(source: Database | Transaction, workspace_id: str, stop_id: str) -> Stop:
    """One stop; NotFound."""
    row = await source.fetch_one(
        f"select {COLUMNS} from stops where workspace_id = %s and id = %s",  # noqa: S608
        (workspace_id, stop_id),
    )
    if row is None:
        raise NotFound(f"There is no stop {stop_id}.")
    return stop_of(row)


async def listed(
    source: Database | Transaction,
    workspace_id: str,
    *,
    lifted: bool,
    after: tuple[float, str] | None,
    limit: int,
) -> list[Stop]:
    """Stops, newest first, after that one; open ones only unless `lifted`."""
    at, last = after or (None, None)
    rows = await source.fetch(
        f"select {COLUMNS} from stops where workspace_id = %s and (%s or lifted_at is null)"  # noqa: S608
        " and (%s::float8 is null or (created_at, id) < (to_timestamp(%s::float8), %s))"
        " order by stops.created_at desc, id desc limit %s",
        (workspace_id, lifted, at, at, last, limit),
    )
    return [stop_of(row) for row in rows]


def stop_of(row: Mapping[str, Any]) -> Stop:
    """A stored stop."""
    return Stop(**row)


def scope(stop: Stop) -> dict[str, Any]:
    """Whom it holds for, as on the wire."""
    if stop.agent_id is not None:
        return {"scope": {"type": "agent", "agent_id": stop.agent_id}}
    if stop.session_id is not None:
        return {"scope": {"type": "session", "session_id": stop.session_id}}
    if stop.metadata is not None:
        return {"scope": {"type": "metadata", "metadata": dict(stop.metadata)}}
    return {"scope": {"type": "all"}}


async def note(
    tx: Transaction, ids: Ids, stop: Stop, verb: str, at: float, detail: Mapping[str, Any]
) -> None:
    """The audit row."""
    entry = audit.Entry(stop.workspace_id, f"stop.{verb}", "stop", stop.id, at, detail=detail)
    await audit.write(tx, ids, entry)
