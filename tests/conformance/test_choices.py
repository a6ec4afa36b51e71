"""Where nothing is published we had to decide: a test for each such decision that no other test proves."""

import asyncio
import re
from typing import Any

import anthropic
import pytest

from tests.conformance.requirements import requirement
from tests.support.server import MODEL, Running, serving

TOOLSET = "agent_toolset_20260401"


def say(text: str) -> Any:
    return {"type": "user.message", "content": [{"type": "text", "text": text}]}


def instruct(text: str) -> Any:
    return {"type": "system.message", "content": [{"type": "text", "text": text}]}


async def made(client: Any, **agent: Any) -> Any:
    """A session of an agent like this."""
    found = await client.beta.agents.create(**{"name": "a", "model": MODEL, **agent})
    place = await client.beta.environments.create(name="e")
    return await client.beta.sessions.create(agent=found.id, environment_id=place.id)


async def log_of(client: Any, session: Any) -> list[Any]:
    return [one async for one in client.beta.sessions.events.list(session.id)]


async def until(client: Any, session: Any, status: str) -> None:
    async with asyncio.timeout(10):
        while (await client.beta.sessions.retrieve(session.id)).status != status:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@requirement("choices:ids")
async def test_ids_are_sortable_and_safe_as_names(client: Any, session: Any) -> None:
    sent = await client.beta.sessions.events.send(session.id, events=[say("a"), say("b")])
    ids = [session.id, session.agent.id, session.environment_id, *(one.id for one in sent.data)]
    for one in ids:
        assert re.fullmatch(r"[a-z]+_01[0-9A-Za-z]{22}", one), one
        assert len(one) <= 40
    assert session.id.partition("_")[2][:8] <= ids[-1].partition("_")[2][:8]


@requirement("choices:idempotency-key")
async def test_an_idempotency_key_is_not_looked_at(client: Any) -> None:
    headers = {"Idempotency-Key": "same"}
    new = {"name": "a", "model": MODEL, "extra_headers": headers}
    first, second = [await client.beta.agents.create(**new) for _ in range(2)]
    assert first.id != second.id


@requirement("choices:list-orders")
async def test_lists_come_newest_first(client: Any, session: Any) -> None:
    others = [(await client.beta.environments.create(name="e")).id for _ in range(2)]
    found = [one.id async for one in client.beta.environments.list(limit=1)]
    assert found == [*others[::-1], session.environment_id]
    more = [await client.beta.sessions.create(agent=session.agent.id, environment_id=others[0]) for _ in range(2)]  # fmt: skip
    ids = [session.id, *(one.id for one in more)]
    assert [one.id async for one in client.beta.sessions.list()] == ids[::-1]
    assert [one.id async for one in client.beta.sessions.list(order="asc")] == ids
    (thread,) = (await client.beta.sessions.threads.list(session.id)).data
    await client.beta.sessions.update(session.id, title="1")
    await client.beta.sessions.update(session.id, title="2")
    titles = [one.title async for one in client.beta.sessions.threads.events.list(thread.id, session_id=session.id)]  # fmt: skip
    assert titles == ["1", "2"]


@requirement("choices:nulls")
async def test_null_keeps_or_clears(client: Any, server: Running, session: Any) -> None:
    http = server.http()

    async def post(path: str, **body: Any) -> Any:
        answer = await http.post(f"/v1/{path}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    path = f"sessions/{session.id}"
    assert (await post(path, title="t", metadata={"a": "1"}))["title"] == "t"
    assert (await post(path, metadata=None))["metadata"] == {"a": "1"}
    assert (await post(path, title=None))["title"] is None
    path = f"agents/{session.agent.id}"
    assert (await post(path, metadata={"a": "1"}))["metadata"] == {"a": "1"}
    assert (await post(path, metadata=None))["metadata"] == {"a": "1"}
    path = f"environments/{session.environment_id}"
    kept = await post(path, name=None, scope=None, description="")
    assert (kept["name"], kept["description"]) == ("plain", "")
    assert (await post(path, description=None))["description"] is None


@requirement("choices:execution-identity")
async def test_only_the_service_account_runs_agents(client: Any) -> None:
    for given in ({"type": "service_account"}, None):
        made = await client.beta.agents.create(name="a", model=MODEL, execution_identity=given)
        assert made.execution_identity.type == "service_account"
    role = {"type": "aws_role", "role_arn": "arn:aws:iam::1:role/r"}
    with pytest.raises(anthropic.BadRequestError, match="execution_identity"):
        await client.beta.agents.create(name="a", model=MODEL, execution_identity=role)


@requirement("choices:version-times")
async def test_an_old_version_keeps_its_times(client: Any, agent: Any) -> None:
    second = await client.beta.agents.update(agent.id, system="s")
    archived = await client.beta.agents.archive(agent.id)
    old = await client.beta.agents.retrieve(agent.id, version=1)
    assert (old.created_at, old.updated_at) == (agent.created_at, agent.updated_at)
    assert second.created_at == agent.created_at
    assert second.updated_at > agent.updated_at
    assert old.archived_at == archived.archived_at


@requirement("choices:tool-configs")
async def test_configs_are_answered_as_they_were_given(client: Any) -> None:
    def toolset(*names: str) -> Any:
        return [{"type": TOOLSET, "configs": [{"name": one, "enabled": False} for one in names]}]

    agent = await client.beta.agents.create(name="a", model=MODEL, tools=toolset("bash", "grep"))
    (found,) = agent.tools
    assert [(one.name, one.enabled) for one in found.configs] == [("bash", False), ("grep", False)]
    with pytest.raises(anthropic.BadRequestError, match=r"tools\.0\.configs"):
        await client.beta.agents.create(name="a", model=MODEL, tools=toolset("bash", "bash"))


@requirement("choices:environments")
async def test_environments_share_names_and_may_go_while_in_use(client: Any, session: Any) -> None:
    same = await client.beta.environments.create(name="plain")
    assert same.id != session.environment_id
    network = {"type": "limited"}
    config: Any = {"type": "cloud", "networking": network, "packages": {"pip": ["a"]}}
    with pytest.raises(anthropic.BadRequestError, match="allow_package_managers"):
        await client.beta.environments.create(name="e", config=config)
    gone = await client.beta.environments.delete(session.environment_id)
    assert gone.type == "environment_deleted"
    kept = await client.beta.sessions.retrieve(session.id)
    assert kept.environment_id == session.environment_id
    sent = await client.beta.sessions.events.send(session.id, events=[say("hello")])
    assert sent.data[0].processed_at is None


@requirement("choices:rescheduling")
async def test_a_session_that_waits_for_a_retry(database_url: str) -> None:
    busy = {"turns": [{"text": "x", "trouble": [{"status": 529, "times": None}]}]}
    pace = {"retry_first_seconds": 60, "retry_max_seconds": 60}
    async with serving(database_url, workers=1, script=busy, **pace) as server:
        client = server.sdk()
        session = await made(client)
        await client.beta.sessions.events.send(session.id, events=[say("hello")])
        await until(client, session, "rescheduling")
        with pytest.raises(anthropic.BadRequestError, match='status is "rescheduling"'):
            await client.beta.sessions.archive(session.id)
        with pytest.raises(anthropic.BadRequestError, match="Cannot delete"):
            await client.beta.sessions.delete(session.id)
        await client.beta.sessions.events.send(session.id, events=[{"type": "user.interrupt"}])
        await until(client, session, "idle")
        assert (await client.beta.sessions.archive(session.id)).status == "terminated"


@requirement("choices:retry-order")
async def test_the_events_of_a_retry(database_url: str) -> None:
    shaky = {"turns": [{"text": "At last.", "trouble": [{"status": 529, "times": 1}]}]}
    async with serving(database_url, workers=1, script=shaky, retry_first_seconds=0.01) as server:
        client = server.sdk()
        session = await made(client)
        await client.beta.sessions.events.send(session.id, events=[say("hello")])
        await until(client, session, "idle")
        events = await log_of(client, session)
    assert [one.type.removeprefix("session.") for one in events] == [
        "user.message", "status_running", "thread_status_running",
        "span.model_request_start", "span.model_request_end",
        "error", "status_rescheduled", "thread_status_rescheduled",
        "status_running", "thread_status_running",
        "span.model_request_start", "agent.message", "span.model_request_end",
        "thread_status_idle", "usage", "status_idle",
    ]  # fmt: skip
    error = next(one for one in events if one.type == "session.error").error
    assert (error.type, error.retry_status.type) == ("model_overloaded_error", "retrying")


SIBLINGS = {
    "scripts": [
        {"when": {"contains": "both"},
         "turns": [{"tools": [{"name": "write", "input": {"file_path": "/a", "content": ""}},
                              {"name": "bash", "input": {"command": "ls"}}]}, {"text": "Done."}]},
    ],
    "otherwise": "Hello.",
}  # fmt: skip


def asking(policy: str) -> list[Any]:
    configs = [{"name": "write", "permission_policy": {"type": policy}}]
    return [{"type": TOOLSET, "configs": configs}]


@requirement("choices:siblings", "choices:streamed-once")
async def test_what_may_run_runs_beside_what_must_ask(database_url: str) -> None:
    async with serving(database_url, workers=1, script=SIBLINGS) as server:
        client = server.sdk()
        session = await made(client, tools=asking("always_ask"))
        async with (
            asyncio.timeout(10),
            await client.beta.sessions.events.stream(session.id) as stream,
        ):
            await client.beta.sessions.events.send(session.id, events=[say("both")])
            seen = []
            async for event in stream:
                seen.append(event)
                if event.type == "session.status_idle":
                    if event.stop_reason.type == "end_turn":
                        break
                    await client.beta.sessions.events.send(
                        session.id, events=[{"type": "user.interrupt"}]
                    )
    ask, free = [one for one in seen if one.type == "agent.tool_use"]
    results = [one.tool_use_id for one in seen if one.type == "agent.tool_result"]
    assert results == [free.id, ask.id]
    first_idle = next(n for n, one in enumerate(seen) if one.type == "session.status_idle")
    place = next(n for n, one in enumerate(seen) if one.type == "agent.tool_result")
    assert place < first_idle
    assert seen[first_idle].stop_reason.event_ids == [ask.id]
    # A message is streamed queued and taken in, an interrupt when it is applied.
    assert [one.type for one in seen].count("user.message") == 2
    taken = [one for one in seen if one.type == "user.interrupt"]
    assert [one.processed_at is None for one in taken][-1:] == [False]


@requirement("choices:auto-without-judge")
async def test_auto_asks_where_there_is_no_judge(database_url: str) -> None:
    async with serving(database_url, workers=1, script=SIBLINGS) as server:
        client = server.sdk()
        session = await made(client, tools=asking("auto"))
        await client.beta.sessions.events.send(session.id, events=[say("both")])
        await until(client, session, "idle")
        call = next(one for one in await log_of(client, session) if one.type == "agent.tool_use")
    assert (call.name, call.evaluated_permission) == ("write", "ask")
    assert call.evaluation.evaluated_permission.reason_code == "indeterminate"


@requirement("choices:instructions-alone")
async def test_instructions_alone_start_nothing(database_url: str) -> None:
    async with serving(database_url, workers=1, script=SIBLINGS) as server:
        client = server.sdk()
        session = await made(client)
        sent = await client.beta.sessions.events.send(session.id, events=[instruct("Be brief.")])
        assert sent.data[0].processed_at is None
        assert (await client.beta.sessions.retrieve(session.id)).status == "idle"
        await client.beta.sessions.events.send(session.id, events=[say("hello")])
        await until(client, session, "idle")
        kinds = [one.type for one in await log_of(client, session)]
    assert {"system.message", "user.message"} == set(kinds[:2])
    assert kinds.count("span.model_request_start") == 1


@requirement("choices:outcome-bounds")
async def test_the_iterations_of_an_outcome_are_1_to_20(client: Any, session: Any) -> None:
    for number in (0, 21):
        outcome = {"type": "user.define_outcome", "description": "d", "max_iterations": number,
                   "rubric": {"type": "text", "content": "c"}}  # fmt: skip
        with pytest.raises(anthropic.BadRequestError, match=r"events\.0\.max_iterations"):
            await client.beta.sessions.events.send(session.id, events=[outcome])
