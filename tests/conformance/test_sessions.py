"""Sessions through the official SDK: create, overrides, update, list, archive, delete."""

import asyncio
from typing import Any

import anthropic
import pytest

from agentstead.clock import SystemClock
from tests.conformance.requirements import requirement
from tests.support.server import MODEL, Running

TEXT = [{"type": "text", "text": "hi"}]
MESSAGE: Any = {"type": "user.message", "content": TEXT}
LOOKUP: Any = {
    "type": "custom",
    "name": "lookup",
    "description": "d",
    "input_schema": {"type": "object"},
}


async def everything(pages: Any) -> list[Any]:
    return [one async for one in await pages]


@requirement("sessions:every-field")
async def test_a_session_has_every_field(
    server: Running, client: Any, agent: Any, environment: Any
) -> None:
    made = await client.beta.sessions.create(
        agent=agent.id, environment_id=environment.id, title="Fall → #1", metadata={"a": "b"}
    )
    again = await client.beta.sessions.retrieve(made.id)
    assert again.model_copy(update={"stats": made.stats}) == made
    raw = (await server.http().get(f"/v1/sessions/{made.id}")).json()
    age = raw["stats"].pop("duration_seconds")
    assert 0 <= age < 30
    assert raw == {
        "id": made.id, "type": "session", "environment_id": environment.id, "status": "idle",
        "agent": {
            "id": agent.id, "type": "agent", "version": 1, "name": "Fixer", "description": None,
            "model": {"id": MODEL, "effort": {"type": "high"}, "speed": "standard", "inference_geo": None},
            "system": None, "tools": [], "mcp_servers": [], "skills": [], "multiagent": None,
            "execution_identity": {"type": "service_account"},
        },
        "title": "Fall → #1", "metadata": {"a": "b"}, "resources": [], "vault_ids": [], "budget": None,
        "outcome_evaluations": [], "stats": {"active_seconds": 0.0},
        "usage": {
            "input_tokens": 0, "output_tokens": 0, "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "server_tool_use": {"web_search_requests": 0, "web_fetch_requests": 0},
            "active_seconds": 0.0,
        },
        "deployment_id": None, "created_at": raw["created_at"], "updated_at": raw["created_at"],
        "archived_at": None,
    }  # fmt: skip
    assert made.id.startswith("sesn_01")
    assert len(made.id) == 29


@requirement("sessions:initial-events")
async def test_initial_events_start_work(client: Any, agent: Any, environment: Any) -> None:
    made = await client.beta.sessions.create(
        agent={"type": "agent", "id": agent.id, "version": 1},
        environment_id=environment.id,
        initial_events=[MESSAGE, MESSAGE],
    )
    assert made.status == "running"
    again = await client.beta.sessions.retrieve(made.id)
    same = {"stats": made.stats, "usage": made.usage}
    assert again.model_copy(update=same) == made
    listed = await everything(client.beta.sessions.events.list(made.id))
    assert [one.type for one in listed] == ["user.message", "user.message"]
    assert all(one.processed_at is None for one in listed)
    none = await client.beta.sessions.create(
        agent=agent.id, environment_id=environment.id, initial_events=[]
    )
    assert none.status == "idle"


OUTCOME = {
    "type": "user.define_outcome",
    "description": "d",
    "rubric": {"type": "text", "content": "r"},
}


WRONG: list[tuple[dict[str, Any], int, str]] = [
    ({"agent": "agent_none"}, 404, "Agent agent_none not found"),
    ({"environment_id": "env_none"}, 404, "Environment env_none not found"),
    ({"agent": {"type": "nope"}}, 400, "agent.type: Expected one of"),
    ({"agent": {"type": "agent", "id": "x", "version": 0}}, 400, "agent.version"),
    ({"agent": {"type": "agent_with_overrides", "id": "x", "model": ""}}, 400, "agent.model: Should have"),
    ({"title": "x" * 513}, 400, "title: Should have at most 512 characters"),
    ({"title": "a\x07b"}, 400, "title: Control characters"),
    ({"metadata": {"k": "x" * 513}}, 400, "metadata.k: Should have at most 512"),
    ({"budget": {"type": "limit", "max_list_cost": {"amount": "100", "currency": "USD"}}},
     400, 'budget: The model "scripted-test" has no list price'),
    ({"budget": {"type": "limit", "max_list_cost": {"amount": "1.5", "currency": "USD"}}},
     400, "budget.max_list_cost.amount"),
    ({"budget": {"type": "limit", "max_list_cost": {"amount": "0100", "currency": "USD"}}},
     400, "budget.max_list_cost.amount"),
    ({"budget": {"type": "limit", "max_list_cost": {"amount": "0", "currency": "USD"}}},
     400, "budget.max_list_cost.amount"),
    ({"budget": {"type": "limit", "max_list_cost": {"amount": 100, "currency": "USD"}}},
     400, "budget.max_list_cost.amount"),
    ({"budget": {"type": "limit", "max_list_cost": {"amount": "100", "currency": "EUR"}}},
     400, "budget.max_list_cost.currency"),
    ({"vault_ids": ["vlt_1"]}, 400, "vault_ids.0: There is no vault"),
    ({"initial_events": [OUTCOME]}, 400, "initial_events.0.type: Outcomes are not available"),
    ({"initial_events": [MESSAGE, {"type": "user.interrupt"}]}, 400, "initial_events.1.type: Only"),
    ({"initial_events": [MESSAGE] * 51}, 400, "initial_events: Should have at most 50 items"),
    ({"nonsense": 1}, 400, "nonsense: Extra inputs"),
]  # fmt: skip


@requirement("sessions:refused-by-path", "sessions:title")
async def test_a_wrong_session_is_refused(server: Running, agent: Any, environment: Any) -> None:
    http = server.http()
    for more, status, said in WRONG:
        body = {"agent": agent.id, "environment_id": environment.id, **more}
        answer = await http.post("/v1/sessions", json=body)
        assert answer.status_code == status, answer.text
        assert answer.json()["error"]["message"].startswith(said), answer.text
    assert (await http.get("/v1/sessions")).json()["data"] == []


@requirement("sessions:overrides")
async def test_overrides_replace_for_this_session_only(client: Any, environment: Any) -> None:
    base = await client.beta.agents.create(
        name="a", model={"id": MODEL, "effort": "low"}, system="s", tools=[LOOKUP]
    )

    async def made(**overrides: Any) -> Any:
        agent = {"type": "agent_with_overrides", "id": base.id, **overrides}
        return (await client.beta.sessions.create(agent=agent, environment_id=environment.id)).agent

    assert (await made()).to_dict() == {
        name: value
        for name, value in base.to_dict().items()
        if name not in ("metadata", "created_at", "updated_at", "archived_at")
    }
    cleared = await made(system=None, tools=[])
    assert (cleared.system, cleared.tools) == (None, [])
    # Effort of an override is ignored, and the agent's is dropped too.
    other = await made(model={"id": "scripted-other", "effort": "max"})
    assert (other.model.id, other.model.effort.type) == ("scripted-other", "high")
    assert (await client.beta.agents.retrieve(base.id)) == base
    with pytest.raises(anthropic.BadRequestError) as caught:
        await made(model=None)
    assert caught.value.body["error"]["details"] == {"error_code": "agent_model_required"}
    with pytest.raises(anthropic.BadRequestError, match=r"agent\.tools\.0\.mcp_server_name"):
        await made(tools=[{"type": "mcp_toolset", "mcp_server_name": "s"}])


@requirement("sessions:update")
async def test_an_update_says_what_changed(server: Running, client: Any, session: Any) -> None:
    changed = await client.beta.sessions.update(session.id, title="t", metadata={"a": "1"})
    assert (changed.title, changed.metadata) == ("t", {"a": "1"})
    await client.beta.sessions.update(session.id, title="t")
    await client.beta.sessions.update(session.id, metadata={"a": None})
    await client.beta.sessions.update(session.id, title=None)
    await client.beta.sessions.update(session.id, agent={"tools": [LOOKUP]})
    rows = (await server.http().get(f"/v1/sessions/{session.id}/events")).json()["data"]
    changes = [
        {k: v for k, v in one.items() if k not in ("id", "type", "processed_at")} for one in rows
    ]
    assert {one["type"] for one in rows} == {"session.updated"}
    assert changes[:3] == [{"title": "t", "metadata": {"a": "1"}}, {}, {"title": None}]
    assert changes[3]["agent"]["tools"] == [LOOKUP]
    assert len(changes) == 4
    assert (await client.beta.sessions.retrieve(session.id)).agent.tools[0].name == "lookup"


WRONG_UPDATES: list[tuple[Any, str, str | None]] = [
    ({"vault_ids": []}, "vault_ids: The vaults", None),
    ({"budget": {"type": "limit", "max_list_cost": {"amount": "1", "currency": "USD"}}},
     "budget: A budget cannot be added", "budget_create_only"),
    ({"agent": {"model": "x"}}, "agent.model: Extra inputs", None),
    ({"agent": {"tools": None}}, "agent.tools: Input should be a valid list", None),
    ({"agent": {"tools": [{"type": "mcp_toolset", "mcp_server_name": "s"}]}},
     "agent.tools.0.mcp_server_name", None),
    ({"metadata": {"k" * 65: "v"}}, "metadata: Keys have", None),
]  # fmt: skip


@requirement("sessions:refused-update")
async def test_a_wrong_update_is_refused(server: Running, session: Any) -> None:
    http = server.http()
    for body, said, code in WRONG_UPDATES:
        answer = await http.post(f"/v1/sessions/{session.id}", json=body)
        assert answer.status_code == 400, answer.text
        error = answer.json()["error"]
        assert error["message"].startswith(said), answer.text
        assert error.get("details", {}).get("error_code") == code
    assert (await http.get(f"/v1/sessions/{session.id}/events")).json()["data"] == []


@requirement("sessions:running-is-kept")
async def test_a_running_session_is_neither_archived_nor_deleted(client: Any, session: Any) -> None:
    await client.beta.sessions.events.send(session.id, events=[MESSAGE])
    with pytest.raises(anthropic.BadRequestError) as refused:
        await client.beta.sessions.archive(session.id)
    assert refused.value.body["error"]["message"] == (
        f'Session {session.id} cannot be archived while its status is "running". '
        "Only pending or idle sessions may be archived."
    )
    with pytest.raises(anthropic.BadRequestError) as refused:
        await client.beta.sessions.delete(session.id)
    assert refused.value.body["error"]["message"] == (
        "Cannot delete session while it is running. "
        "Send an interrupt event or wait for the session to complete."
    )
    with pytest.raises(anthropic.BadRequestError, match="must be idle"):
        await client.beta.sessions.update(session.id, agent={"tools": []})
    assert (await client.beta.sessions.retrieve(session.id)).status == "running"
    assert len(await everything(client.beta.sessions.events.list(session.id))) == 1


@requirement("sessions:archived")
async def test_an_archived_session_is_read_only(server: Running, client: Any, session: Any) -> None:
    archived = await client.beta.sessions.archive(session.id)
    assert (archived.status, archived.archived_at is not None) == ("terminated", True)
    assert await client.beta.sessions.archive(session.id) == archived
    # Frozen at the end: the age no longer grows.
    await asyncio.sleep(0.05)
    assert (await client.beta.sessions.retrieve(session.id)).stats == archived.stats
    events = await everything(client.beta.sessions.events.list(session.id))
    assert [one.type for one in events] == [
        "session.thread_status_terminated",
        "session.status_terminated",
    ]
    threads = await everything(client.beta.sessions.threads.list(session.id))
    assert [(one.status, one.archived_at is not None) for one in threads] == [("terminated", True)]
    for refused in (
        client.beta.sessions.update(session.id, title="x"),
        client.beta.sessions.events.send(session.id, events=[MESSAGE]),
        client.beta.sessions.events.send(session.id, events=[{"type": "user.interrupt"}]),
    ):
        with pytest.raises(anthropic.BadRequestError, match="archived"):
            await refused
    assert await everything(client.beta.sessions.list()) == []
    shown = await everything(client.beta.sessions.list(include_archived=True))
    assert [one.id for one in shown] == [session.id]
    why = (await server.http().get(f"/v1/sessions/{session.id}/why")).json()
    assert (why["state"], why["waiting_for"]) == ("terminated", {"type": "nothing"})
    assert (await client.beta.sessions.delete(session.id)).type == "session_deleted"


@requirement("sessions:deleted")
async def test_a_deleted_session_is_gone(client: Any, session: Any) -> None:
    await client.beta.sessions.delete(session.id)
    for gone in (
        client.beta.sessions.retrieve(session.id),
        client.beta.sessions.delete(session.id),
        client.beta.sessions.events.send(session.id, events=[MESSAGE]),
        everything(client.beta.sessions.events.list(session.id)),
        everything(client.beta.sessions.threads.list(session.id)),
    ):
        with pytest.raises(anthropic.NotFoundError):
            await gone


@requirement("sessions:cleanup")
async def test_cleanup_in_any_order(
    client: Any, session: Any, agent: Any, environment: Any
) -> None:
    await client.beta.environments.delete(environment.id)
    await client.beta.agents.archive(agent.id)
    assert (await client.beta.sessions.retrieve(session.id)).agent.id == agent.id
    await client.beta.sessions.archive(session.id)


@pytest.fixture
async def five(client: Any, agent: Any, environment: Any) -> list[str]:
    """Five sessions, oldest first."""
    made = []
    for number in range(5):
        session = await client.beta.sessions.create(
            agent=agent.id, environment_id=environment.id, title=str(number)
        )
        made.append(session.id)
    return made


@requirement("paging:both-ways", "paging:last-page")
async def test_sessions_page_in_both_directions(client: Any, five: list[str]) -> None:
    for order in ("asc", "desc"):
        for limit in (1, 2, 5):
            await page_both_ways(client, five, order, limit)


async def page_both_ways(client: Any, five: list[str], order: Any, limit: int) -> None:
    expected = five if order == "asc" else five[::-1]
    pages = [await client.beta.sessions.list(order=order, limit=limit)]
    while pages[-1].next_page:
        pages.append(
            await client.beta.sessions.list(order=order, limit=limit, page=pages[-1].next_page)
        )
    shown = [[one.id for one in page.data] for page in pages]
    assert [one for page in shown for one in page] == expected
    assert all(len(page) <= limit for page in shown)
    assert pages[0].prev_page is None
    back = [pages[-1]]
    while back[-1].prev_page:
        back.append(
            await client.beta.sessions.list(order=order, limit=limit, page=back[-1].prev_page)
        )
    assert [[one.id for one in page.data] for page in back] == shown[::-1]
    assert back[-1].prev_page is None
    assert back[-1].next_page == pages[0].next_page
    automatic = [one.id async for one in client.beta.sessions.list(order=order, limit=limit)]
    assert automatic == expected


@requirement("paging:bound", "paging:malformed")
async def test_a_cursor_is_bound(client: Any, five: list[str]) -> None:
    page = await client.beta.sessions.list(limit=2)
    third = page.data[-1].created_at
    for wrong in ({"order": "asc"}, {"created_at_gt": third}):
        with pytest.raises(anthropic.BadRequestError, match="page: "):
            await client.beta.sessions.list(page=page.next_page, **wrong)
    for bad in ("x", "page_eA", page.next_page[:-3] + "AAA", page.next_page + "AAAA"):
        with pytest.raises(anthropic.BadRequestError, match="page: "):
            await client.beta.sessions.list(page=bad)
    with pytest.raises(anthropic.BadRequestError, match="page: "):
        await client.beta.agents.list(page=page.next_page)
    more = await client.beta.sessions.list(page=page.next_page, limit=3, include_archived=True)
    assert [one.id for one in more.data] == five[2::-1]


@requirement("sessions:filters", "paging:limits")
async def test_sessions_are_filtered(
    client: Any, five: list[str], agent: Any, environment: Any
) -> None:
    other = await client.beta.agents.create(name="other", model=MODEL)
    mine = await client.beta.sessions.create(agent=other.id, environment_id=environment.id)
    await client.beta.sessions.events.send(five[1], events=[MESSAGE])
    await client.beta.sessions.archive(five[0])

    async def found(**query: Any) -> list[str]:
        return [one.id async for one in client.beta.sessions.list(**{"order": "asc", **query})]

    assert await found(agent_id=other.id) == [mine.id]
    assert await found(agent_id=agent.id, agent_version=1) == five[1:]
    assert await found(agent_id=agent.id, agent_version=2) == []
    assert await found(statuses=["running"]) == [five[1]]
    assert await found(statuses=["running", "terminated"], include_archived=True) == five[:2]
    assert await found(deployment_id="depl_x") == []
    assert await found(memory_store_id="memstore_x") == []
    moment = (await client.beta.sessions.retrieve(five[2])).created_at
    assert await found(created_at_gt=moment) == [*five[3:], mine.id]
    assert await found(created_at_gte=moment, created_at_lte=moment) == [five[2]]
    assert await found(created_at_lt=moment, include_archived=True) == five[:2]
    for wrong in (
        {"agent_version": 1},
        {"statuses": ["x"]},
        {"limit": 0},
        {"limit": 101},
        {"order": "x"},
    ):
        with pytest.raises(anthropic.BadRequestError, match=next(iter(wrong))):
            await found(**wrong)


@requirement("threads:primary", "threads:primary-stays", "threads:unknown")
async def test_the_primary_thread_is_listed(client: Any, session: Any) -> None:
    threads = await everything(client.beta.sessions.threads.list(session.id))
    assert len(threads) == 1
    thread = threads[0]
    assert thread.parent_thread_id is None
    assert thread.agent.to_dict() == {
        name: value for name, value in session.agent.to_dict().items() if name != "multiagent"
    }
    assert (thread.status, thread.stats, thread.usage) == ("idle", None, None)
    found = await client.beta.sessions.threads.retrieve(thread.id, session_id=session.id)
    assert found == thread
    assert (
        await everything(client.beta.sessions.threads.list(session.id, statuses=["running"])) == []
    )
    with pytest.raises(anthropic.BadRequestError, match="primary"):
        await client.beta.sessions.threads.archive(thread.id, session_id=session.id)
    for wrong in ("sthr_none", session.id):
        with pytest.raises(anthropic.NotFoundError):
            await client.beta.sessions.threads.retrieve(wrong, session_id=session.id)


@requirement("threads:filter")
async def test_threads_are_filtered_before_they_are_paged(
    server: Running, client: Any, session: Any
) -> None:
    statuses = ["idle", "running", "idle", "terminated", "running", "idle"]
    for number, status in enumerate(statuses):
        await server.database.execute(
            "insert into threads (id, session_id, workspace_id, parent_thread_id, status, created_at,"
            " updated_at) select %s, id, workspace_id, primary_thread_id, %s,"
            " created_at + %s * interval '1 second', created_at from sessions",
            (f"sthr_{number}", status, number + 1),
        )
    threads = client.beta.sessions.threads
    primary = (await threads.list(session.id, limit=1)).data[0].id
    first = await threads.list(session.id, statuses=["idle", "terminated"], limit=2)
    assert [one.id for one in first.data] == [primary, "sthr_0"]
    found = [
        one.id async for one in threads.list(session.id, statuses=["idle", "terminated"], limit=2)
    ]
    assert found == [primary, "sthr_0", "sthr_2", "sthr_3", "sthr_5"]
    running = await threads.list(session.id, statuses=["running"], limit=2)
    assert ([one.id for one in running.data], running.next_page) == (["sthr_1", "sthr_4"], None)
    await client.beta.sessions.archive(session.id)
    assert (await threads.list(session.id, statuses=["running", "idle"])).data == []
    assert len((await threads.list(session.id, statuses=["terminated"])).data) == 7
    with pytest.raises(anthropic.BadRequestError, match="statuses"):
        await threads.list(session.id, statuses=["x"])


@requirement("operation:why")
async def test_why_an_idle_and_a_waiting_session_stand(
    server: Running, client: Any, session: Any
) -> None:
    http = server.http()
    fresh = (await http.get(f"/v1/sessions/{session.id}/why")).json()
    assert fresh["state"] == "idle"
    assert fresh["reason"] == "It has not been given anything to do yet."
    assert fresh["next_action"] == "Send a user.message."
    assert fresh["lease"] is None
    await client.beta.sessions.events.send(session.id, events=[MESSAGE])
    queued = (await http.get(f"/v1/sessions/{session.id}/why")).json()
    assert queued["waiting_for"] == {"type": "worker"}
    assert queued["reason"] == "It has work to do and no worker is running."
    assert queued["queue"]["inbox"] == 1
    assert [one["type"] for one in queued["notices"]] == ["queued_input"]
    assert 0 <= queued["queue"]["due_seconds"] < 30
    assert "worker" in queued["next_action"]


@requirement("operation:not-offered")
async def test_why_names_tools_that_are_not_offered(
    server: Running, client: Any, environment: Any
) -> None:
    agent = await client.beta.agents.create(
        name="a", model=MODEL,
        tools=[{"type": "agent_toolset_20260401", "configs": [{"name": "web_search", "enabled": False}]}],
    )  # fmt: skip
    session = await client.beta.sessions.create(agent=agent.id, environment_id=environment.id)
    why = (await server.http().get(f"/v1/sessions/{session.id}/why")).json()
    assert [one["name"] for one in why["not_offered"]] == ["web_fetch"]


@requirement("operation:ready")
async def test_ready_means_able_to_work(server: Running, client: Any, session: Any) -> None:
    http = server.http()
    answer = await http.get("/readyz")
    assert answer.status_code == 503
    assert "No worker is running" in answer.json()["problems"][0]
    await client.beta.sessions.events.send(session.id, events=[MESSAGE])
    await server.database.execute("update sessions set wake_at = wake_at - interval '11 seconds'")
    answer = await http.get("/readyz")
    assert any("waited" in problem for problem in answer.json()["problems"])


@requirement("operation:audit")
# Every write leaves its audit row, with the key that did it.
async def test_writes_are_audited(
    server: Running, client: Any, session: Any, agent: Any, environment: Any
) -> None:
    await client.beta.sessions.update(session.id, title="t")
    await client.beta.sessions.archive(session.id)
    await client.beta.sessions.delete(session.id)
    await client.beta.agents.update(agent.id, name="b")
    await client.beta.agents.archive(agent.id)
    await client.beta.environments.update(environment.id, name="f")
    await client.beta.environments.archive(environment.id)
    await client.beta.environments.delete(environment.id)
    rows = await server.database.fetch("select actor, action, source, target_id, at from audit")
    assert {row["action"] for row in rows} >= {
        "agent.create", "agent.update", "agent.archive",
        "environment.create", "environment.update", "environment.archive", "environment.delete",
        "session.create", "session.update", "session.archive", "session.delete",
    }  # fmt: skip
    key = await server.database.fetch_one("select id, last_used_at from api_keys")
    assert key is not None
    assert key["last_used_at"] is not None
    assert {row["actor"] for row in rows if row["action"] != "api_key.create"} == {key["id"]}
    assert {row["source"] for row in rows if row["action"] != "api_key.create"} == {"127.0.0.1"}
    assert all(abs(row["at"].timestamp() - SystemClock().now()) < 60 for row in rows)
