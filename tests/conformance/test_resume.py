"""Going on with a stream that was cut, several API servers on one database, and `/wait`."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.conformance.requirements import requirement
from tests.support.server import MODEL, Running, serving

SCRIPT = {
    "scripts": [
        {"when": {"contains": "two lookups"},
         "turns": [{"tools": [{"name": "lookup", "input": {}}] * 2}, {"text": "Found."}]},
        {"when": {"contains": "lookup"},
         "turns": [{"tools": [{"name": "lookup", "input": {}}]}, {"text": "Found."}]},
        {"when": {"contains": "slow"}, "turns": [{"text": "It takes its time, this one."}]},
    ],
    "otherwise": "Hello there.",
    "delays": {"piece_characters": 4, "piece_seconds": 0.02},
}  # fmt: skip
LOOKUP = {
    "type": "custom",
    "name": "lookup",
    "description": "d",
    "input_schema": {"type": "object"},
}


def say(text: str) -> Any:
    return {"type": "user.message", "content": [{"type": "text", "text": text}]}


@pytest.fixture
async def worked(database_url: str) -> AsyncIterator[Running]:
    """A server with a worker."""
    async with serving(database_url, workers=1, script=SCRIPT, keepalive_seconds=0.2) as running:
        yield running


async def begin(server: Running) -> Any:
    """An idle session of an agent with a tool that the client runs."""
    client = server.sdk()
    agent = await client.beta.agents.create(name="Fixer", model=MODEL, tools=[LOOKUP])
    environment = await client.beta.environments.create(name="plain")
    return await client.beta.sessions.create(agent=agent.id, environment_id=environment.id)


async def send(server: Running, session: Any, *events: Any) -> Any:
    return await server.sdk().beta.sessions.events.send(session.id, events=list(events))


Frame = tuple[str | None, Any]
"""The id of a frame, and its payload."""


@asynccontextmanager
async def opened(
    server: Running, session: Any, query: str = "", **headers: str
) -> AsyncIterator[AsyncIterator[Frame]]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    path = f"/v1/sessions/{session.id}/events/stream{query}"
    async with server.http().stream("GET", path, headers=named) as answer:
        assert answer.status_code == 200, await answer.aread()
        yield read(answer)


async def read(answer: Any) -> AsyncIterator[Frame]:
    place: str | None = None
    async for line in answer.aiter_lines():
        if line.startswith("id: "):
            place = line.removeprefix("id: ")
        elif line.startswith("data: "):
            yield place, json.loads(line.removeprefix("data: "))
            place = None


async def until_idle(frames: AsyncIterator[Frame]) -> list[Frame]:
    found = []
    async with asyncio.timeout(10):
        async for one in frames:
            found.append(one)
            if one[1]["type"] == "session.status_idle":
                return found
    raise AssertionError("the stream ended")


async def a_turn(server: Running, session: Any, text: str = "hello") -> list[Frame]:
    """A turn that is streamed; its frames."""
    async with opened(server, session) as frames:
        await send(server, session, say(text))
        return await until_idle(frames)


async def quiet(frames: AsyncIterator[Frame], seconds: float = 0.3) -> bool:
    """Whether nothing comes for a while."""
    try:
        async with asyncio.timeout(seconds):
            await anext(frames)
    except TimeoutError:
        return True
    return False


@requirement("resume:after", "resume:ids")
async def test_a_stream_goes_on_after_any_frame(worked: Running) -> None:
    session = await begin(worked)
    seen = await a_turn(worked, session)
    assert seen[0][0] is None  # queued: it has no place in the log yet
    logged = seen[1:]
    assert [place for place, _ in logged] == [payload["id"] for _, payload in logged]
    for place, _ in logged[:-1]:
        rest = logged[[one for one, _ in logged].index(place) + 1 :]
        async with opened(worked, session, Last_Event_ID=str(place)) as frames:
            assert await until_idle(frames) == rest
    async with opened(worked, session, f"?after={logged[3][0]}") as frames:
        assert await until_idle(frames) == logged[4:]
        await send(worked, session, say("again"))
        live = await until_idle(frames)
    listed = (await worked.http().get(f"/v1/sessions/{session.id}/events")).json()["data"]
    assert [payload for _, payload in logged + live[1:]] == listed
    # A browser repeats its address when it reconnects, and adds the header: the header is newer.
    last = logged[-2][0]
    async with opened(worked, session, f"?after={logged[0][0]}", last_event_id=str(last)) as frames:
        assert await anext(frames) == logged[-1]


@requirement("resume:ids")
async def test_previews_carry_no_id(worked: Running) -> None:
    session = await begin(worked)
    async with opened(worked, session, "?event_deltas[]=agent.message") as frames:
        await send(worked, session, say("slow"))
        seen = await until_idle(frames)
    previews = [place for place, payload in seen if payload["type"].startswith("event_")]
    assert len(previews) > 2
    assert set(previews) == {None}
    async with opened(
        worked, session, f"?event_deltas[]=agent.message&after={seen[1][0]}"
    ) as frames:
        again = await until_idle(frames)
    assert not [payload for _, payload in again if payload["type"].startswith("event_")]


@requirement("resume:after", "resume:unknown")
async def test_a_threads_stream_goes_on_too(worked: Running) -> None:
    session = await begin(worked)
    await a_turn(worked, session)
    http = worked.http()
    thread = (await http.get(f"/v1/sessions/{session.id}/threads")).json()["data"][0]["id"]
    path = f"/v1/sessions/{session.id}/threads/{thread}"
    listed = (await http.get(f"{path}/events")).json()["data"]
    async with http.stream("GET", f"{path}/stream?after={listed[0]['id']}") as answer:
        frames = read(answer)
        async with asyncio.timeout(10):
            got = [(await anext(frames))[1] for _ in listed[1:]]
    assert got == listed[1:]
    for strange in ("sevt_none", thread):
        answer = await http.get(f"{path}/stream?after={strange}")
        assert answer.status_code == 400
        assert strange in answer.json()["error"]["message"]


@requirement("resume:queued")
async def test_what_is_still_queued_comes_again(server: Running, session: Any) -> None:
    sent = await send(server, session, say("a"), say("b"))
    await server.sdk().beta.sessions.update(session.id, title="t")
    (updated,) = (
        await server.http().get(f"/v1/sessions/{session.id}/events?types=session.updated")
    ).json()["data"]
    async with opened(server, session, f"?after={updated['id']}") as frames:
        got = [await anext(frames) for _ in range(2)]
        assert [(place, one["id"]) for place, one in got] == [(None, one.id) for one in sent.data]
        assert await quiet(frames)
    async with opened(server, session, f"?after={sent.data[0].id}") as frames:
        assert (await anext(frames))[1]["id"] == sent.data[1].id
        assert await quiet(frames)


@requirement("resume:unknown")
async def test_an_unknown_event_is_refused(server: Running, session: Any) -> None:
    other = await begin(server)
    (sent,) = (await send(server, other, say("x"))).data
    http = server.http()
    path = f"/v1/sessions/{session.id}/events/stream"
    for strange in ("sevt_none", sent.id):
        answer = await http.get(path, headers={"Last-Event-ID": strange})
        assert answer.status_code == 400
        message = answer.json()["error"]["message"]
        assert message.startswith("Last-Event-ID: ")
        assert strange in message
    for wrong in ("%00", "a%20b", "x" * 300):
        answer = await http.get(f"{path}?after={wrong}")
        assert answer.status_code == 400
        assert answer.json()["error"]["message"].startswith("after: ")
    async with opened(server, session, "?after=") as frames:  # empty: not given
        assert await quiet(frames)


@requirement("resume:two-servers")
@pytest.mark.parametrize("worker", [0, 1])
async def test_a_turn_streamed_by_one_server_is_not_replayed_by_another(
    database_url: str, worker: int
) -> None:
    quick = {"script": SCRIPT, "keepalive_seconds": 0.2}
    async with (
        serving(database_url, workers=int(worker == 0), **quick) as one,
        serving(database_url, workers=int(worker == 1), **quick) as two,
    ):
        session = await begin(one)
        # clients rule 1: this client opens first and sends inside, through whichever server.
        for streams, accepts in ((one, two), (two, one)):
            async with opened(streams, session) as frames:
                await send(accepts, session, say("hello"))
                assert len(await until_idle(frames)) > 5
            for server in (one, two):
                async with opened(server, session) as frames:
                    assert await quiet(frames)
        # This one sends first, and opens the stream elsewhere.
        for streams, accepts in ((one, two), (two, one)):
            (sent,) = (await send(accepts, session, say("hello"))).data
            async with opened(streams, session) as frames:
                assert (await until_idle(frames))[0][1]["id"] == sent.id
            async with opened(accepts, session) as frames:
                assert await quiet(frames)


async def wait(server: Running, session: Any, query: str = "") -> Any:
    answer = await server.http().get(f"/v1/sessions/{session.id}/wait{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


@requirement("resume:wait", "resume:wait-unseen")
async def test_waiting_until_a_session_rests(worked: Running) -> None:
    session = await begin(worked)
    fresh = await wait(worked, session)
    assert (fresh["type"], fresh["reason"], fresh["timed_out"]) == (
        "session_wait", "not_started", False,
    )  # fmt: skip
    (sent,) = (await send(worked, session, say("slow"))).data
    done = await wait(worked, session, "?until=idle&timeout_seconds=10")
    assert (done["reason"], done["stop_reason"]) == ("end_turn", {"type": "end_turn"})
    assert done["session"] == (await worked.http().get(f"/v1/sessions/{session.id}")).json() | {
        "stats": done["session"]["stats"]
    }
    async with opened(worked, session) as frames:
        assert (await until_idle(frames))[0][1]["id"] == sent.id
    await send(worked, session, say("lookup"))
    asks = await wait(worked, session)
    assert (asks["reason"], asks["session"]["status"]) == ("requires_action", "idle")
    assert len(asks["stop_reason"]["event_ids"]) == 1
    over = asyncio.create_task(wait(worked, session, "?until=terminated&timeout_seconds=10"))
    assert (await wait(worked, session, "?until=terminated&timeout_seconds=0"))["timed_out"]
    await send(worked, session, {"type": "user.interrupt"})
    await wait(worked, session)
    await worked.sdk().beta.sessions.archive(session.id)
    ended = await over
    assert (ended["reason"], ended["timed_out"]) == ("archived", False)
    assert (await wait(worked, session))["reason"] == "archived"


@requirement("resume:wait")
async def test_waiting_after_some_of_the_answers_names_the_rest(
    server: Running, database_url: str
) -> None:
    session = await begin(server)
    await send(server, session, say("two lookups"))
    async with serving(database_url, workers=1, script=SCRIPT):
        first, second = (await wait(server, session))["stop_reason"]["event_ids"]
    # No worker is there, so the answer stays queued until the next one comes.
    await send(server, session, {"type": "user.custom_tool_result", "custom_tool_use_id": first})
    assert (await wait(server, session, "?timeout_seconds=0"))["timed_out"]
    waits = asyncio.create_task(wait(server, session))
    async with serving(database_url, workers=1, script=SCRIPT):
        left = await waits
        assert (left["reason"], left["timed_out"]) == ("requires_action", False)
        assert left["stop_reason"]["event_ids"] == [second]


@requirement("resume:wait")
async def test_waiting_at_another_server_and_for_nothing(
    server: Running, session: Any, database_url: str
) -> None:
    await send(server, session, say("hello"))
    answer = await wait(server, session, "?timeout_seconds=1")
    assert (answer["timed_out"], answer["reason"]) == (True, "running")
    waits = asyncio.create_task(wait(server, session))
    async with serving(database_url, workers=1, script=SCRIPT):
        async with asyncio.timeout(10):
            assert (await waits)["reason"] == "end_turn"
    await server.sdk().beta.sessions.delete(session.id)
    http = server.http()
    assert (await http.get(f"/v1/sessions/{session.id}/wait")).status_code == 404


@requirement("resume:wait")
async def test_who_goes_away_waits_no_longer(server: Running, session: Any) -> None:
    await send(server, session, say("hello"))
    gone = asyncio.create_task(wait(server, session, "?timeout_seconds=60"))
    async with asyncio.timeout(5):
        while not watched(server, session):  # noqa: ASYNC110  the server has no event for it
            await asyncio.sleep(0.01)
        gone.cancel()
        while watched(server, session):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    waits = asyncio.create_task(wait(server, session, "?timeout_seconds=60"))
    async with asyncio.timeout(5):
        while not watched(server, session):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await server.sdk().beta.sessions.events.send(
            session.id, events=[{"type": "user.interrupt"}]
        )
        assert not waits.done()
        server.log.end_streams()
        assert (await waits)["timed_out"]


def watched(server: Running, session: Any) -> bool:
    channel = server.log.hub.channels.get(session.id)
    return channel is not None and bool(channel.watchers)


@requirement("resume:wait-query")
async def test_what_can_be_waited_for(server: Running, session: Any) -> None:
    http = server.http()
    for wrong in ("until=done", "timeout_seconds=301", "timeout_seconds=-1", "timeout_seconds=x"):
        answer = await http.get(f"/v1/sessions/{session.id}/wait?{wrong}")
        assert answer.status_code == 400
        assert answer.json()["error"]["message"].startswith(wrong.split("=")[0])
    assert (await http.get("/v1/sessions/sesn_none/wait")).status_code == 404


@requirement("resume:rest")
# clients rule 10
async def test_a_stream_ends_some_time_after_the_turn(database_url: str) -> None:
    async with serving(
        database_url, workers=1, script=SCRIPT, keepalive_seconds=0.1, stream_rest_seconds=0.5
    ) as server:
        session = await begin(server)
        async with opened(server, session) as frames:
            assert await quiet(frames, 0.8)  # nothing has been asked yet
        async with opened(server, session) as frames:
            await send(server, session, say("lookup"))
            asks = (await until_idle(frames))[-1][1]
            assert asks["stop_reason"]["type"] == "requires_action"
            assert await quiet(frames, 0.8)  # somebody's answer is awaited
        async with opened(server, session) as frames:
            (call,) = asks["stop_reason"]["event_ids"]
            await send(
                server, session, {"type": "user.custom_tool_result", "custom_tool_use_id": call}
            )
            await until_idle(frames)
            async with asyncio.timeout(5):
                assert [one async for one in frames] == []
        async with opened(server, session) as frames, asyncio.timeout(5):
            assert [one async for one in frames] == []  # it had rested when the stream opened
