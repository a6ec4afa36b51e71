"""Counts over all sessions come from the rows as they are."""

from datetime import UTC, datetime, timedelta
from typing import Any

from agentstead.clock import SystemClock
from agentstead.ids import RandomIds
from agentstead.log.census import live_workers, take_census, without_session
from agentstead.log.event_log import EventLog
from agentstead.store.pool import Database
from agentstead.store.workspace import DEFAULT_WORKSPACE

INSERT = (
    "insert into sessions (id, workspace_id, primary_thread_id, agent_id, agent_version, agent,"
    " environment_id, environment, created_at, updated_at, status, archived_at, terminated_at,"
    " wake_at, lease_until, lease_owner) values (%s, %s, 't', 'a', 1, '{}', 'e', '{}', now(), now(), %s, %s, %s,"
    " %s, %s, %s)"
)


def at(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


async def put(database: Database, id_: str, status: str, **given: Any) -> None:
    columns = ("archived_at", "terminated_at", "wake_at", "lease_until")
    values = [given.get(name) for name in columns]
    owner = "w" if given.get("lease_until") else None
    await database.execute(INSERT, (id_, DEFAULT_WORKSPACE, status, *values, owner))


async def test_states_are_counted_without_archived_sessions(database: Database) -> None:
    await put(database, "sesn_1", "idle")
    await put(database, "sesn_2", "idle")
    await put(database, "sesn_3", "running")
    await put(database, "sesn_4", "idle", archived_at=at(0))
    census = await take_census(database)
    assert census.sessions == {"idle": 2, "running": 1}
    assert census.oldest_due_seconds == 0


async def test_a_due_session_without_a_worker_shows_its_wait(database: Database) -> None:
    await put(database, "sesn_1", "running", wake_at=at(-40))
    held = {"wake_at": at(-90), "lease_until": at(60)}
    await put(database, "sesn_2", "running", **held)
    await put(database, "sesn_3", "running", wake_at=at(60))
    assert 39 < (await take_census(database)).oldest_due_seconds < 55


async def test_a_session_whose_worker_died_waits_since_its_lease_ended(database: Database) -> None:
    dead = {"wake_at": at(-90), "lease_until": at(-10)}
    await put(database, "sesn_1", "running", **dead)
    assert 9 < (await take_census(database)).oldest_due_seconds < 30


async def test_sessions_that_are_over_are_told_apart(database: Database) -> None:
    await put(database, "sesn_1", "idle")
    await put(database, "sesn_2", "idle", archived_at=at(0))
    await put(database, "sesn_3", "terminated", terminated_at=at(0))
    ids = ["sesn_1", "sesn_2", "sesn_3", "sesn_deleted"]
    assert await without_session(database, ids) == {"sesn_2", "sesn_3", "sesn_deleted"}


async def test_only_workers_whose_lock_is_held_are_alive(database: Database) -> None:
    log = EventLog(database, ids=RandomIds(SystemClock()), clock=SystemClock())
    await log.presence.join("worker_1")
    try:
        await database.execute("insert into workers (owner, host, pid) values ('dead', 'h', 1)")
        assert await live_workers(database) == {"worker_1"}
    finally:
        await log.presence.close()
    assert await live_workers(database) == frozenset()


async def test_work_queues_are_counted_together(database: Database) -> None:
    put_item = (
        "insert into work (id, workspace_id, environment_id, session_id, state, cause, created_at,"
        " updated_at, available_at) values (%s, %s, 'env_1', %s, %s, 'c', %s, now(), %s)"
    )
    for number, (state, since) in enumerate(
        [("queued", -40), ("queued", -5), ("active", -90), ("stopped", -300)]
    ):
        names = (f"work_{number}", DEFAULT_WORKSPACE, f"sesn_{number}")
        await database.execute(put_item, (*names, state, at(since), at(since)))
    for worker, seen in (("a", -1), ("b", -2), ("c", -100)):
        await database.execute(
            "insert into work_pollers values ('env_1', %s, %s, %s)",
            (worker, DEFAULT_WORKSPACE, at(seen)),
        )
    found = (await take_census(database)).work
    assert found.items == {"queued": 2, "active": 1}
    assert 39 < found.oldest_queued_seconds < 55
    assert found.polling == 2
