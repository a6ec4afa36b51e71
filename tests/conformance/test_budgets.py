"""List cost and budgets: wire §5.4, §5.5, §7.7, §12. One answer of the scripted model is one cent."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anthropic
import pytest

from agentstead.clock import SystemClock
from agentstead.sandbox.sandbox import Outcome
from agentstead.testing.fake_sandbox import Behaviour, FakeCall, FakeSandbox
from tests.conformance.requirements import requirement
from tests.conformance.test_turns import TOOLSET, Watch, bash, custom, idles, say, watching
from tests.support.server import MODEL, Running, serving

PRICES = f"""
[models."{MODEL}"]
input = 100
output = 1000

[models."scripted-dear"]
input = 10000
output = 10000
"""
CENT = {"input_tokens": 50, "output_tokens": 5}
"""50 tokens at 100 $ and 5 at 1,000 $ per million."""
WRITE = {"name": "write", "input": {"file_path": "/a", "content": "1"}}
SCRIPT = {
    "scripts": [
        {"when": {"contains": "work"},
         "turns": [{"text": "I look.", "tools": [bash("ls")], "usage": CENT},
                   {"text": "Once more.", "tools": [bash("pwd")], "usage": CENT},
                   {"text": "All done.", "usage": CENT}]},
        {"when": {"contains": "ask"},
         "turns": [{"tools": [WRITE, {"name": "lookup", "input": {}}], "usage": CENT},
                   {"text": "Written.", "usage": CENT}]},
        {"when": {"contains": "slowly"},
         "turns": [{"tools": [bash("sleep")], "usage": CENT}, {"text": "Done.", "usage": CENT}]},
        {"when": {"contains": "cached"},
         "turns": [{"text": "Done.", "usage": {
             "input_tokens": 1, "output_tokens": 1, "cache_read_input_tokens": 100,
             "cache_creation_input_tokens": 60, "cache_creation_5m_input_tokens": 50,
             "cache_creation_1h_input_tokens": 10}}]},
    ],
    "otherwise": "Hello.",
}  # fmt: skip
ONLY = (
    "user.tool_confirmation, user.tool_result, user.custom_tool_result and user.interrupt",
    "used up its budget",
)


def cents(amount: int) -> Any:
    return {"type": "limit", "max_list_cost": {"amount": str(amount), "currency": "USD"}}


def behave(call: FakeCall) -> Behaviour:
    seconds = 1.0 if call.arguments.get("command") == "sleep" else 0.0
    return Behaviour(Outcome.text(f"{call.tool} ran"), seconds=seconds)


@pytest.fixture
async def server(database_url: str, tmp_path: Path) -> AsyncIterator[Running]:
    prices = tmp_path / "prices.toml"
    prices.write_text(PRICES)
    async with serving(
        database_url,
        workers=1,
        script=SCRIPT,
        sandbox=FakeSandbox(SystemClock(), behave),
        prices_file=prices,
    ) as running:
        yield running


@pytest.fixture
async def agent(client: Any) -> Any:
    ask = [{"name": "write", "permission_policy": {"type": "always_ask"}}]
    tools = [{"type": TOOLSET, "configs": ask}, custom("lookup")]
    return await client.beta.agents.create(name="Fixer", model=MODEL, tools=tools)


class Capped:
    """A session with a budget, watched."""

    def __init__(self, client: Any, session: Any, watch: Watch) -> None:
        self.client, self.id, self.watch = client, session.id, watch

    async def retrieve(self) -> Any:
        return await self.client.beta.sessions.retrieve(self.id)

    async def update(self, **fields: Any) -> Any:
        return await self.client.beta.sessions.update(self.id, **fields)

    async def refused(self, *events: Any) -> str:
        with pytest.raises(anthropic.BadRequestError) as refusal:
            await self.watch.send(*events)
        return str(refusal.value)


@pytest.fixture
async def capped(client: Any, agent: Any, environment: Any) -> AsyncIterator[Capped]:
    """A session that may cost one cent."""
    session = await client.beta.sessions.create(
        agent=agent.id, environment_id=environment.id, budget=cents(1)
    )
    async with watching(client, session) as watch:
        yield Capped(client, session, watch)


def amount(usage: Any) -> str | None:
    return None if usage.list_cost is None else usage.list_cost.amount


@requirement("budgets:shown")
async def test_cost_and_budget_are_shown(
    client: Any, agent: Any, environment: Any, capped: Capped
) -> None:
    fresh = await capped.retrieve()
    assert fresh.budget.to_dict() == cents(1)
    assert fresh.usage.list_cost.to_dict() == {"amount": "0", "currency": "USD"}
    free = await client.beta.sessions.create(agent=agent.id, environment_id=environment.id)
    assert free.budget is None
    assert amount(free.usage) is None
    async with watching(client, free) as watch:
        await watch.send(say("cached"))
        await watch.idle()
        (shown,) = watch.calls("session.usage")
    # 100 + 1,000 micro-dollars, and 160 tokens at the input price: 1.71 cents.
    assert amount(shown.usage) == "2"
    assert shown.budget is None
    again = await client.beta.sessions.retrieve(free.id)
    assert amount(again.usage) == "2"
    assert again.usage.cache_creation.ephemeral_1h_input_tokens == 10
    (thread,) = [one async for one in client.beta.sessions.threads.list(free.id)]
    assert amount(thread.usage) == "2"


@requirement("budgets:reached")
async def test_the_session_stops_at_its_budget(capped: Capped) -> None:
    await capped.watch.send(say("work"))
    end = await capped.watch.idle()
    assert end.stop_reason.type == "budget_reached"
    seen = [one.type for one in await capped.watch.listed()]
    assert seen[-7:] == [
        "agent.message", "agent.tool_use", "span.model_request_end", "agent.tool_result",
        "session.thread_status_idle", "session.usage", "session.status_idle",
    ]  # fmt: skip
    (thread,) = capped.watch.calls("session.thread_status_idle")
    assert thread.stop_reason.type == "budget_reached"
    (shown,) = capped.watch.calls("session.usage")
    assert (amount(shown.usage), shown.budget.to_dict()) == ("1", cents(1))
    now = await capped.retrieve()
    assert (now.status, amount(now.usage)) == ("idle", "1")


@requirement("budgets:at-the-cap")
async def test_at_the_cap_nothing_starts_work(capped: Capped) -> None:
    await capped.watch.send(say("work"))
    await capped.watch.idle()
    before = await capped.watch.listed()
    for event in (
        say("more"),
        {"type": "system.message", "content": [{"type": "text", "text": "x"}]},
    ):
        said = await capped.refused(event)
        assert all(part in said for part in ONLY), said
    assert "events.1.type" in await capped.refused({"type": "user.interrupt"}, say("more"))
    sent = await capped.watch.send({"type": "user.interrupt"})
    assert sent.data[0].type == "user.interrupt"
    assert sent.data[0].processed_at is not None
    assert await capped.watch.listed() == before
    assert (await capped.retrieve()).status == "idle"


@requirement("budgets:ask-first")
async def test_an_ask_outranks_the_cap(capped: Capped) -> None:
    await capped.watch.send(say("ask"))
    end = await capped.watch.idle()
    assert end.stop_reason.type == "requires_action"
    write, lookup = end.stop_reason.event_ids
    content = [{"type": "text", "text": "found"}]
    await capped.watch.send(
        {"type": "user.custom_tool_result", "custom_tool_use_id": lookup, "content": content}
    )
    assert (await capped.watch.idle(2)).stop_reason.event_ids == [write]
    await capped.watch.send(
        {"type": "user.tool_confirmation", "tool_use_id": write, "result": "allow"}
    )
    end = await capped.watch.idle(3)
    assert end.stop_reason.type == "budget_reached"
    (result,) = capped.watch.calls("agent.tool_result")
    assert result.content[0].text == "write ran"
    assert len(capped.watch.calls("span.model_request_start")) == 1


@requirement("budgets:ask-first")
async def test_an_interrupt_of_an_ask_at_the_cap_ends_it(capped: Capped) -> None:
    await capped.watch.send(say("ask"))
    await capped.watch.idle()
    await capped.watch.send({"type": "user.interrupt"})
    end = await capped.watch.idle(2)
    assert end.stop_reason.type == "end_turn"
    assert len(capped.watch.calls("span.model_request_start")) == 1


@requirement("budgets:raised")
async def test_a_raised_budget_goes_on_by_itself(capped: Capped) -> None:
    await capped.watch.send(say("work"))
    await capped.watch.idle()
    raised = await capped.update(budget=cents(2))
    assert (raised.status, raised.budget.to_dict()) == ("running", cents(2))
    end = await capped.watch.idle(2)
    assert end.stop_reason.type == "budget_reached"
    (updated,) = capped.watch.calls("session.updated")
    assert updated.budget.to_dict() == cents(2)
    assert {"title", "metadata", "agent"}.isdisjoint(updated.to_dict(exclude_unset=True))
    await capped.update(budget=cents(100))
    end = await capped.watch.idle(3)
    assert end.stop_reason.type == "end_turn"
    assert amount((await capped.retrieve()).usage) == "3"
    results = capped.watch.calls("agent.tool_result")
    assert [one.content[0].text for one in results] == ["bash ran", "bash ran"]


@requirement("budgets:removed")
async def test_a_removed_budget_stays_away(capped: Capped) -> None:
    await capped.watch.send(say("work"))
    await capped.watch.idle()
    free = await capped.update(budget=None)
    assert (free.status, free.budget) == ("running", None)
    end = await capped.watch.idle(2)
    assert end.stop_reason.type == "end_turn"
    (updated,) = capped.watch.calls("session.updated")
    assert "budget" in updated.to_dict(exclude_unset=True)
    assert updated.budget is None
    with pytest.raises(anthropic.BadRequestError) as refusal:
        await capped.update(budget=cents(500))
    assert refusal.value.body["error"]["details"]["error_code"] == "budget_create_only"
    assert (await capped.update(budget=None)).budget is None
    assert len(capped.watch.calls("session.updated")) == 1


@requirement("budgets:not-raised")
async def test_a_budget_must_leave_room(client: Any, agent: Any, environment: Any) -> None:
    session = await client.beta.sessions.create(
        agent=agent.id, environment_id=environment.id, budget=cents(500)
    )
    async with watching(client, session) as watch:
        capped = Capped(client, session, watch)
        await watch.send(say("slowly"))
        await watch.until(lambda seen: any(one.type == "agent.tool_use" for one in seen))
        with pytest.raises(anthropic.BadRequestError) as refusal:
            await capped.update(budget=cents(1), title="not this either")
        assert refusal.value.body["error"]["details"]["error_code"] == "budget_not_raised"
        assert "1 cents" in str(refusal.value)
        lower = await capped.update(budget=cents(2))
        assert (lower.status, lower.budget.to_dict()) == ("running", cents(2))
        assert lower.title is None
        assert (await watch.idle()).stop_reason.type == "end_turn"
        assert amount((await capped.retrieve()).usage) == "2"
        assert (await capped.update(budget=cents(3))).status == "idle"


@requirement("budgets:unpriced")
async def test_without_a_price_there_is_no_budget(client: Any, environment: Any) -> None:
    other = await client.beta.agents.create(name="Free", model="scripted-unpriced")
    with pytest.raises(anthropic.BadRequestError) as refusal:
        await client.beta.sessions.create(
            agent=other.id, environment_id=environment.id, budget=cents(1)
        )
    error = refusal.value.body["error"]
    assert error["details"]["error_code"] == "model_not_budgetable"
    assert "scripted-unpriced" in error["message"]
    fast = {"type": "agent_with_overrides", "id": other.id}
    with pytest.raises(anthropic.BadRequestError, match="at speed fast"):
        await client.beta.sessions.create(
            agent={**fast, "model": {"id": MODEL, "speed": "fast"}},
            environment_id=environment.id,
            budget=cents(1),
        )
    session = await client.beta.sessions.create(agent=other.id, environment_id=environment.id)
    async with watching(client, session) as watch:
        await watch.send(say("hello"))
        await watch.idle()
        (shown,) = watch.calls("session.usage")
    assert shown.usage.list_cost is None
    assert (await client.beta.sessions.retrieve(session.id)).usage.list_cost is None


@requirement("budgets:why")
async def test_why_names_the_cap(server: Running, capped: Capped) -> None:
    await capped.watch.send(say("work"))
    await capped.watch.idle()
    why = (await server.http().get(f"/v1/sessions/{capped.id}/why")).json()
    assert "1 of 1 cents" in why["reason"]
    assert why["waiting_for"] == {
        "type": "budget", "budget": cents(1), "list_cost_cents": "1",
    }  # fmt: skip
    assert "raise" in why["next_action"].lower() or "budget" in why["next_action"]
    assert [one["type"] for one in why["notices"]] == ["budget_used_up"]
    assert idles(capped.watch.seen)
