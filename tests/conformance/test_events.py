"""Events and streams without a worker: send, list, page, follow."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import pytest

from tests.conformance.requirements import requirement
from tests.support.server import Running, serving

MESSAGE: Any = {"type": "user.message", "content": [{"type": "text", "text": "hi"}]}

SYSTEM: Any = {"type": "system.message", "content": [{"type": "text", "text": "Be brief."}]}


def message(text: str) -> Any:
    return {"type": "user.message", "content": [{"type": "text", "text": text}]}


async def listed(client: Any, session_id: str, **query: Any) -> list[Any]:
    return [one async for one in client.beta.sessions.events.list(session_id, **query)]


@requirement("events:visible-at-once")
async def test_what_was_sent_is_listed_and_the_status_is_running(client: Any, session: Any) -> None:
    sent = await client.beta.sessions.events.send(session.id, events=[message("a"), message("b")])
    assert [one.content[0].text for one in sent.data] == ["a", "b"]
    assert [one.processed_at for one in sent.data] == [None, None]
    assert all(one.id.startswith("sevt_01") for one in sent.data)
    assert (await client.beta.sessions.retrieve(session.id)).status == "running"
    events = await listed(client, session.id)
    assert [one.id for one in events] == [one.id for one in sent.data]
    await client.beta.sessions.events.send(session.id, events=[message("c")])
    assert [one.content[0].text for one in await listed(client, session.id)] == ["a", "b", "c"]
    down = await listed(client, session.id, order="desc")
    assert [one.content[0].text for one in down] == ["c", "b", "a"]


@requirement("events:all-or-nothing")
async def test_one_bad_event_refuses_all(client: Any, server: Running, session: Any) -> None:
    bad = {"type": "user.tool_confirmation", "tool_use_id": "sevt_none", "result": "allow"}
    with pytest.raises(anthropic.BadRequestError, match=r"events\.1\.tool_use_id"):
        await client.beta.sessions.events.send(session.id, events=[MESSAGE, bad])
    assert await listed(client, session.id) == []
    assert (await client.beta.sessions.retrieve(session.id)).status == "idle"
    http = server.http()
    for body in ({"events": []}, {"events": [MESSAGE] * 101}, {}, {"events": [MESSAGE], "x": 1}):
        answer = await http.post(f"/v1/sessions/{session.id}/events", json=body)
        assert answer.status_code == 400, answer.text


@requirement("events:idle-interrupt")
async def test_an_idle_session_is_not_interrupted(client: Any, session: Any) -> None:
    sent = await client.beta.sessions.events.send(session.id, events=[{"type": "user.interrupt"}])
    assert sent.data[0].type == "user.interrupt"
    stray: Any = {"type": "user.interrupt", "session_thread_id": "sthr_none"}
    with pytest.raises(anthropic.BadRequestError, match=r"events\.0\.session_thread_id"):
        await client.beta.sessions.events.send(session.id, events=[stray])
    assert await listed(client, session.id) == []
    assert (await client.beta.sessions.retrieve(session.id)).status == "idle"


@requirement("events:system-message")
async def test_a_system_message_may_follow_a_message(client: Any, session: Any) -> None:
    sent = await client.beta.sessions.events.send(session.id, events=[MESSAGE, SYSTEM])
    assert [one.type for one in sent.data] == ["user.message", "system.message"]
    with pytest.raises(
        anthropic.BadRequestError, match=r"events\.0: A system\.message must be the last"
    ):
        await client.beta.sessions.events.send(session.id, events=[SYSTEM, MESSAGE])


@requirement("events:system-message-models")
async def test_system_messages_need_a_model_that_takes_them(database_url: str) -> None:
    async with serving(database_url, anthropic_api_key="none") as server:
        client = server.sdk()
        agent = await client.beta.agents.create(name="a", model="claude-unheard-of")
        environment = await client.beta.environments.create(name="e")
        session = await client.beta.sessions.create(agent=agent.id, environment_id=environment.id)
        with pytest.raises(anthropic.BadRequestError) as refused:
            await client.beta.sessions.events.send(session.id, events=[MESSAGE, SYSTEM])
        assert refused.value.body["error"]["details"] == {
            "error_code": "model_does_not_support_mid_conversation_system"
        }
        assert await listed(client, session.id) == []


@requirement("paging:last-page", "paging:bound", "events:largest-page")
@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_events_page_one_by_one(client: Any, session: Any, order: Any) -> None:
    await client.beta.sessions.update(session.id, title="1")
    await client.beta.sessions.update(session.id, title="2")
    await client.beta.sessions.events.send(session.id, events=[message("a"), message("b")])
    whole = await listed(client, session.id, order=order, limit=1000)
    assert len(whole) == 4
    assert [one.id for one in await listed(client, session.id, order=order, limit=1)] == [
        one.id for one in whole
    ]
    page = await client.beta.sessions.events.list(session.id, order=order, limit=1)
    other = "desc" if order == "asc" else "asc"
    with pytest.raises(anthropic.BadRequestError, match="page: "):
        await client.beta.sessions.events.list(session.id, order=other, page=page.next_page)
    with pytest.raises(anthropic.BadRequestError, match="limit: "):
        await client.beta.sessions.events.list(session.id, limit=1001)


@requirement("events:filters")
async def test_events_are_filtered(client: Any, server: Running, session: Any) -> None:
    await client.beta.sessions.update(session.id, title="1")
    await client.beta.sessions.events.send(session.id, events=[MESSAGE])
    only = await listed(client, session.id, types=["session.updated"])
    assert [one.type for one in only] == ["session.updated"]
    both = await listed(client, session.id, types=["session.updated", "user.message"])
    assert len(both) == 2
    at = only[0].processed_at
    assert [one.id for one in await listed(client, session.id, created_at_gte=at)] == [only[0].id]
    assert await listed(client, session.id, created_at_gt=at) == []
    http = server.http()
    for wrong in ("types[]=session.deleted", "types=nope", "created_at[gte]=x", "order=x"):
        assert (await http.get(f"/v1/sessions/{session.id}/events?{wrong}")).status_code == 400


@asynccontextmanager
async def opened(server: Running, path: str) -> AsyncIterator[Any]:
    async with server.http().stream("GET", path) as answer:
        yield answer


async def frames(answer: Any, number: int) -> list[tuple[str, Any]]:
    """The next `number` frames that are not comments."""
    found = []
    async with asyncio.timeout(10):
        name = ""
        async for line in answer.aiter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                found.append((name, json.loads(line.removeprefix("data: "))))
                if len(found) == number:
                    return found
    return found


@requirement("streams:at-once", "streams:kept-alive")
async def test_a_stream_opens_at_once_and_is_kept_alive(server: Running, session: Any) -> None:
    async with (
        asyncio.timeout(5),
        opened(server, f"/v1/sessions/{session.id}/events/stream") as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.headers["x-accel-buffering"] == "no"
        assert answer.headers["request-id"].startswith("req_01")
        assert "content-encoding" not in answer.headers
        comments = 0
        async for line in answer.aiter_lines():
            assert line == "" or line.startswith(":")
            comments += line.startswith(":")
            if comments == 3:
                break


@requirement("streams:same-bytes")
async def test_a_queued_message_is_streamed(server: Running, client: Any, session: Any) -> None:
    async with opened(server, f"/v1/sessions/{session.id}/events/stream") as answer:
        sent = await client.beta.sessions.events.send(session.id, events=[MESSAGE])
        name, data = (await frames(answer, 1))[0]
    assert name == data["type"] == "user.message"
    assert (data["id"], data["processed_at"]) == (sent.data[0].id, None)
    raw = (await server.http().get(f"/v1/sessions/{session.id}/events")).json()
    assert raw["data"] == [data]


@requirement("streams:sdk")
async def test_the_sdk_follows_a_stream(client: Any, session: Any) -> None:
    stream = await client.beta.sessions.events.stream(session.id)
    async with asyncio.timeout(5), stream:
        await client.beta.sessions.events.send(session.id, events=[MESSAGE])
        async for event in stream:
            assert event.type == "user.message"
            break


@requirement("streams:many")
async def test_any_number_may_follow(server: Running, client: Any, session: Any) -> None:
    path = f"/v1/sessions/{session.id}/events/stream"
    async with opened(server, path) as one, opened(server, path) as two:
        await client.beta.sessions.events.send(session.id, events=[MESSAGE])
        assert await frames(one, 1) == await frames(two, 1)


@requirement("streams:deleted")
async def test_deletion_ends_a_stream(server: Running, client: Any, session: Any) -> None:
    async with opened(server, f"/v1/sessions/{session.id}/events/stream") as answer:
        await client.beta.sessions.delete(session.id)
        found = await frames(answer, 99)
    assert [name for name, _ in found] == ["session.deleted"]
    assert found[0][1]["type"] == "session.deleted"


@requirement("streams:archived")
async def test_archiving_ends_a_stream(server: Running, client: Any, session: Any) -> None:
    async with opened(server, f"/v1/sessions/{session.id}/events/stream") as answer:
        await client.beta.sessions.archive(session.id)
        found = await frames(answer, 99)
    assert [name for name, _ in found] == [
        "session.thread_status_terminated",
        "session.status_terminated",
    ]
    async with (
        asyncio.timeout(5),
        opened(server, f"/v1/sessions/{session.id}/events/stream") as answer,
    ):
        assert answer.status_code in (200, 400)
        assert await frames(answer, 1) == []


@requirement("streams:event-deltas")
async def test_previews_are_asked_for_by_name(server: Running, session: Any) -> None:
    http = server.http()
    path = f"/v1/sessions/{session.id}/events/stream"
    many = "&".join(["event_deltas[]=agent.message"] * 101)
    for wrong in ("event_deltas[]=agent.tool_use", "event_deltas=x", many):
        answer = await http.get(f"{path}?{wrong}")
        assert answer.status_code == 400
        assert answer.json()["error"]["message"].startswith("event_deltas")
    async with opened(
        server, f"{path}?event_deltas%5B%5D=agent.message&event_deltas[]=agent.thinking"
    ) as good:
        assert good.status_code == 200


@requirement("threads:log", "threads:unknown")
async def test_a_threads_log_can_be_read_and_followed(
    server: Running, client: Any, session: Any
) -> None:
    page = await client.beta.sessions.threads.list(session.id)
    thread = page.data[0]
    path = f"/v1/sessions/{session.id}/threads/{thread.id}/stream"
    async with opened(server, path) as answer:
        assert answer.status_code == 200
        await client.beta.sessions.archive(session.id)
        assert [name for name, _ in await frames(answer, 1)] == ["session.thread_status_terminated"]
    events = [
        one.type
        async for one in client.beta.sessions.threads.events.list(thread.id, session_id=session.id)
    ]
    assert "session.thread_status_terminated" in events
    http = server.http()
    for wrong in (
        f"/v1/sessions/{session.id}/threads/sthr_x/stream",
        "/v1/sessions/sesn_x/events/stream",
    ):
        assert (await http.get(wrong)).status_code == 404


@requirement("streams:vanished")
async def test_a_client_that_vanishes_is_forgotten(
    server: Running, client: Any, session: Any
) -> None:
    for _ in range(3):
        async with opened(server, f"/v1/sessions/{session.id}/events/stream") as answer:
            assert answer.status_code == 200
    async with asyncio.timeout(5):
        while followers(server):  # noqa: ASYNC110  the end of a task of the server's
            await asyncio.sleep(0.02)
    await client.beta.sessions.events.send(session.id, events=[MESSAGE])


def followers(server: Running) -> int:
    """Streams that are being sent in this process."""
    return sum(
        1 for task in asyncio.all_tasks() if "Stream.stream_response" in repr(task.get_coro())
    )


@requirement("streams:late")
async def test_a_late_stream_gets_the_batch(server: Running, client: Any, session: Any) -> None:
    sent = await client.beta.sessions.events.send(session.id, events=[MESSAGE])
    async with opened(server, f"/v1/sessions/{session.id}/events/stream") as answer:
        found = await frames(answer, 1)
    assert found[0][1]["id"] == sent.data[0].id


@requirement("streams:late-off")
async def test_late_streams_can_be_switched_off(database_url: str) -> None:
    async with serving(database_url, late_stream_seconds=0, keepalive_seconds=0.1) as server:
        client = server.sdk()
        agent = await client.beta.agents.create(name="a", model="scripted-test")
        environment = await client.beta.environments.create(name="e")
        session = await client.beta.sessions.create(
            agent=agent.id, environment_id=environment.id, initial_events=[MESSAGE]
        )
        async with opened(server, f"/v1/sessions/{session.id}/events/stream") as answer:
            lines = answer.aiter_lines()
            seen = [await anext(lines) for _ in range(5)]
        assert not any(line.startswith("data") for line in seen)
