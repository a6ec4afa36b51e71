"""Who comes first, how much may wait, and what is answered beyond that: by the official SDK."""

import asyncio
from collections import Counter
from typing import Any

import anthropic
import pytest

from agentstead.log.pressure import LOOK_SECONDS
from tests.conformance.requirements import requirement
from tests.support.server import MODEL, Running, serving
from tests.support.waiting import until

HELLO = {"type": "user.message", "content": [{"type": "text", "text": "Hello."}]}


async def places(server: Running) -> dict[str, Any]:
    """An agent and an environment, as arguments of a create."""
    beta = server.sdk().beta
    agent = await beta.agents.create(name="Fixer", model=MODEL)
    environment = await beta.environments.create(name="plain")
    return {"agent": agent.id, "environment_id": environment.id}


@requirement("operation:priority")
async def test_a_priority_is_kept_changed_and_cleared(client: Any, server: Running) -> None:
    given = await places(server)
    plain = await client.beta.sessions.create(**given)
    assert "agentstead" not in plain.to_dict()
    urgent = await client.beta.sessions.create(**given, extra_body={"agentstead": {"priority": 5}})
    assert urgent.to_dict()["agentstead"] == {"priority": 5}
    kept = await client.beta.sessions.update(urgent.id, title="Still urgent")
    assert kept.to_dict()["agentstead"] == {"priority": 5}
    lower = await client.beta.sessions.update(
        urgent.id, extra_body={"agentstead": {"priority": -2}}
    )
    assert lower.to_dict()["agentstead"] == {"priority": -2}
    cleared = await client.beta.sessions.update(urgent.id, extra_body={"agentstead": None})
    assert "agentstead" not in cleared.to_dict()
    events = [event.type async for event in client.beta.sessions.events.list(urgent.id)]
    assert events == ["session.updated"]  # of the title; the priority is none of the wire's fields
    for wrong in ({"priority": 11}, {"priority": "high"}, {"urgent": True}):
        with pytest.raises(anthropic.BadRequestError, match="agentstead"):
            await client.beta.sessions.create(**given, extra_body={"agentstead": dict(wrong)})


@requirement("operation:place")
async def test_a_waiting_session_says_its_place_and_what_it_waits_for(database_url: str) -> None:
    script = {"turns": [{"text": "Done."}], "delays": {"first_seconds": 30}}
    own = {"workspace_running_max": 1, "worker_sessions_max": 5}
    async with serving(database_url, workers=1, script=script, **own) as server:
        given, client = await places(server), server.sdk()
        create = client.beta.sessions.create
        first = await create(**given, initial_events=[HELLO])
        await until(held, server, first.id)
        second = await create(**given, initial_events=[HELLO])
        urgent = await create(
            **given, initial_events=[HELLO], extra_body={"agentstead": {"priority": 1}}
        )
        waits = await why(server, second.id)
        assert waits["reason"] == (
            "Its workspace has 1 sessions running, as many as may run at once; "
            "1 other of its workspace comes before it."
        )
        assert waits["waiting_for"] == {
            "type": "worker", "because": "workspace_running_max", "position": 2, "running": 1,
            "running_max": 1,
        }  # fmt: skip
        assert (await why(server, urgent.id))["waiting_for"]["position"] == 1


async def ended(client: Any, session_id: str) -> bool:
    """Whether its turn is over."""
    session = await client.beta.sessions.retrieve(session_id)
    return bool(session.status == "idle")


async def held(server: Running, session_id: str) -> bool:
    """Whether a worker has it."""
    return (await why(server, session_id))["lease"] is not None


async def why(server: Running, session_id: str) -> dict[str, Any]:
    """What is said of a session."""
    async with server.http() as http:
        answer = await http.get(f"/v1/sessions/{session_id}/why")
        found: dict[str, Any] = answer.json()
        return found


@requirement("errors:backlog")
async def test_a_backlog_has_an_end_however_many_clients_there_are(database_url: str) -> None:
    bounds = {"workspace_waiting_max": 20, "retry_after_seconds": 0.2}
    async with serving(database_url, **bounds) as server:
        given = await places(server)
        clients = [server.sdk() for _ in range(20)]
        outcomes: Counter[str] = Counter()
        errors: list[Any] = []

        async def creates(client: Any) -> None:
            for _ in range(4):
                try:
                    await client.beta.sessions.create(**given, initial_events=[HELLO])
                    outcomes["made"] += 1
                except anthropic.RateLimitError as refused:
                    outcomes["refused"] += 1
                    errors.append(refused)

        await asyncio.gather(*(creates(client) for client in clients))
        assert outcomes.total() == 80
        assert 15 <= outcomes["made"] <= 20  # what is on its way while it is counted counts twice
        headers = [error.response.headers for error in errors]
        assert {error.body["error"]["type"] for error in errors} == {"rate_limit_error"}
        assert all("20 sessions of this workspace wait" in str(error) for error in errors)
        assert {each["retry-after"] for each in headers} == {"1"}
        times = {float(each["retry-after-ms"]) for each in headers}
        assert min(times) >= 200
        assert max(times) <= 400
        assert len(times) > 3  # they do not all come again together
        await asyncio.sleep(LOOK_SECONDS)
        for _ in range(outcomes["made"], 20):
            await clients[0].beta.sessions.create(**given, initial_events=[HELLO])
        with pytest.raises(anthropic.RateLimitError):
            await clients[0].beta.sessions.create(**given, initial_events=[HELLO])
        rows = await server.database.fetch_one("select count(*) as number from sessions")
        assert rows == {"number": 20}  # nothing is left of those that were refused
        # what does not wait for a worker is no part of it
        idle_one = await clients[0].beta.sessions.create(**given)
        with pytest.raises(anthropic.RateLimitError):
            await clients[0].beta.sessions.events.send(idle_one.id, events=[HELLO])
        row = await server.log.retrieve("wrkspc_01000000000000000default", idle_one.id)
        assert (row.status, row.inbox_count) == ("idle", 0)
        await clients[0].beta.sessions.events.send(idle_one.id, events=[{"type": "user.interrupt"}])


@requirement("errors:backlog")
async def test_the_sdk_comes_again_by_itself_until_there_is_room(database_url: str) -> None:
    bounds = {"waiting_max": 2, "retry_after_seconds": 0.3}
    async with serving(database_url, workers=1, **bounds) as server:
        given = await places(server)
        patient = server.sdk(max_retries=20)
        made = await asyncio.gather(
            *(patient.beta.sessions.create(**given, initial_events=[HELLO]) for _ in range(12))
        )
        for session in made:
            await until(ended, patient, session.id)


@requirement("errors:backlog")
async def test_a_session_takes_only_so_many_events_ahead(database_url: str) -> None:
    async with serving(database_url, session_inbox_max=3) as server:
        client = server.sdk()
        session = await client.beta.sessions.create(**await places(server))
        send = client.beta.sessions.events.send
        for _ in range(3):
            await send(session.id, events=[HELLO])
        with pytest.raises(anthropic.RateLimitError, match="3 events of this session wait"):
            await send(session.id, events=[HELLO])
        await send(session.id, events=[{"type": "user.interrupt"}])
