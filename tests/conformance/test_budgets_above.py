"""Budgets above sessions: made over HTTP, felt by the official SDK. One answer is one cent.

A request may cost up to some 33 dollars here (32,000 tokens of output at 1,000 $ per million).
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anthropic
import pytest

from agentstead.clock import SystemClock
from agentstead.testing.fake_sandbox import FakeSandbox
from tests.conformance.requirements import requirement
from tests.conformance.test_budgets import PRICES, SCRIPT, behave, cents
from tests.conformance.test_turns import TOOLSET, idles, say, watching
from tests.support.server import MODEL, Running, serving

ROOM_FOR_ONE = "4000"


@pytest.fixture
async def server(database_url: str, tmp_path: Path) -> AsyncIterator[Running]:
    prices = tmp_path / "prices.toml"
    prices.write_text(PRICES)
    async with serving(
        database_url,
        workers=2,
        script=SCRIPT,
        sandbox=FakeSandbox(SystemClock(), behave),
        prices_file=prices,
        judge_model=None,
    ) as running:
        yield running


@pytest.fixture
async def agent(client: Any) -> Any:
    return await client.beta.agents.create(name="Fixer", model=MODEL, tools=[{"type": TOOLSET}])


def money(amount: str) -> dict[str, Any]:
    return {"max_list_cost": {"amount": amount, "currency": "USD"}}


class Budgets:
    """The routes of budgets."""

    def __init__(self, server: Running) -> None:
        self.http = server.http()

    async def asked(self, method: str, path: str, status: int = 200, **more: Any) -> Any:
        response = await self.http.request(method, path, **more)
        assert response.status_code == status, response.text
        return response.json()

    async def make(self, amount: str, status: int = 200, **more: Any) -> Any:
        body = {"name": "team", "scope": "workspace", "period": "total", "limit": money(amount)}
        return await self.asked("POST", "/v1/budgets", status, json={**body, **more})

    async def get(self, made: Any) -> Any:
        return await self.asked("GET", f"/v1/budgets/{made['id']}")

    async def raised(self, made: Any, amount: str) -> Any:
        return await self.asked("POST", f"/v1/budgets/{made['id']}", json={"limit": money(amount)})

    async def usage(self, **query: Any) -> Any:
        return (await self.asked("GET", "/v1/usage", params=query))["data"]


@pytest.fixture
def budgets(server: Running) -> Budgets:
    return Budgets(server)


@requirement("budgets:above-settled")
async def test_what_fits_goes_through_and_is_settled(
    client: Any, agent: Any, environment: Any, budgets: Budgets
) -> None:
    whole = await budgets.make(ROOM_FOR_ONE, period="day")
    own = await budgets.make(ROOM_FOR_ONE, name="fixer", scope="agent", agent_id=agent.id)
    session = await client.beta.sessions.create(agent=agent.id, environment_id=environment.id)
    async with watching(client, session) as watch:
        await watch.send(say("work"))
        assert (await watch.idle()).stop_reason.type == "end_turn"
    for made in (whole, own):
        now = await budgets.get(made)
        assert now["spent"]["list_cost_cents"] == "3"
        assert (now["spent"]["tokens"], now["reserved"]["tokens"], now["waiting"]) == (165, 0, 0)
    assert whole["period_ends_at"] > whole["period_starts_at"]
    assert own["period_ends_at"] is None
    await client.beta.sessions.delete(session.id)  # what it cost stays accounted for
    (group,) = await budgets.usage(**{"group_by[]": ["day", "agent", "model"]})
    assert (group["agent_id"], group["requests"], group["unpriced_requests"]) == (agent.id, 3, 0)
    assert (group["list_cost_cents"], group["input_tokens"], group["output_tokens"]) == (
        "3",
        150,
        15,
    )
    assert (await budgets.usage())[0]["list_cost"] == {"amount": "3", "currency": "USD"}
    assert await budgets.usage(agent_id="agent_other") == []
    listed = await budgets.asked("GET", "/v1/budgets", params={"agent_id": agent.id})
    assert [one["id"] for one in listed["data"]] == [own["id"]]


@requirement("budgets:above-reached", "budgets:above-why")
async def test_what_does_not_fit_pauses_and_goes_on_when_there_is_room(
    server: Running, client: Any, agent: Any, environment: Any, budgets: Budgets
) -> None:
    made = await budgets.make("100")
    session = await client.beta.sessions.create(agent=agent.id, environment_id=environment.id)
    async with watching(client, session) as watch:
        await watch.send(say("work"))
        assert (await watch.idle()).stop_reason.type == "budget_reached"
        assert server.asked == []
        why = await budgets.asked("GET", f"/v1/sessions/{session.id}/why")
        assert why["waiting_for"]["budget_above"]["id"] == made["id"]
        assert "0 of 100 cents are spent, 0 reserved" in why["reason"]
        with pytest.raises(anthropic.BadRequestError, match="above the session has no room"):
            await watch.send(say("more"))
        await watch.send({"type": "user.interrupt"})
        assert (await budgets.get(made))["waiting"] == 1
        await budgets.raised(made, "200")  # still too little: it says so again
        assert (await watch.idle(2)).stop_reason.type == "budget_reached"
        await budgets.raised(made, ROOM_FOR_ONE)
        assert (await watch.idle(3)).stop_reason.type == "end_turn"
        assert len(server.asked) == 3
        now = await budgets.get(made)
        assert now["spent"]["list_cost_cents"] == "3"
        assert (now["reserved"]["tokens"], now["waiting"]) == (0, 0)
        await watch.send(say("Hello"))  # it takes what starts work again
        assert (await watch.idle(4)).stop_reason.type == "end_turn"


@requirement("budgets:above-reached")
async def test_an_archived_budget_lets_the_work_go_on(
    client: Any, agent: Any, environment: Any, budgets: Budgets
) -> None:
    made = await budgets.make("100")
    session = await client.beta.sessions.create(
        agent=agent.id, environment_id=environment.id, initial_events=[say("work")]
    )
    async with watching(client, session) as watch:
        assert (await watch.idle()).stop_reason.type == "budget_reached"
        archived = await budgets.asked("POST", f"/v1/budgets/{made['id']}/archive")
        assert archived["archived_at"] is not None
        assert (await watch.idle(2)).stop_reason.type == "end_turn"
    await budgets.asked("POST", f"/v1/budgets/{made['id']}", 400, json={"name": "x"})
    assert (await budgets.asked("GET", "/v1/budgets"))["data"] == []


@requirement("budgets:above-race")
async def test_sessions_that_race_for_one_place_all_finish_and_none_overshoots(
    client: Any, agent: Any, environment: Any, budgets: Budgets
) -> None:
    """Room for one request at a time, and for less than all work: 18 requests of a cent each."""
    made = await budgets.make(ROOM_FOR_ONE)
    sessions = [
        await client.beta.sessions.create(
            agent=agent.id, environment_id=environment.id, initial_events=[say("work")]
        )
        for _ in range(6)
    ]
    most = 0.0

    async def finished(session: Any) -> Any:
        while True:
            events = [one async for one in client.beta.sessions.events.list(session.id)]
            if ends := idles(events):
                return ends[-1].stop_reason.type
            await asyncio.sleep(0.1)

    async def look() -> None:
        nonlocal most
        while True:
            now = await budgets.get(made)
            parts = (now["spent"], now["reserved"])
            most = max(most, sum(float(part["list_cost_cents"]) for part in parts))
            await asyncio.sleep(0.02)

    looking = asyncio.create_task(look())
    async with asyncio.timeout(25):
        ends = await asyncio.gather(*(finished(session) for session in sessions))
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)
    assert set(ends) == {"end_turn"}
    assert 0 < most <= float(ROOM_FOR_ONE)
    assert (await budgets.get(made))["spent"]["list_cost_cents"] == "18"
    assert (await budgets.usage())[0]["requests"] == 18


@requirement("budgets:above-unpriced")
async def test_a_model_without_a_price_is_refused(
    client: Any, environment: Any, budgets: Budgets
) -> None:
    free = await client.beta.agents.create(name="Free", model="scripted-demo")
    given = {"agent": free.id, "environment_id": environment.id}
    await client.beta.sessions.create(**given)
    made = await budgets.make("100", limit={"max_tokens": 1_000_000})
    session = await client.beta.sessions.create(**given)
    await budgets.asked("POST", f"/v1/budgets/{made['id']}", json={"limit": money("100")})
    with pytest.raises(anthropic.BadRequestError, match="model_not_budgetable") as refusal:
        await client.beta.sessions.create(**given)
    assert made["id"] in str(refusal.value)
    async with watching(client, session) as watch:
        await watch.send(say("work"))
        assert (await watch.idle()).stop_reason.type == "budget_reached"
        why = await budgets.asked("GET", f"/v1/sessions/{session.id}/why")
        assert "no list price" in why["reason"]
        assert "AGENTSTEAD_PRICES_FILE" in why["next_action"]


@requirement("budgets:above-bad-input")
@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            {"scope": "deployment", "deployment_id": "depl_1"},
            "scope: Deployments are not available",
        ),
        ({"deployment_id": "depl_1"}, "deployment_id: Deployments are not available"),
        ({"scope": "agent"}, "agent_id: A budget with scope"),
        ({"scope": "agent", "agent_id": "agent_none"}, "agent_id: There is no agent agent_none"),
        ({"agent_id": "agent_none"}, "agent_id: Only a budget with scope"),
        ({"scope": "team"}, "scope: "),
        ({"period": "year"}, "period: "),
        ({"limit": {}}, "limit: Needs max_list_cost, max_tokens, or both"),
        ({"limit": {"max_tokens": 0}}, "limit.max_tokens: "),
        ({"limit": {"max_list_cost": {"amount": "1.5", "currency": "USD"}}}, "limit.max_list_cost"),
        ({"name": ""}, "name: "),
        ({"limits": 1}, "limits: "),
    ],
)
async def test_bad_input_is_refused_by_its_field(
    budgets: Budgets, body: dict[str, Any], said: str
) -> None:
    refusal = await budgets.make("100", 400, **body)
    assert refusal["error"]["message"].startswith(said)


@requirement("budgets:above-bad-input")
@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"group_by[]": "week"}, "group_by.0: "),
        ({"starting_at": "yesterday"}, "starting_at: "),
        ({"starting_at": "2020-01-01T00:00:00Z"}, "starting_at: Must be before ending_at"),
    ],
)
async def test_bad_questions_about_usage_are_refused(
    budgets: Budgets, query: dict[str, str], said: str
) -> None:
    refusal = await budgets.asked("GET", "/v1/usage", 400, params=query)
    assert refusal["error"]["message"].startswith(said)


@requirement("budgets:above-reached")
async def test_a_sessions_own_budget_goes_first(
    client: Any, agent: Any, environment: Any, budgets: Budgets
) -> None:
    made = await budgets.make(ROOM_FOR_ONE)
    session = await client.beta.sessions.create(
        agent=agent.id, environment_id=environment.id, budget=cents(1), initial_events=[say("work")]
    )
    async with watching(client, session) as watch:
        assert (await watch.idle()).stop_reason.type == "budget_reached"
        why = await budgets.asked("GET", f"/v1/sessions/{session.id}/why")
        assert "budget_above" not in why["waiting_for"]
        await budgets.raised(made, "100")
        await client.beta.sessions.update(session.id, budget=cents(50))
        assert (await watch.idle(2)).stop_reason.type == "budget_reached"
        why = await budgets.asked("GET", f"/v1/sessions/{session.id}/why")
        assert why["waiting_for"]["budget_above"]["id"] == made["id"]
        assert "1 of 100 cents are spent" in why["reason"]
