"""Reservations on a real database: no overshoot whatever runs at once, nothing lost, nothing doubled."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from agentstead.clock import SystemClock
from agentstead.errors import LeaseLost
from agentstead.ids import RandomIds
from agentstead.log.charges import Bound
from agentstead.log.event_log import EventLog
from agentstead.log.log import Lease, NewSession
from agentstead.resources.budgets.reserving import Reservations
from agentstead.store.pool import Database
from agentstead.store.workspace import DEFAULT_WORKSPACE as WS
from agentstead.testing.clock import ManualClock
from agentstead.wire.events.stored import Event
from tests.support.sessions import a_session, claim_one, derived, event, message

DAY = 86_400.0
CENT = 10**10


@pytest.fixture
async def log(database: Database) -> AsyncIterator[EventLog]:
    async with EventLog(database, ids=RandomIds(), clock=SystemClock()) as opened:
        yield opened


async def budget(database: Database, budget_id: str, **columns: Any) -> str:
    values = {
        "id": budget_id, "workspace_id": WS, "name": budget_id, "scope": "workspace",
        "period": "total", "starts_at": datetime.now(UTC), "created_at": datetime.now(UTC),
        "updated_at": datetime.now(UTC), **columns,
    }  # fmt: skip
    names, marks = ", ".join(values), ", ".join(["%s"] * len(values))
    await database.execute(f"insert into budgets ({names}) values ({marks})", [*values.values()])
    return budget_id


async def begun(log: EventLog, **changes: Any) -> tuple[NewSession, Lease]:
    new = replace(a_session(message()), **changes)
    await log.create(new)
    return new, await claim_one(log)


def end(new: NewSession, request_id: str, cost: int | None, tokens: int) -> Event:
    made = event(new, "span.model_request_end", model_request_start_id=request_id)
    usage = {"input_tokens": tokens, "output_tokens": 0}
    return replace(made, private={"usage": usage, "list_cost": cost, "model": "m"})


def bound(cost: int | None = CENT, tokens: int = 10) -> Bound:
    return Bound(cost, tokens, "m")


async def standing(database: Database) -> dict[str, tuple[int, int]]:
    """Spent and reserved of each budget."""
    rows = await database.fetch(
        "select b.id, b.picodollars + coalesce(sum(r.picodollars) filter (where r.settled), 0) as spent,"
        " coalesce(sum(r.picodollars) filter (where not r.settled), 0) as reserved"
        " from budgets b left join budget_reservations r on r.budget_id = b.id group by b.id"
    )
    return {row["id"]: (int(row["spent"]), int(row["reserved"])) for row in rows}


async def test_a_thousand_sessions_in_a_race_never_overshoot(
    database: Database, database_url: str
) -> None:
    """1,000 sessions of two agents ask at once, over 50 connections; each limit lets fewer through."""
    async with EventLog(database, ids=RandomIds(), clock=SystemClock()) as log:
        first = a_session(message(), at=1.0)
        await log.create(first)
    await database.execute(
        "insert into sessions (id, workspace_id, primary_thread_id, agent_id, agent_version, agent,"
        " environment_id, environment, created_at, updated_at, status, fence, lease_owner)"
        " select 'sesn_race' || n, %s, 'sthr_race' || n, 'agent_' || n %% 2, 1, '{}', 'env', '{}', now(),"
        " now(), 'running', 1, 'w' from generate_series(1, 1000) n",
        (WS,),
    )
    await budget(database, "budget_all", max_picodollars=600 * CENT)
    await budget(
        database, "budget_one", scope="agent", agent_id="agent_1", max_picodollars=200 * CENT
    )
    await budget(database, "budget_tokens", max_tokens=5_000)
    pools = [await Database.open(database_url, connections_max=5) for _ in range(10)]
    # Two desks of five connections each would be one transaction at a time each: fifty desks.
    desks = [Reservations(pools[n % 10], SystemClock()) for n in range(50)]

    async def ask(n: int) -> str:
        lease = Lease(f"sesn_race{n}", WS, 1, "w")
        short = await desks[n % 50].reserve(lease, f"sthr_race{n}", f"request_{n}", bound())
        return "reserved" if short is None else f"{short.budget_id} {short.final}"

    try:
        outcomes = await asyncio.gather(*(ask(n) for n in range(1, 1001)))
    finally:
        for pool in pools:
            await pool.close()
    assert outcomes.count("reserved") == 500  # 5,000 tokens, ten each
    assert "budget_tokens False" in outcomes  # it may fit once others have settled
    counts = await standing(database)
    assert counts["budget_all"] == (0, 500 * CENT)
    assert counts["budget_one"][1] <= 200 * CENT
    waiting = await database.fetch_one("select count(*) as n from budget_waits where not final")
    assert waiting == {"n": 500}


async def test_what_was_used_takes_the_place_of_what_was_reserved(
    log: EventLog, database: Database
) -> None:
    new, lease = await begun(log)
    await budget(database, "budget_1", max_picodollars=10 * CENT)
    desk = Reservations(database, SystemClock())
    assert await desk.reserve(lease, "t", "request_1", bound(9 * CENT)) is None
    short = await desk.reserve(lease, "t2", "request_2", bound(2 * CENT))
    assert short is not None
    assert not short.final
    done = await log.append(
        lease, [end(new, "request_1", 3 * CENT, 7)], seen=0, derived=derived(new)
    )
    assert done.budgeted
    assert await standing(database) == {"budget_1": (3 * CENT, 0)}
    assert await desk.reserve(lease, "t2", "request_2", bound(2 * CENT)) is None
    assert await standing(database) == {"budget_1": (3 * CENT, 2 * CENT)}
    short = await desk.reserve(lease, "t3", "request_3", bound(8 * CENT))
    assert short is not None
    assert short.final
    assert await database.fetch("select thread_id, final from budget_waits") == [
        {"thread_id": "t3", "final": True}
    ]


async def test_a_request_is_reserved_and_settled_once_whoever_drives_it(
    log: EventLog, database: Database
) -> None:
    """The worker dies after reserving; the next one finds the request begun, and the old one comes back."""
    new, old = await begun(log)
    await budget(database, "budget_1", max_picodollars=10 * CENT)
    desk = Reservations(database, SystemClock())
    assert await desk.reserve(old, "t", "request_1", bound(6 * CENT)) is None
    await database.execute("update sessions set lease_until = now() - interval '1 s'")
    fresh = await claim_one(log)
    assert fresh.fence > old.fence
    assert await desk.reserve(fresh, "t", "request_1", bound(6 * CENT)) is None
    assert await standing(database) == {"budget_1": (0, 6 * CENT)}
    await log.append(fresh, [end(new, "request_1", CENT, 1)], seen=0, derived=derived(new))
    with pytest.raises(LeaseLost):
        await desk.reserve(old, "t", "request_1", bound(6 * CENT))
    with pytest.raises(LeaseLost):
        await log.append(old, [end(new, "request_1", CENT, 1)], seen=0, derived=derived(new))
    assert await standing(database) == {"budget_1": (CENT, 0)}
    ledger = await database.fetch_one(
        "select count(*) as n, sum(picodollars) as p from usage_ledger"
    )
    assert ledger == {"n": 1, "p": CENT}


async def test_a_request_without_an_outcome_gives_all_of_it_back(
    log: EventLog, database: Database
) -> None:
    new, lease = await begun(log)
    await budget(database, "budget_1", max_picodollars=10 * CENT)
    desk = Reservations(database, SystemClock())
    await desk.reserve(lease, "t", "request_1", bound(6 * CENT))
    await desk.reserve(lease, "t", "request_1:judge", bound(CENT))
    aborted = event(new, "span.model_request_end", model_request_start_id="request_1")
    await log.append(lease, [aborted], seen=0, derived=derived(new))
    assert await standing(database) == {"budget_1": (0, 0)}
    assert not await database.fetch("select from usage_ledger")


async def test_a_judge_is_settled_with_the_request_it_judges(
    log: EventLog, database: Database
) -> None:
    new, lease = await begun(log)
    await budget(database, "budget_1", max_picodollars=10 * CENT)
    desk = Reservations(database, SystemClock())
    await desk.reserve(lease, "t", "request_1", bound(6 * CENT))
    await desk.reserve(lease, "t", "request_1:judge", bound(3 * CENT))
    record = {"model": "j", "usage": {"input_tokens": 5}, "list_cost": 2 * CENT}
    call = replace(event(new, "agent.tool_use", name="bash", input={}), private={"judge": record})
    await log.append(lease, [call, end(new, "request_1", CENT, 1)], seen=0, derived=derived(new))
    assert await standing(database) == {"budget_1": (3 * CENT, 0)}
    models = await database.fetch("select model, input_tokens from usage_ledger order by model")
    assert models == [
        {"model": "j", "input_tokens": 5},
        {"model": "m", "input_tokens": 1},
    ]


async def test_a_new_day_begins_anew_and_pays_not_for_the_old_one(
    log: EventLog, database: Database
) -> None:
    new, lease = await begun(log)
    clock = ManualClock(DAY * 20_000 + 100)
    midnight = datetime.fromtimestamp(DAY * 20_000, UTC)
    await budget(database, "budget_1", period="day", starts_at=midnight, max_picodollars=10 * CENT)
    desk = Reservations(database, clock)
    assert await desk.reserve(lease, "t", "request_1", bound(9 * CENT)) is None
    short = await desk.reserve(lease, "t", "request_2", bound(9 * CENT))
    assert short is not None
    assert short.until == DAY * 20_001
    clock.at = DAY * 20_001 + 1
    assert await desk.reserve(lease, "t", "request_2", bound(9 * CENT)) is None
    await log.append(lease, [end(new, "request_1", 9 * CENT, 1)], seen=0, derived=derived(new))
    assert await desk.reserve(lease, "t", "request_3", bound(CENT)) is None
    row = await database.fetch_one("select picodollars, starts_at from budgets")
    assert row == {"picodollars": 0, "starts_at": datetime.fromtimestamp(DAY * 20_001, UTC)}


async def test_what_has_no_price_fits_no_limit_in_money(log: EventLog, database: Database) -> None:
    _, lease = await begun(log)
    await budget(database, "budget_1", max_tokens=100)
    desk = Reservations(database, SystemClock())
    assert await desk.reserve(lease, "t", "request_1", bound(None)) is None
    await budget(database, "budget_2", max_picodollars=100 * CENT)
    short = await desk.reserve(lease, "t", "request_2", bound(None))
    assert short is not None
    assert (short.budget_id, short.final) == ("budget_2", True)


async def test_budgets_of_other_agents_and_workspaces_do_not_matter(
    log: EventLog, database: Database
) -> None:
    new, lease = await begun(log)
    await database.execute("insert into workspaces (id, name) values ('wrkspc_2', 'two')")
    await budget(database, "budget_1", scope="agent", agent_id="agent_else", max_picodollars=1)
    await budget(database, "budget_2", workspace_id="wrkspc_2", max_picodollars=1)
    await budget(database, "budget_3", max_picodollars=1, archived_at=datetime.now(UTC))
    done = await log.append(lease, [event(new)], seen=0, derived=derived(new))
    assert not done.budgeted
    assert not (await log.load(lease)).budgeted
    desk = Reservations(database, SystemClock())
    assert await desk.reserve(lease, "t", "request_1", bound()) is None
    assert not await database.fetch("select from budget_reservations")
