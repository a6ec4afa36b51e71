"""The kill switch: our own routes, seen beside the official SDK, which knows nothing of them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import pytest

from agentstead.clock import SystemClock
from agentstead.sandbox.sandbox import Outcome
from agentstead.testing.fake_sandbox import Behaviour, FakeCall, FakeSandbox
from tests.conformance.requirements import requirement
from tests.conformance.test_turns import TOOLSET, bash, say, watching
from tests.support.server import MODEL, Running, serving
from tests.support.waiting import until

SCRIPT = {
    "scripts": [
        {"when": {"contains": "work"},
         "turns": [{"text": "I look.", "tools": [bash("sleep")]}, {"text": "Done."}]},
    ],
    "otherwise": "Hello.",
}  # fmt: skip
WHY = "It deletes what it should not."


def behave(call: FakeCall) -> Behaviour:
    seconds = 3600.0 if call.arguments.get("command") == "sleep" else 0.0
    return Behaviour(Outcome.text(f"{call.tool} ran"), seconds=seconds)


@pytest.fixture
def hands() -> FakeSandbox:
    return FakeSandbox(SystemClock(), behave)


@pytest.fixture
async def server(database_url: str, hands: FakeSandbox) -> AsyncIterator[Running]:
    async with serving(database_url, workers=1, script=SCRIPT, sandbox=hands) as running:
        yield running


@pytest.fixture
async def agent(client: Any) -> Any:
    return await client.beta.agents.create(name="Fixer", model=MODEL, tools=[{"type": TOOLSET}])


@pytest.fixture
def http(server: Running) -> Any:
    return server.http()


async def post(http: Any, path: str, **body: Any) -> Any:
    answer = await http.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def stopped(http: Any, **scope: Any) -> Any:
    return await post(http, "/v1/stops", scope=scope, reason=WHY)


async def begun(hands: FakeSandbox, session: Any) -> bool:
    """A call runs."""
    return hands.begun[session.id] == 1


async def any_asked(server: Running) -> bool:
    """A model was."""
    return bool(server.asked)


async def idle_now(client: Any, session: Any) -> bool:
    return bool((await client.beta.sessions.retrieve(session.id)).status == "idle")


@requirement("operation:stop")
async def test_a_stop_ends_what_runs_and_holds_until_it_is_lifted(
    client: Any, agent: Any, environment: Any, http: Any, hands: FakeSandbox, server: Running
) -> None:
    session = await client.beta.sessions.create(agent=agent.id, environment_id=environment.id)
    async with watching(client, session) as watch:
        await watch.send(say("work"))
        await until(begun, hands, session)
        stop = await stopped(http, type="session", session_id=session.id)
        assert (stop["sessions"], stop["sessions_interrupted"]) == (1, 1)
        assert stop["scope"] == {"type": "session", "session_id": session.id}
        assert stop["created_by"].startswith("apikey_")
        end = await watch.idle()
        assert end.stop_reason.type == "end_turn"
        (result,) = watch.calls("agent.tool_result")
        assert result.is_error
        assert hands.cancelled == {result.tool_use_id}
        (error,) = watch.calls("session.error")
        assert WHY in error.error.message
        assert stop["id"] in error.error.message
        asked = len(server.asked)

        # what is sent meanwhile is accepted and waits
        (sent,) = (await watch.send(say("hello"))).data
        assert sent.processed_at is None
        shown = (await http.get(f"/v1/sessions/{session.id}")).json()
        assert (shown["status"], shown["agentstead"]) == ("idle", {"stop_id": stop["id"]})
        why = (await http.get(f"/v1/sessions/{session.id}/why")).json()
        assert WHY in why["reason"]
        assert why["waiting_for"] == {
            "type": "operator", "stop_id": stop["id"], "stopped_by": stop["created_by"],
        }  # fmt: skip
        assert f"/v1/stops/{stop['id']}/lift" in why["next_action"]
        (notice,) = why["notices"]
        assert "once the stop is lifted" in notice["message"]
        await until(parked, server, session.id)
        assert len(server.asked) == asked

        lifted = await post(http, f"/v1/stops/{stop['id']}/lift")
        assert lifted["lifted_by"] == stop["created_by"]
        await watch.idle(2)
        assert watch.calls("agent.message")[-1].content[0].text == "Hello."
        again = await post(http, f"/v1/stops/{stop['id']}/lift")
        assert again == lifted
    assert "agentstead" not in (await http.get(f"/v1/sessions/{session.id}")).json()


async def parked(server: Running, session_id: str) -> bool:
    """A worker has looked at it and left it alone."""
    row = await server.database.fetch_one(
        "select wake_at is null and lease_owner is null as parked from sessions where id = %s",
        (session_id,),
    )
    return bool(row and row["parked"])


@requirement("operation:stop")
async def test_a_stop_of_all_holds_for_sessions_to_come(
    client: Any, agent: Any, environment: Any, http: Any, server: Running
) -> None:
    stop = await stopped(http, type="all")
    session = await client.beta.sessions.create(
        agent=agent.id, environment_id=environment.id, initial_events=[say("hello")]
    )
    assert session.status == "idle"
    await until(parked, server, session.id)
    assert server.asked == []
    await post(http, f"/v1/stops/{stop['id']}/lift")
    await until(answered, client, session)


async def answered(client: Any, session: Any) -> bool:
    """Its turn is over."""
    page = await client.beta.sessions.events.list(session.id, types=["agent.message"])
    return bool(page.data)


@requirement("operation:stop")
async def test_stops_overlap_and_choose_by_agent_and_metadata(
    client: Any, agent: Any, environment: Any, http: Any
) -> None:
    other = await client.beta.agents.create(name="Other", model=MODEL)
    place = {"environment_id": environment.id}
    red = await client.beta.sessions.create(agent=agent.id, metadata={"team": "red"}, **place)
    blue = await client.beta.sessions.create(agent=other.id, metadata={"team": "blue"}, **place)
    by_team = await stopped(http, type="metadata", metadata={"team": "red"})
    by_agent = await stopped(http, type="agent", agent_id=agent.id)
    assert (by_team["sessions"], by_agent["sessions"]) == (1, 1)

    async def holds(session: Any) -> Any:
        shown = (await http.get(f"/v1/sessions/{session.id}")).json()
        return shown.get("agentstead", {}).get("stop_id")

    assert (await holds(red), await holds(blue)) == (by_team["id"], None)
    await post(http, f"/v1/stops/{by_team['id']}/lift")
    assert await holds(red) == by_agent["id"]
    listed = (await http.get("/v1/stops")).json()["data"]
    assert [one["id"] for one in listed] == [by_agent["id"]]
    page = (await http.get("/v1/stops?include_lifted=true&limit=1")).json()
    assert [one["id"] for one in page["data"]] == [by_agent["id"]]
    query = f"/v1/stops?include_lifted=true&page={page['next_page']}"
    assert [one["id"] for one in (await http.get(query)).json()["data"]] == [by_team["id"]]
    await post(http, f"/v1/stops/{by_agent['id']}/lift")
    assert await holds(red) is None
    one = (await http.get(f"/v1/stops/{by_agent['id']}")).json()
    assert one["lifted_at"] is not None


@requirement("operation:stop")
@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"scope": {"type": "all"}}, 400, "reason"),
        ({"scope": {"type": "all"}, "reason": ""}, 400, "reason"),
        ({"reason": "x"}, 400, "scope"),
        ({"scope": {"type": "team"}, "reason": "x"}, 400, "scope"),
        ({"scope": {"type": "metadata", "metadata": {}}, "reason": "x"}, 400, "scope.metadata"),
        ({"scope": {"type": "agent"}, "reason": "x"}, 400, "scope.agent_id"),
        ({"scope": {"type": "agent", "agent_id": "agent_no"}, "reason": "x"}, 404, "agent_no"),
        ({"scope": {"type": "session", "session_id": "sesn_no"}, "reason": "x"}, 404, "sesn_no"),
    ],
)
async def test_what_cannot_be_stopped_is_said(http: Any, body: Any, status: int, said: str) -> None:
    answer = await http.post("/v1/stops", json=body)
    assert (answer.status_code, said in answer.text) == (status, True), answer.text
    assert (await http.post("/v1/stops/stop_no/lift")).status_code == 404
    assert (await http.get("/v1/stops/stop_no")).status_code == 404


@requirement("operation:stop")
async def test_who_stopped_and_lifted_is_in_the_audit_trail(http: Any, server: Running) -> None:
    stop = await stopped(http, type="all")
    await post(http, f"/v1/stops/{stop['id']}/lift")
    rows = await server.database.fetch(
        "select action, actor, detail from audit where target_id = %s order by at", (stop["id"],)
    )
    assert [row["action"] for row in rows] == ["stop.create", "stop.lift"]
    assert {row["actor"] for row in rows} == {stop["created_by"]}
    assert rows[0]["detail"]["reason"] == WHY


@requirement("operation:stop")
async def test_a_stop_works_while_notices_are_lost(
    client: Any, agent: Any, environment: Any, http: Any, hands: FakeSandbox, server: Running,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    session = await client.beta.sessions.create(
        agent=agent.id, environment_id=environment.id, initial_events=[say("work")]
    )
    await until(begun, hands, session)
    monkeypatch.setattr(server.log.newsroom, "tell", lambda *_: None)
    await stopped(http, type="all")
    await until(idle_now, client, session)
    assert len(hands.cancelled) == 1


@requirement("operation:stop")
async def test_a_stopped_session_can_be_deleted(
    client: Any, agent: Any, environment: Any, http: Any
) -> None:
    session = await client.beta.sessions.create(agent=agent.id, environment_id=environment.id)
    await stopped(http, type="all")
    await client.beta.sessions.events.send(session.id, events=[say("hello")])
    await client.beta.sessions.delete(session.id)
    with pytest.raises(anthropic.NotFoundError):
        await client.beta.sessions.retrieve(session.id)


@requirement("operation:stop")
async def test_nothing_begins_after_a_stop_is_answered(
    client: Any, agent: Any, environment: Any, http: Any, server: Running
) -> None:
    """Forty turns that begin while the stop comes: none asks the model after its answer."""
    place = {"agent": agent.id, "environment_id": environment.id}
    sessions = [await client.beta.sessions.create(**place) for _ in range(40)]

    async def ask(session: Any) -> None:
        await client.beta.sessions.events.send(session.id, events=[say("hello")])

    asking = [asyncio.ensure_future(ask(session)) for session in sessions]
    await until(any_asked, server)
    stop = await stopped(http, type="all")
    before = await requests(server)
    await asyncio.gather(*asking)
    await until(at_rest, server)
    assert await requests(server) == before
    await post(http, f"/v1/stops/{stop['id']}/lift")
    await until(at_rest, server)
    left = await server.database.fetch("select 1 from inbox")
    assert left == []


async def requests(server: Running) -> int:
    """How many have begun."""
    row = await server.database.fetch_one(
        "select count(*) as number from events where type = 'span.model_request_start'"
    )
    assert row
    return int(row["number"])


async def at_rest(server: Running) -> bool:
    """Nobody works, and nobody is to."""
    return not await server.database.fetch(
        "select 1 from sessions where wake_at is not null or lease_owner is not null limit 1"
    )
