"""wire §18 steps 3 to 7: whole turns, with a worker and the scripted model."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import pytest

from agentstead.clock import SystemClock
from agentstead.sandbox.sandbox import Outcome
from agentstead.testing.fake_sandbox import Behaviour, FakeCall, FakeSandbox
from tests.conformance.requirements import requirement
from tests.support.server import MODEL, Running, serving

TOOLSET = "agent_toolset_20260401"
ASK = {"type": "always_ask"}


def custom(name: str) -> dict[str, Any]:
    return {"type": "custom", "name": name, "description": "d", "input_schema": {"type": "object"}}


def bash(command: str) -> dict[str, Any]:
    return {"name": "bash", "input": {"command": command}}


SCRIPT = {
    "scripts": [
        {"when": {"contains": "plain"},
         "turns": [{"thinking": "Hm.", "text": "On it.", "tools": [bash("ls")]}, {"text": "All done."}]},
        {"when": {"contains": "lookup twice"},
         "turns": [{"tools": [{"name": "lookup", "input": {"n": 1}}, {"name": "lookup", "input": {"n": 2}}]},
                   {"text": "Got {{results}}."}]},
        {"when": {"contains": "ask twice"},
         "turns": [{"tools": [{"name": "write", "input": {"file_path": "/a", "content": "1"}},
                              {"name": "write", "input": {"file_path": "/b", "content": "2"}}]},
                   {"text": "Written: {{results}}"}]},
        {"when": {"contains": "long"},
         "turns": [{"tools": [bash("sleep 60")]}, {"text": "Never reached."}]},
    ],
    "otherwise": "Hello there, this is a reply in several pieces.",
    "delays": {"piece_characters": 8, "piece_seconds": 0.01},
}  # fmt: skip


def behave(call: FakeCall) -> Behaviour:
    seconds = 60.0 if call.arguments.get("command") == "sleep 60" else 0.0
    return Behaviour(Outcome.text(f"{call.tool} ran"), seconds=seconds)


@pytest.fixture
async def server(database_url: str) -> AsyncIterator[Running]:
    sandbox = FakeSandbox(SystemClock(), behave)
    async with serving(
        database_url, workers=1, script=SCRIPT, sandbox=sandbox, keepalive_seconds=0.5
    ) as running:
        yield running


@pytest.fixture
async def session(client: Any, environment: Any) -> Any:
    agent = await client.beta.agents.create(
        name="Fixer",
        model=MODEL,
        tools=[
            {"type": TOOLSET, "configs": [{"name": "write", "permission_policy": ASK}]},
            custom("lookup"),
        ],
    )
    return await client.beta.sessions.create(agent=agent.id, environment_id=environment.id)


class Watch:
    """What a stream has brought so far."""

    def __init__(self, client: Any, session_id: str) -> None:
        self.client = client
        self.session_id = session_id
        self.seen: list[Any] = []
        self.news = asyncio.Event()

    async def follow(self, stream: Any) -> None:
        async for event in stream:
            self.seen.append(event)
            self.news.set()

    async def until(self, done: Callable[[list[Any]], bool]) -> list[Any]:
        async with asyncio.timeout(15):
            while not done(self.seen):
                self.news.clear()
                await self.news.wait()
        return list(self.seen)

    async def idle(self, number: int = 1) -> Any:
        """The session's `number`th idle."""
        await self.until(lambda seen: len(idles(seen)) >= number)
        return idles(self.seen)[number - 1]

    async def send(self, *events: Any) -> Any:
        return await self.client.beta.sessions.events.send(self.session_id, events=list(events))

    async def listed(self) -> list[Any]:
        return [one async for one in self.client.beta.sessions.events.list(self.session_id)]

    def calls(self, kind: str) -> list[Any]:
        return [one for one in self.seen if one.type == kind]


def idles(events: list[Any]) -> list[Any]:
    return [one for one in events if one.type == "session.status_idle"]


@asynccontextmanager
async def watching(client: Any, session: Any, **query: Any) -> AsyncIterator[Watch]:
    watch = Watch(client, session.id)
    async with await client.beta.sessions.events.stream(session.id, **query) as stream:
        task = asyncio.create_task(watch.follow(stream))
        try:
            yield watch
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def say(text: str) -> Any:
    return {"type": "user.message", "content": [{"type": "text", "text": text}]}


def unique(events: list[Any]) -> list[str]:
    return list(dict.fromkeys(one.id for one in events))


def texts(events: list[Any]) -> list[str]:
    return [block.text for one in events if one.type == "agent.message" for block in one.content]


@requirement("turns:order", "turns:queued-twice", "turns:status-first")
async def test_a_turn_in_order(server: Running, client: Any, session: Any) -> None:
    async with watching(client, session) as watch:
        await watch.send(say("plain"))
        idle = await watch.idle()
        events = list(watch.seen)
    assert idle.stop_reason.type == "end_turn"
    assert [one.type for one in events] == [
        "user.message",
        "user.message",
        "session.status_running",
        "session.thread_status_running",
        "span.model_request_start",
        "agent.thinking",
        "agent.message",
        "agent.tool_use",
        "span.model_request_end",
        "agent.tool_result",
        "span.model_request_start",
        "agent.message",
        "span.model_request_end",
        "session.thread_status_idle",
        "session.usage",
        "session.status_idle",
    ]
    listed = await watch.listed()
    # The message is streamed when queued and again, at its place in the log, when taken in.
    assert [one.id for one in listed] == [one.id for one in events[1:]]
    assert all(one.processed_at is not None for one in listed)
    assert texts(listed) == ["On it.", "All done."]
    call, result = watch.calls("agent.tool_use")[0], watch.calls("agent.tool_result")[0]
    assert (call.name, call.input, call.evaluated_permission) == (
        "bash",
        {"command": "ls"},
        "allow",
    )
    assert result.tool_use_id == call.id
    # clients rule 3: what the idle says can be acted on at once.
    found = await client.beta.sessions.retrieve(session.id)
    assert found.status == "idle"
    assert found.usage.output_tokens > 0
    assert found.usage.active_seconds == pytest.approx(found.stats.active_seconds)
    thread = (await client.beta.sessions.threads.list(session.id)).data[0]
    assert thread.id == watch.calls("session.thread_status_running")[0].session_thread_id
    assert thread.status == "idle"
    assert thread.usage.output_tokens == found.usage.output_tokens
    assert (await client.beta.sessions.archive(session.id)).status == "terminated"


@requirement("streams:late")
async def test_a_stream_opened_after_the_turn_still_gets_it(client: Any, session: Any) -> None:
    await client.beta.sessions.events.send(session.id, events=[say("plain")])
    async with asyncio.timeout(15):
        while (await client.beta.sessions.retrieve(session.id)).status != "idle":  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    async with watching(client, session) as watch:
        await watch.idle()
        assert texts(watch.seen) == ["On it.", "All done."]
        assert unique(watch.seen) == [one.id for one in watch.seen]
    # It has been seen: nobody gets it again.
    async with watching(client, session) as watch:
        await asyncio.sleep(0.3)
        assert watch.seen == []


def answer(call: Any, text: str) -> Any:
    return {
        "type": "user.custom_tool_result",
        "custom_tool_use_id": call.id,
        "content": [{"type": "text", "text": text}],
    }


@requirement(
    "turns:custom-tools",
    "turns:duplicate-answers",
    "turns:message-while-waiting",
    "turns:idle-is-last",
)
async def test_custom_tools_are_answered_one_by_one(client: Any, session: Any) -> None:
    async with watching(client, session) as watch:
        await watch.send(say("lookup twice"))
        idle = await watch.idle()
        first, second = watch.calls("agent.custom_tool_use")
        assert idle.stop_reason.type == "requires_action"
        assert idle.stop_reason.event_ids == [first.id, second.id]
        with pytest.raises(anthropic.BadRequestError, match="waits for answers"):
            await watch.send(say("hello"))
        sent = await watch.send(answer(first, "one"))
        assert sent.data[0].processed_at is not None
        rest = await watch.idle(2)
        assert rest.stop_reason.event_ids == [second.id]
        before = len(await watch.listed())
        again = await watch.send(answer(first, "other"))
        assert again.data[0].type == "user.custom_tool_result"
        assert len(await watch.listed()) == before
        await watch.send(answer(second, "two"))
        end = await watch.idle(3)
        assert end.stop_reason.type == "end_turn"
        assert texts(watch.seen)[-1] == "Got one\ntwo."
        late = len(await watch.listed())
        await watch.send(answer(second, "too late"))
        assert len(await watch.listed()) == late
        assert [one.id for one in await watch.listed()][-1] == end.id


@requirement("turns:answer-before-idle")
async def test_a_custom_tool_is_answered_before_the_idle(client: Any, session: Any) -> None:
    async with watching(client, session) as watch:
        await watch.send(say("lookup twice"))
        for number in (1, 2):
            await watch.until(lambda seen, n=number: len(watch.calls("agent.custom_tool_use")) >= n)
            await watch.send(answer(watch.calls("agent.custom_tool_use")[number - 1], str(number)))
        await watch.until(
            lambda seen: any(one.stop_reason.type == "end_turn" for one in idles(seen))
        )
        assert texts(watch.seen)[-1] == "Got 1\n2."


def confirm(call: Any, result: str, **more: Any) -> Any:
    return {"type": "user.tool_confirmation", "tool_use_id": call.id, "result": result, **more}


@requirement("turns:asks", "turns:needless-confirmation")
async def test_asks_are_allowed_and_denied(client: Any, session: Any) -> None:
    async with watching(client, session) as watch:
        await watch.send(say("ask twice"))
        idle = await watch.idle()
        first, second = watch.calls("agent.tool_use")
        assert {one.evaluated_permission for one in (first, second)} == {"ask"}
        assert first.evaluation.type == "always_ask"
        assert idle.stop_reason.event_ids == [first.id, second.id]
        await watch.send(confirm(first, "allow"), confirm(second, "deny", deny_message="Not /b."))
        end = await watch.idle(2)
        assert end.stop_reason.type == "end_turn"
        results = {one.tool_use_id: one for one in watch.calls("agent.tool_result")}
        assert results[first.id].content[0].text == "write ran"
        assert not results[first.id].is_error
        assert results[second.id].is_error
        assert "Not /b." in results[second.id].content[0].text
        await watch.send(say("plain"))
        await watch.idle(3)
        allowed = watch.calls("agent.tool_use")[-1]
        assert allowed.evaluated_permission == "allow"
        with pytest.raises(anthropic.BadRequestError, match="does not ask"):
            await watch.send(confirm(allowed, "allow"))


INTERRUPTED = "Tool execution was interrupted before completion. Please retry."


@requirement("turns:interrupt", "turns:idle-is-last")
async def test_an_interrupt_and_then_a_message(client: Any, session: Any) -> None:
    async with watching(client, session) as watch:
        await watch.send(say("long"))
        await watch.until(lambda seen: bool(watch.calls("agent.tool_use")))
        await watch.send({"type": "user.interrupt"})
        await watch.send(say("plain"))
        await watch.until(lambda seen: "All done." in texts(seen))
        result = watch.calls("agent.tool_result")[0]
        assert result.is_error
        assert result.content[0].text == INTERRUPTED
        last = await watch.until(lambda seen: seen[-1].type == "session.status_idle")
        assert last[-1].stop_reason.type == "end_turn"
        assert "Never reached." not in texts(watch.seen)
        assert (await watch.listed())[-1].id == last[-1].id


@requirement("turns:interrupt-while-waiting", "events:idle-interrupt")
async def test_an_interrupt_ends_the_wait_for_answers(client: Any, session: Any) -> None:
    async with watching(client, session) as watch:
        await watch.send(say("lookup twice"))
        await watch.idle()
        await watch.send({"type": "user.interrupt"})
        end = await watch.idle(2)
        assert end.stop_reason.type == "end_turn"
        count = len(await watch.listed())
        await watch.send({"type": "user.interrupt"})
        assert len(await watch.listed()) == count
        await watch.send(say("plain"))
        await watch.until(lambda seen: "All done." in texts(seen))


@requirement("turns:previews")
async def test_previews_come_when_asked_for(client: Any, session: Any) -> None:
    async with (
        watching(client, session, event_deltas=["agent.message", "agent.thinking"]) as more,
        watching(client, session) as less,
    ):
        await more.send(say("plain"))
        await more.idle()
        await less.idle()
        assert not [one for one in less.seen if one.type.startswith("event_")]
        starts = {one.event.id: one.event.type for one in more.calls("event_start")}
        finals = {
            one.id: one for one in more.seen if one.type in ("agent.message", "agent.thinking")
        }
        assert starts == {key: one.type for key, one in finals.items()}
        for key, final in finals.items():
            deltas = [one for one in more.calls("event_delta") if one.event_id == key]
            if final.type == "agent.thinking":
                assert deltas == []
                continue
            shown = "".join(one.delta.content.text for one in deltas)
            assert final.content[0].text.startswith(shown)
            assert [one.delta.index for one in deltas] == sorted(one.delta.index for one in deltas)
            places = [more.seen.index(one) for one in deltas]
            assert max(places, default=0) < more.seen.index(final)
        kept = {one.type for one in await more.listed()}
        assert not kept & {"event_start", "event_delta"}


@requirement("turns:queue", "turns:idle-is-last")
async def test_messages_queue_while_a_turn_runs(client: Any, session: Any) -> None:
    async with watching(client, session) as watch:
        await watch.send(say("plain"))
        await watch.until(lambda seen: bool(watch.calls("span.model_request_start")))
        await watch.send(say("and hello"))
        await watch.until(lambda seen: any("reply in several" in one for one in texts(seen)))
        await watch.until(lambda seen: seen[-1].type == "session.status_idle")
        listed = await watch.listed()
        assert len([one for one in listed if one.type == "user.message"]) == 2
        assert listed[-1].type == "session.status_idle"
        assert len(idles(listed)) == 1


@requirement("operation:why-waiting")
async def test_why_names_the_asks_and_the_call(server: Running, client: Any, session: Any) -> None:
    http = server.http()
    async with watching(client, session) as watch:
        await watch.send(say("ask twice"))
        idle = await watch.idle()
        why = (await http.get(f"/v1/sessions/{session.id}/why")).json()
        assert why["waiting_for"]["type"] == "client"
        assert why["waiting_for"]["event_ids"] == idle.stop_reason.event_ids
        await watch.send({"type": "user.interrupt"})
        await watch.idle(2)
        await watch.send(say("long"))
        await watch.until(lambda seen: len(watch.calls("agent.tool_use")) == 3)
        call = watch.calls("agent.tool_use")[-1]
        async with asyncio.timeout(10):
            while True:
                why = (await http.get(f"/v1/sessions/{session.id}/why")).json()
                if why["waiting_for"]["type"] == "tool":
                    break
                await asyncio.sleep(0.02)
        assert why["waiting_for"]["event_ids"] == [call.id]
        assert why["lease"]["owner"].startswith("worker_")
        await watch.send({"type": "user.interrupt"})
        await watch.idle(3)


@requirement("operation:ready")
async def test_a_live_worker_makes_it_ready(server: Running) -> None:
    http = server.http()
    async with asyncio.timeout(10):
        while (answer := await http.get("/readyz")).status_code != 200:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert answer.json() == {"status": "ready", "problems": []}


@requirement("turns:tool-runner")
async def test_the_sdks_tool_runner_answers_custom_tools(client: Any, session: Any) -> None:
    asked = []

    @anthropic.beta_async_tool(name="lookup", description="d")
    async def lookup(n: int) -> str:
        asked.append(n)
        return f"found {n}"

    await client.beta.sessions.events.send(session.id, events=[say("lookup twice")])
    runner = client.beta.sessions.events.tool_runner(session.id, tools=[lookup], max_idle=0.5)
    async with asyncio.timeout(20):
        calls = [call async for call in runner]
    assert len(calls) == 2
    assert sorted(asked) == [1, 2]
    listed = [one async for one in client.beta.sessions.events.list(session.id)]
    assert texts(listed)[-1].startswith("Got found ")
    assert listed[-1].stop_reason.type == "end_turn"
