"""What sessions put into the work queue: when, how often, and who is told of it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from agentstead.clock import SystemClock
from agentstead.ids import RandomIds
from agentstead.log import work
from agentstead.log.event_log import EventLog
from agentstead.log.log import Ask, Change, NewSession
from agentstead.store.pool import Database, Transaction
from agentstead.store.workspace import DEFAULT_WORKSPACE
from tests.support.sessions import a_session, claim_one, derived, event, message, queues

ENVIRONMENT = "env_mine"
TOOL = Ask("sevt_call", "tool", "sthr_1")
IDS = RandomIds(SystemClock())


@pytest.fixture
def told() -> list[tuple[str, str, int]]:
    """Who was told of what, and how many items there were to be found at that moment."""
    return []


@pytest.fixture
async def log(database: Database, told: list[Any]) -> AsyncIterator[EventLog]:
    async def hears(tx: Transaction, environment_id: str, session_id: str) -> None:
        row = await tx.fetch_one("select count(*) as n from work where state = 'queued'")
        assert row
        told.append((environment_id, session_id, row["n"]))

    await database.execute(
        "insert into environments (id, workspace_id, name, config, created_at, updated_at)"
        " values (%s, %s, 'mine', '{\"type\":\"self_hosted\"}', now(), now())",
        (ENVIRONMENT, DEFAULT_WORKSPACE),
    )
    made = EventLog(database, ids=IDS, clock=SystemClock(), work_queued=hears)
    async with made:
        yield made


def hosted(*first: Any) -> NewSession:
    new = a_session(*first)
    environment = {"id": ENVIRONMENT, "config": {"type": "self_hosted"}}
    return NewSession(
        **{
            **{name: getattr(new, name) for name in NewSession.__dataclass_fields__},
            "environment_id": ENVIRONMENT,
            "environment": environment,
        }
    )


async def items(database: Database, session_id: str | None = None) -> list[dict[str, Any]]:
    rows = await database.fetch("select * from work order by created_at, id")
    return [row for row in rows if session_id in (None, row["session_id"])]


async def test_input_queues_one_item_in_its_own_transaction(
    database: Database, log: EventLog, told: list[Any]
) -> None:
    """Trap 18, clients rule 39: who is told finds the item."""
    new = hosted()
    await log.create(new)
    assert await items(database) == []
    await log.accept(DEFAULT_WORKSPACE, new.id, (), queues(message()))
    await log.accept(DEFAULT_WORKSPACE, new.id, (), queues(message()))
    (item,) = await items(database)
    assert (item["state"], item["session_id"]) == ("queued", new.id)
    assert told == [(ENVIRONMENT, new.id, 1)]
    second = hosted(message())
    await log.create(second)
    assert told[1:] == [(ENVIRONMENT, second.id, 2)]


async def test_a_refused_input_queues_nothing(database: Database, log: EventLog) -> None:
    new = hosted()
    await log.create(new)

    def refuses(_: Any) -> Any:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await log.accept(DEFAULT_WORKSPACE, new.id, (), refuses)
    assert await items(database) == []


async def test_an_archived_environment_gets_no_more(database: Database, log: EventLog) -> None:
    await database.execute("update environments set archived_at = now()")
    await log.create(hosted(message()))
    assert await items(database) == []


async def test_calls_of_a_worker_queue_an_item_when_none_is_live(
    database: Database, log: EventLog, told: list[Any]
) -> None:
    new = hosted(message())
    await log.create(new)
    lease = await claim_one(log)
    await log.append(lease, [event(new)], seen=0, derived=derived(new, asks=(TOOL,)))
    assert len(await items(database)) == 1  # it has one already
    await database.execute("update work set state = 'stopped'")
    for kind, number in (("confirmation", 1), ("custom", 1), ("tool", 2), ("tool", 2)):
        asks = (Ask("sevt_call", kind, "sthr_1"),)
        await log.append(lease, [event(new)], seen=1, derived=derived(new, asks=asks))
        assert len(await items(database)) == number, kind
    await database.execute("update work set state = 'stopped'")
    await log.append(lease, [event(new)], seen=1, derived=derived(new, asks=(TOOL,)))
    assert len(await items(database)) == 2  # what becomes of these calls was decided at its end
    assert len(told) == 2


async def test_ended_sessions_take_their_items_back(database: Database, log: EventLog) -> None:
    archived, deleted, ended = hosted(message()), hosted(message()), hosted(message())
    for new in (archived, deleted, ended):
        await log.create(new)
    change = Change({"status": "terminated", "archived_at": 1.0, "terminated_at": 1.0})
    await log.change(DEFAULT_WORKSPACE, archived.id, lambda _: change)
    await log.delete(DEFAULT_WORKSPACE, deleted.id, lambda _: None)
    leases = await log.claim("worker_1", 5)
    (lease,) = [each for each in leases if each.session_id == ended.id]
    await log.append(lease, [event(ended)], seen=0, derived=derived(ended, "terminated"))
    found = {row["session_id"]: (row["state"], row["reason"]) for row in await items(database)}
    assert found == {
        archived.id: ("stopped", "The session was archived."),
        deleted.id: ("stopped", "The session was deleted."),
        ended.id: ("stopped", "The session ended."),
    }


async def again(database: Database, session_id: str, **more: Any) -> work.Again:
    numbers: dict[str, Any] = {"times_max": 3, "first_seconds": 1.0, **more}
    async with database.transaction() as tx:
        return await work.wanted_again(tx, session_id, "because", **numbers)


async def test_an_ended_item_is_followed_by_another_a_limited_number_of_times(
    database: Database, log: EventLog
) -> None:
    """Clients rule 54."""
    new = hosted(message())
    await log.create(new)
    await database.execute("update work set state = 'stopped'")
    running = await again(database, new.id)
    assert running.offer
    assert running.offer.cause.startswith("turn:")
    lease = await claim_one(log)
    await log.append(lease, [event(new)], seen=0, derived=derived(new, "idle", asks=(TOOL,)))
    await database.execute("update work set state = 'stopped', cause = 'other'")
    waits = []
    for _ in range(3):
        found = await again(database, new.id)
        assert found.offer
        waits.append(found.offer.wait_seconds)
        async with database.transaction() as tx:
            assert await work.offer(tx, IDS, [found.offer]) == [ENVIRONMENT]
            assert await work.offer(tx, IDS, [found.offer]) == []
        await database.execute("update work set state = 'stopped'")
    assert waits == [1.0, 5.0, 25.0]
    assert await again(database, new.id) == work.Again(None, ("sevt_call",))
    await log.append(lease, [event(new)], seen=1, derived=derived(new, "idle"))
    assert await again(database, new.id) == work.Again(None)


def test_the_cause_of_calls_is_the_same_as_long_as_nothing_moves() -> None:
    other = Ask("sevt_other", "custom", "sthr_1")
    both = work.for_calls([TOOL, other])
    assert both == work.for_calls([other, TOOL])
    assert both != work.for_calls([TOOL])
    assert work.for_calls([Ask("sevt_call", "confirmation", "sthr_1")]) is None
    assert work.for_a_worker([other]) is None
    assert work.for_a_worker([TOOL, other]) == both
