"""Whose turn it is: PostgreSQL's log and the one in memory, one suite."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from agentstead.clock import SystemClock
from agentstead.ids import RandomIds
from agentstead.log.claims import Share, Shares
from agentstead.log.event_log import EventLog
from agentstead.store.pool import Database
from agentstead.store.workspace import DEFAULT_WORKSPACE as MANY
from agentstead.testing.memory_log import MemoryLog
from tests.support.sessions import a_session, message, turn_over

FEW = "wrkspc_010000000000000000000few"
THIRD = "wrkspc_0100000000000000000third"
LEASE_SECONDS, SHORT_SECONDS = 60.0, 0.3
Opens = Callable[..., Any]


@pytest.fixture(params=["postgres", "memory"])
def url(request: pytest.FixtureRequest) -> str | None:
    """Of a fresh database; None: in memory."""
    return request.getfixturevalue("database_url") if request.param == "postgres" else None


@pytest.fixture
async def opened(url: str | None) -> AsyncIterator[Opens]:
    """Opens the log with given shares."""
    if url is None:

        async def memory(
            shares: Shares | None = None, lease_seconds: float = LEASE_SECONDS
        ) -> MemoryLog:
            return MemoryLog(SystemClock(), lease_seconds, shares)

        yield memory
        return
    logs: list[EventLog] = []
    database = await Database.open(url)
    for workspace in (FEW, THIRD):
        await database.execute("insert into workspaces values (%s, 'other')", (workspace,))

    async def postgres(
        shares: Shares | None = None, lease_seconds: float = LEASE_SECONDS
    ) -> EventLog:
        log = EventLog(
            database,
            ids=RandomIds(),
            clock=SystemClock(),
            lease_seconds=lease_seconds,
            shares=shares,
        )
        await log.start()
        logs.append(log)
        return log

    yield postgres
    for log in logs:
        await log.close()
    await database.close()


async def queued(log: Any, workspace: str, count: int, priority: int = 0) -> list[Any]:
    """Sessions that wait, in this order."""
    made = []
    for _ in range(count):
        new = replace(a_session(message(), workspace=workspace), priority=priority)
        await log.create(new)
        made.append(new)
    return made


async def spaces(log: Any, limit: int, owner: str = "w") -> Counter[str]:
    """How many are claimed of each workspace."""
    return Counter(lease.workspace_id for lease in await log.claim(owner, limit))


async def test_a_backlog_delays_no_other_workspace(opened: Opens) -> None:
    log = await opened()
    await queued(log, MANY, 12)
    assert await spaces(log, 2) == {MANY: 2}
    (late,) = await queued(log, FEW, 1)
    # one place is free, and ten others have waited for longer
    assert [lease.session_id for lease in await log.claim("w", 1)] == [late.id]


async def test_places_are_shared_by_what_runs_already(opened: Opens) -> None:
    log = await opened()
    await queued(log, MANY, 8)
    assert await spaces(log, 3) == {MANY: 3}
    await queued(log, FEW, 8)
    assert await spaces(log, 3, "another") == {FEW: 3}
    assert await spaces(log, 4) == {MANY: 2, FEW: 2}


async def test_a_workspace_with_twice_the_weight_gets_twice_the_places(opened: Opens) -> None:
    log = await opened(Shares(own={FEW: Share(weight=2.0)}))
    for workspace in (MANY, FEW, THIRD):
        await queued(log, workspace, 9)
    assert await spaces(log, 8) == {MANY: 2, FEW: 4, THIRD: 2}


async def test_a_workspace_runs_no_more_than_it_may(opened: Opens) -> None:
    log = await opened(Shares(Share(running_max=2), {FEW: Share(running_max=3)}))
    first = await queued(log, MANY, 4)
    await queued(log, FEW, 4)
    leases = await log.claim("w", 20)
    assert Counter(lease.workspace_id for lease in leases) == {MANY: 2, FEW: 3}
    assert await log.claim("another", 20) == []
    mine = next(lease for lease in leases if lease.session_id == first[0].id)
    await turn_over(log, mine, first[0], 0)
    # a turn has ended: one more of the same workspace, the oldest
    assert [lease.session_id for lease in await log.claim("another", 20)] == [first[2].id]


async def test_the_urgent_come_first_within_their_workspace_only(opened: Opens) -> None:
    log = await opened()
    await queued(log, MANY, 2)
    (urgent,) = await queued(log, MANY, 1, priority=3)
    (low,) = await queued(log, FEW, 1, priority=-3)
    assert {lease.session_id for lease in await log.claim("w", 2)} == {urgent.id, low.id}


async def test_what_waits_long_enough_goes_before_what_is_more_urgent(opened: Opens) -> None:
    log = await opened()
    (old,) = await queued(log, MANY, 1)
    await waited(log, old.id, 100)
    await queued(log, MANY, 1, priority=1)  # worth a minute
    (more,) = await queued(log, MANY, 1, priority=2)
    first, second = await log.claim("w", 1), await log.claim("w", 1)
    assert [first[0].session_id, second[0].session_id] == [more.id, old.id]


async def waited(log: Any, session_id: str, seconds: float) -> None:
    """Make it look as if it had waited for so much longer."""
    if isinstance(log, MemoryLog):
        session = log.sessions[session_id]
        session.update(wake_at=session.row.wake_at - seconds)
        return
    await log.database.execute(
        "update sessions set wake_at = wake_at - make_interval(secs => %s) where id = %s",
        (seconds, session_id),
    )


async def test_what_is_handed_back_goes_on_where_it_was_in_the_order(opened: Opens) -> None:
    log = await opened()
    (first,) = await queued(log, MANY, 1)
    leases = await log.claim("w", 1)
    await queued(log, MANY, 3)
    await log.release(leases)
    assert [lease.session_id for lease in await log.claim("another", 1)] == [first.id]


async def test_an_expired_lease_counts_as_waiting(opened: Opens) -> None:
    log = await opened(Shares(Share(running_max=1)), SHORT_SECONDS)
    (first,) = await queued(log, MANY, 1)
    assert await spaces(log, 5) == {MANY: 1}
    await queued(log, MANY, 1)
    await SystemClock().sleep(SHORT_SECONDS + 0.05)
    assert [lease.session_id for lease in await log.claim("another", 5)] == [first.id]
