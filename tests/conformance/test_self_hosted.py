"""Sessions on a self-hosted environment: what waits for its worker, and what becomes of lost ones."""

from typing import Any

import anthropic
import pytest

from tests.conformance.requirements import requirement
from tests.support.hosted import SHORT, Hosted, says, self_hosted, token_of
from tests.support.server import serving
from tests.support.waiting import until

ASKING: Any = [
    {
        "type": "agent_toolset_20260401",
        "configs": [{"name": "write", "permission_policy": {"type": "always_ask"}}],
    }
]
BASH = {"name": "bash", "input": {"command": "echo hi"}}
READ = {"name": "read", "input": {"file_path": "a.txt"}}
WRITE = {"name": "write", "input": {"file_path": "a.txt", "content": "x"}}
TWO = {"turns": [{"tools": [BASH, READ]}, {"text": "It says: {{results}}"}]}
ONE = {"turns": [{"tools": [BASH]}, {"text": "It says: {{results}}"}]}


def ran(call: Any, text: str = "hi", **more: Any) -> Any:
    """A worker's result."""
    content = [{"type": "text", "text": text}]
    return {"type": "user.tool_result", "tool_use_id": call.id, "content": content, **more}


async def idle(hosted: Hosted, session: Any, reason: str, number: int = 1) -> Any:
    """The session's idle of this number and reason; it must be the last of its log."""

    async def look() -> Any:
        events = await hosted.events(session)
        idles = [one for one in events if one.type == "session.status_idle"]
        if len(idles) >= number and events[-1] is idles[-1]:
            return idles[-1] if idles[-1].stop_reason.type == reason else None
        return None

    return await until(look)


@requirement("work:tool-result")
async def test_tools_wait_for_the_worker(database_url: str) -> None:
    async with serving(database_url, workers=1, script=TWO) as server:
        hosted = await self_hosted(server)
        session = await hosted.session("go")
        waits = await idle(hosted, session, "requires_action")
        bash, read = await hosted.events(session, "agent.tool_use")
        assert waits.stop_reason.event_ids == [bash.id, read.id]
        why = await hosted.why(session)
        assert why["waiting_for"]["kinds"] == {bash.id: "tool", read.id: "tool"}
        async with await hosted.client.beta.sessions.events.stream(session.id) as stream:
            (echo,) = (await hosted.send(session, ran(bash, "partly"))).data
            assert (echo.type, echo.tool_use_id) == ("user.tool_result", bash.id)
            async for event in stream:
                if event.type == "user.tool_result":
                    assert event.id == echo.id
                if event.type == "session.status_idle":
                    break
        assert event.stop_reason.event_ids == [read.id]
        before = await hosted.events(session)
        (again,) = (await hosted.send(session, ran(bash, "once more"))).data
        assert again.processed_at is not None
        assert [one.id for one in await hosted.events(session)] == [one.id for one in before]
        await hosted.send(session, ran(read, "all of it", is_error=True))
        await idle(hosted, session, "end_turn", 3)
        (said,) = await hosted.events(session, "agent.message")
        assert "partly" in said.content[0].text
        assert "all of it" in said.content[0].text
        results = await hosted.events(session, "user.tool_result")
        assert [one.tool_use_id for one in results] == [bash.id, read.id]
        assert await hosted.events(session, "agent.tool_result") == []


@requirement("work:tool-result")
async def test_a_message_waits_and_an_interrupt_does_not(database_url: str) -> None:
    async with serving(database_url, workers=1, script=TWO) as server:
        hosted = await self_hosted(server)
        session = await hosted.session("go")
        await idle(hosted, session, "requires_action")
        calls = await hosted.events(session, "agent.tool_use")
        with pytest.raises(anthropic.BadRequestError, match="waits for answers"):
            await hosted.send(session, says("and?"))
        await hosted.send(session, {"type": "user.interrupt"})
        await idle(hosted, session, "end_turn", 2)
        results = await hosted.events(session, "agent.tool_result")
        assert {one.tool_use_id for one in results} == {one.id for one in calls}
        before = await hosted.events(session)
        await hosted.send(session, ran(calls[0], "too late"))
        assert len(await hosted.events(session)) == len(before)


@requirement("work:tool-result")
async def test_elsewhere_the_platform_runs_the_tools(database_url: str) -> None:
    async with serving(database_url, workers=1, script=ONE) as server:
        client = server.sdk()
        hosted = await self_hosted(server)
        cloud = await client.beta.environments.create(name="cloud")
        session = await client.beta.sessions.create(agent=hosted.agent.id, environment_id=cloud.id)
        await hosted.send(session, says("go"))
        await idle(hosted, session, "end_turn")
        (call,) = await hosted.events(session, "agent.tool_use")
        with pytest.raises(anthropic.BadRequestError, match="only for sessions on self_hosted"):
            await hosted.send(session, ran(call))
        assert await hosted.poll() is None


@requirement("work:confirmation-first")
async def test_an_ask_is_confirmed_before_a_worker_answers(database_url: str) -> None:
    script = {"turns": [{"tools": [WRITE]}, {"tools": [WRITE]}, {"text": "Done."}]}
    async with serving(database_url, workers=1, script=script) as server:
        hosted = await self_hosted(server, tools=ASKING)
        session = await hosted.session("go")
        await idle(hosted, session, "requires_action")
        (call,) = await hosted.events(session, "agent.tool_use")
        with pytest.raises(anthropic.BadRequestError, match=r"user\.tool_confirmation first"):
            await hosted.send(session, ran(call))
        allow = {"type": "user.tool_confirmation", "tool_use_id": call.id, "result": "allow"}
        await hosted.send(session, allow)
        waits = await idle(hosted, session, "requires_action", 2)
        assert waits.stop_reason.event_ids == [call.id]
        why = await hosted.why(session)
        assert why["waiting_for"]["kinds"] == {call.id: "tool"}
        await hosted.send(session, ran(call))
        await idle(hosted, session, "requires_action", 3)
        second = (await hosted.events(session, "agent.tool_use"))[-1]
        deny = {**allow, "tool_use_id": second.id, "result": "deny", "deny_message": "Not that."}
        await hosted.send(session, deny)
        await idle(hosted, session, "end_turn", 4)
        (denied,) = await hosted.events(session, "agent.tool_result")
        assert denied.tool_use_id == second.id
        assert "Not that." in denied.content[0].text


@requirement("work:late-result", "work:lapsed-lease")
async def test_a_late_result_of_a_lost_worker_counts_once(database_url: str) -> None:
    async with serving(database_url, workers=1, script=ONE, **SHORT) as server:
        hosted = await self_hosted(server)
        session = await hosted.session("go")
        item = await hosted.taken(anthropic_worker_id="rack-1")
        await hosted.beat(item, desired_ttl_seconds=1)
        await idle(hosted, session, "requires_action")
        (call,) = await hosted.events(session, "agent.tool_use")
        again = await until(hosted.poll, block_ms=500, anthropic_worker_id="rack-2")
        assert again.id == item.id
        await hosted.work.ack(again.id, environment_id=hosted.environment.id)
        old, new = hosted.bearer(token_of(item.secret)), hosted.bearer(token_of(again.secret))
        await hosted.send(session, ran(call, "from the old one"), client=old)
        await hosted.send(session, ran(call, "from the new one"), client=new)
        await idle(hosted, session, "end_turn", 2)
        (result,) = await hosted.events(session, "user.tool_result")
        assert result.content[0].text == "from the old one"
        rows = await server.database.fetch(
            "select rule from audit where target_id = %s and action = 'work.lapse'", (item.id,)
        )
        assert "rack-1 has sent no heartbeat since" in rows[0]["rule"]


@requirement("work:ended-unanswered", "work:stop-reason")
async def test_unanswered_calls_are_offered_again_and_then_given_up(database_url: str) -> None:
    """Clients rules 5 and 54."""
    async with serving(database_url, workers=1, script=ONE, **SHORT) as server:
        hosted = await self_hosted(server)
        session = await hosted.session("go")
        await idle(hosted, session, "requires_action")
        seen = []
        for _ in range(4):
            item = await until(hosted.poll, block_ms=999)
            seen.append(item)
            await hosted.work.ack(item.id, environment_id=hosted.environment.id)
            await hosted.stop(item)
            stopping = await hosted.beat(item)
            assert stopping.state == "stopping"
            await hosted.stop(item, force=True)
        assert len({item.id for item in seen}) == 4
        assert {item.data.id for item in seen} == {session.id}

        async def complaint() -> Any:
            return await hosted.events(session, "session.error")

        (said,) = await until(complaint)
        assert "offered to no more workers" in said.error.message
        assert said.error.retry_status.type == "exhausted"
        waits = await idle(hosted, session, "requires_action", 2)
        (call,) = await hosted.events(session, "agent.tool_use")
        assert waits.stop_reason.event_ids == [call.id]
        assert await hosted.poll() is None
        why = await hosted.why(session)
        assert "not offered to the workers" in why["reason"]
        assert "offered to no more workers" in why["last_error"]["message"]
        await hosted.send(session, ran(call))
        await idle(hosted, session, "end_turn", 3)
        assert (await hosted.poll(block_ms=999)).data.id == session.id


@requirement("work:lapsed-lease", "work:ended-unanswered")
async def test_a_session_that_loses_every_worker_is_given_up(database_url: str) -> None:
    pace = {**SHORT, "work_ack_seconds": 0.1}
    async with serving(database_url, workers=1, script=ONE, **pace) as server:
        hosted = await self_hosted(server)
        session = await hosted.session("go")
        await idle(hosted, session, "requires_action")
        seen = []
        for _ in range(4):
            item = await until(hosted.poll, block_ms=999)
            seen.append(item.id)
            await hosted.work.ack(item.id, environment_id=hosted.environment.id)

        async def complaint() -> Any:
            await hosted.work.stats(hosted.environment.id)
            return await hosted.events(session, "session.error")

        (said,) = await until(complaint)
        assert len(set(seen)) == 1
        assert "never sent a heartbeat" in said.error.message
        last = await hosted.work.retrieve(seen[0], environment_id=hosted.environment.id)
        assert last.state == "stopped"
        await idle(hosted, session, "requires_action", 2)
        await hosted.send(session, {"type": "user.interrupt"})
        assert (await hosted.poll(block_ms=999)).data.id == session.id


@requirement("work:stop-race")
async def test_input_before_a_stop_queues_another_item(database_url: str) -> None:
    script = {
        "scripts": [
            {"when": {"contains": "again"}, "turns": [{"tools": [BASH]}, {"text": "Two."}]}
        ],
        "otherwise": "One.",
    }
    async with serving(database_url, workers=1, script=script, **SHORT) as server:
        hosted = await self_hosted(server)
        session = await hosted.session("go")
        item = await hosted.taken()
        await hosted.beat(item)
        await idle(hosted, session, "end_turn")
        await hosted.send(session, says("again"))
        await idle(hosted, session, "requires_action", 2)
        assert await hosted.poll() is None
        await hosted.stop(item, force=True)
        again = await until(hosted.poll, block_ms=999)
        assert again.id != item.id
        assert again.data.id == session.id
        (call,) = await hosted.events(session, "agent.tool_use")
        await hosted.send(session, ran(call))
        await idle(hosted, session, "end_turn", 3)
        await hosted.stop(again, force=True)
        assert await hosted.poll() is None


@requirement("work:queued-with-input")
async def test_calls_without_a_worker_are_offered_when_they_come_up(database_url: str) -> None:
    script = {"turns": [{"tools": [WRITE]}, {"text": "Done."}]}
    async with serving(database_url, workers=1, script=script) as server:
        hosted = await self_hosted(server, tools=ASKING)
        session = await hosted.session("go")
        item = await hosted.taken()
        await idle(hosted, session, "requires_action")
        await hosted.stop(item, force=True)  # an ask alone needs no worker
        assert await hosted.poll() is None
        (call,) = await hosted.events(session, "agent.tool_use")
        allow: Any = {"type": "user.tool_confirmation", "tool_use_id": call.id, "result": "allow"}
        await hosted.send(session, allow)
        assert (await until(hosted.poll, block_ms=999)).data.id == session.id
