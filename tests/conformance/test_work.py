"""The work queue by hand: every route, every state, every credential, with the official SDK."""

import asyncio
from typing import Any

import anthropic
import pytest
from anthropic.types.beta.environments import BetaHeartbeatPreconditionFailedError

from agentstead.resources import environment_keys
from agentstead.resources.work.routes import PATH
from tests.conformance.requirements import requirement
from tests.support.hosted import SHORT, Hosted, says, self_hosted, token_of
from tests.support.server import Running, serving
from tests.support.waiting import until


@pytest.fixture
async def hosted(server: Running) -> Hosted:
    """A self-hosted environment; nothing works by itself."""
    return await self_hosted(server)


@requirement("work:empty-poll")
async def test_an_empty_queue_answers_null(hosted: Hosted) -> None:
    assert await hosted.poll() is None
    assert await asyncio.wait_for(hosted.poll(block_ms=999), 5) is None
    path = f"{PATH.format(environment_id=hosted.environment.id)}/poll"
    http = hosted.server.http()
    answer = await http.get(path)
    assert (answer.status_code, answer.text) == (200, "null")
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.headers["request-id"]
    for bad in ("0", "1000", "soon"):
        answer = await http.get(path, params={"block_ms": bad})
        assert answer.status_code == 400
        assert "block_ms" in answer.json()["error"]["message"]


@requirement("work:stats")
async def test_stats_tell_who_polls_and_what_waits(hosted: Hosted) -> None:
    await hosted.poll(anthropic_worker_id="rack-1")
    await hosted.poll(anthropic_worker_id="rack-2")
    empty = await hosted.work.stats(hosted.environment.id)
    assert (empty.type, empty.depth, empty.pending, empty.oldest_queued_at, empty.workers_polling) == (
        "work_queue_stats", 0, 0, None, 2,
    )  # fmt: skip
    for text in ("one", "two"):
        await hosted.session(text)
    waiting = await hosted.work.stats(hosted.environment.id)
    assert (waiting.depth, waiting.pending) == (2, 0)
    assert waiting.oldest_queued_at is not None
    await hosted.poll()
    pending = await hosted.work.stats(hosted.environment.id)
    assert (pending.depth, pending.pending) == (1, 1)


@requirement("work:queued-with-input")
async def test_a_session_is_queued_with_its_first_input_and_once(hosted: Hosted) -> None:
    with pytest.raises(anthropic.BadRequestError, match=r"resources\.0"):
        await hosted.session(resources=[{"type": "file", "file_id": "file_none"}])
    session = await hosted.session()
    assert await hosted.poll() is None
    await hosted.send(session, says("one"))
    await hosted.send(session, says("two"))
    assert (await hosted.work.stats(hosted.environment.id)).depth == 1
    at_once = await hosted.session(initial_events=[says("go")])
    items = [item async for item in hosted.work.list(hosted.environment.id)]
    assert [item.data.id for item in items] == [at_once.id, session.id]


@requirement("work:claim", "work:secret")
async def test_an_item_is_handed_out_once_until_it_is_reclaimed(hosted: Hosted) -> None:
    session = await hosted.session("go")
    item = await hosted.poll(block_ms=999)
    assert item.state == "queued"
    assert (item.type, item.data.type, item.data.id) == ("work", "session", session.id)
    assert item.environment_id == hosted.environment.id
    first = token_of(item.secret)
    assert not set("+/-_") & set(item.secret)
    assert await hosted.poll() is None
    await asyncio.sleep(0.02)
    again = await hosted.poll(reclaim_older_than_ms=1)
    assert again.id == item.id
    assert token_of(again.secret) != first
    acked = await hosted.work.ack(item.id, environment_id=hosted.environment.id)
    assert (acked.state, acked.secret) == ("starting", None)
    assert acked.acknowledged_at is not None
    assert await hosted.poll(reclaim_older_than_ms=0) is None
    one = await hosted.work.retrieve(item.id, environment_id=hosted.environment.id)
    listed = [each async for each in hosted.work.list(hosted.environment.id, limit=1)]
    assert [one.secret, *(each.secret for each in listed)] == [None, None]
    repeated = await hosted.work.ack(item.id, environment_id=hosted.environment.id)
    assert repeated.acknowledged_at == acked.acknowledged_at


@requirement("work:claim")
async def test_a_poll_wakes_when_work_comes(hosted: Hosted) -> None:
    polls = [asyncio.create_task(hosted.poll(block_ms=999)) for _ in range(3)]
    await asyncio.sleep(0.1)
    session = await hosted.session("go")
    items = await asyncio.gather(*polls)
    assert [item.data.id for item in items if item] == [session.id]


@requirement("work:heartbeat", "work:ttl")
async def test_a_heartbeat_holds_the_lease(hosted: Hosted) -> None:
    await hosted.session("go")
    item = await hosted.taken()
    first = await hosted.beat(item)
    assert (first.type, first.state, first.lease_extended) == ("work_heartbeat", "active", True)
    assert first.ttl_seconds == 300
    with pytest.raises(anthropic.APIStatusError) as caught:
        await hosted.beat(item)
    assert caught.value.status_code == 412
    error = caught.value.body["error"]
    assert error["details"]["error_code"] == "heartbeat_precondition_failed"
    state = error["details"]["current_state"]
    assert state == {
        "last_heartbeat": first.last_heartbeat, "lease_extended": False, "state": "active",
        "ttl_seconds": 300,
    }  # fmt: skip
    second = await hosted.beat(item, first.last_heartbeat, desired_ttl_seconds=1)
    assert second.ttl_seconds == 10
    assert second.last_heartbeat > first.last_heartbeat
    resent = await hosted.beat(item, first.last_heartbeat)
    assert resent.last_heartbeat == second.last_heartbeat
    third = await hosted.beat(item, second.last_heartbeat, desired_ttl_seconds=9_999)
    assert third.ttl_seconds == 600
    with pytest.raises(anthropic.APIStatusError):
        await hosted.beat(item, first.last_heartbeat)
    assert (await hosted.beat(item, None)).lease_extended
    active = await hosted.work.retrieve(item.id, environment_id=hosted.environment.id)
    assert active.state == "active"
    assert active.started_at is not None
    assert active.latest_heartbeat_at is not None


@requirement("work:heartbeat")
async def test_the_sdk_knows_the_lost_lease_by_type(hosted: Hosted) -> None:
    await hosted.session("go")
    item = await hosted.taken()
    await hosted.beat(item)
    with pytest.raises(BetaHeartbeatPreconditionFailedError) as caught:
        await hosted.beat(item)
    assert caught.value.details.current_state.state == "active"


@requirement("work:stop", "work:stop-reason")
async def test_a_stop_lets_the_holder_finish(hosted: Hosted) -> None:
    session = await hosted.session("go")
    item = await hosted.taken()
    await hosted.beat(item)
    stopping = await hosted.stop(item)
    assert stopping.state == "stopping"
    assert stopping.stop_requested_at is not None
    told = await hosted.beat(item, "not the latest")
    assert (told.state, told.lease_extended) == ("stopping", True)
    assert (await hosted.stop(item)).stop_requested_at == stopping.stop_requested_at
    stopped = await hosted.stop(item, force=True)
    assert stopped.state == "stopped"
    assert stopped.to_dict()["agentstead"]["reason"]
    again = await hosted.stop(item, force=True)
    assert again.stopped_at == stopped.stopped_at
    over = await hosted.beat(item, "whatever")
    assert (over.state, over.lease_extended) == ("stopped", False)
    rows = await hosted.server.database.fetch(
        "select rule, actor from audit where target_id = %s and action = 'work.stop' order by at",
        (item.id,),
    )
    assert len(rows) == 2
    assert all(row["rule"] and row["actor"].startswith("apikey_") for row in rows)
    with pytest.raises(anthropic.BadRequestError, match="stopped"):
        await hosted.work.ack(item.id, environment_id=hosted.environment.id)
    # The session still runs and has nobody: it was queued once more.
    assert (await hosted.poll(block_ms=999)).data.id == session.id


@requirement("work:environment-keys")
async def test_an_environment_key_serves_its_queue_and_nothing_else(hosted: Hosted) -> None:
    session = await hosted.session("go")
    worker = hosted.bearer(hosted.key)
    work, env = worker.beta.environments.work, hosted.environment.id
    item = await work.poll(env)
    await work.ack(item.id, environment_id=env)
    await work.heartbeat(item.id, environment_id=env, expected_last_heartbeat="NO_HEARTBEAT")
    assert (await work.stats(env)).depth == 0
    assert len([one async for one in work.list(env)]) == 1
    assert (await worker.beta.sessions.retrieve(session.id)).id == session.id
    await worker.beta.sessions.events.list(session.id)
    await hosted.send(session, says("more"), client=worker)
    async with await worker.beta.sessions.events.stream(session.id):
        pass
    other = await hosted.client.beta.environments.create(name="o", config={"type": "self_hosted"})
    elsewhere = await hosted.client.beta.sessions.create(
        agent=hosted.agent.id, environment_id=other.id
    )
    refused = (
        work.poll(other.id),
        work.retrieve(item.id, environment_id=env),
        work.update(item.id, environment_id=env, metadata={}),
        worker.beta.sessions.archive(session.id),
        worker.beta.sessions.update(session.id, title="x"),
        worker.beta.agents.list(),
        worker.beta.environments.retrieve(env),
    )
    for one in refused:
        with pytest.raises(anthropic.PermissionDeniedError, match="environment key"):
            await one
    with pytest.raises(anthropic.NotFoundError):
        await worker.beta.sessions.retrieve(elsewhere.id)
    with pytest.raises(anthropic.NotFoundError):
        await hosted.send(elsewhere, says("x"), client=worker)
    assert hosted.key.startswith("sk-ant-oat01-")
    assert len(hosted.key) > 30
    await work.stop(item.id, environment_id=env, force=True)
    await environment_keys.revoke(hosted.server.database, hosted.key_id)
    with pytest.raises(anthropic.AuthenticationError):
        await work.poll(env)


@requirement("work:sessions-token")
async def test_a_sessions_token_serves_its_session_and_nothing_else(hosted: Hosted) -> None:
    session, other = await hosted.session("go"), await hosted.session("go too")
    item, next_item = await hosted.taken(), await hosted.taken()
    env = hosted.environment.id
    holder = hosted.bearer(token_of(item.secret))
    work = holder.beta.environments.work
    beat = await work.heartbeat(item.id, environment_id=env, expected_last_heartbeat="NO_HEARTBEAT")
    assert beat.state == "active"
    assert (await holder.beta.sessions.retrieve(session.id)).status == "running"
    await holder.beta.sessions.events.list(session.id)
    await hosted.send(session, says("more"), client=holder)
    async with await holder.beta.sessions.events.stream(session.id):
        pass
    refused = (
        holder.beta.sessions.retrieve(other.id),
        holder.beta.sessions.events.list(other.id),
        hosted.send(other, says("x"), client=holder),
        work.heartbeat(next_item.id, environment_id=env),
        work.stop(next_item.id, environment_id=env, force=True),
        work.poll(env),
        work.stats(env),
        holder.beta.sessions.list(),
    )
    for one in refused:
        with pytest.raises(anthropic.PermissionDeniedError, match="token of a work item"):
            await one
    assert (await work.stop(item.id, environment_id=env, force=True)).state == "stopped"
    rows = await hosted.server.database.fetch(
        "select distinct actor from audit where target_id = %s and action = 'session.send'",
        (session.id,),
    )
    assert {row["actor"].split("_")[0] for row in rows} == {"apikey", "work"}
    await hosted.server.database.execute("update work_tokens set until = now() - interval '1 s'")
    with pytest.raises(anthropic.AuthenticationError):
        await holder.beta.sessions.retrieve(session.id)


@requirement("work:metadata")
async def test_metadata_is_merged(hosted: Hosted) -> None:
    await hosted.session("go")
    item = await hosted.poll()

    async def change(**metadata: Any) -> Any:
        return await hosted.work.update(
            item.id, environment_id=hosted.environment.id, metadata=metadata
        )

    assert (await change(a="1", b="2")).metadata == {"a": "1", "b": "2"}
    assert (await change(a=None)).metadata == {"b": "2"}
    assert (await change(b=None)).metadata == {}
    with pytest.raises(anthropic.BadRequestError) as caught:
        await change(**{f"k{number}": "v" for number in range(17)})
    assert caught.value.body["error"]["details"]["error_code"] == "invalid_metadata"


@requirement("work:not-self-hosted")
async def test_other_environments_have_no_queue(hosted: Hosted, environment: Any) -> None:
    for one in (
        hosted.work.poll(environment.id),
        hosted.work.stats(environment.id),
        hosted.work.list(environment.id),
        hosted.work.retrieve("work_none", environment_id=environment.id),
        hosted.work.stop("work_none", environment_id=environment.id),
    ):
        with pytest.raises(anthropic.BadRequestError, match="not self_hosted"):
            await one
    for one in (
        hosted.work.ack("work_none", environment_id=hosted.environment.id),
        hosted.work.heartbeat("work_none", environment_id=hosted.environment.id),
        hosted.work.poll("env_none"),
    ):
        with pytest.raises(anthropic.NotFoundError):
            await one


@requirement("work:archived-environment")
async def test_an_archived_environment_ends_no_worker(hosted: Hosted) -> None:
    session = await hosted.session("go")
    await hosted.session("go too")
    item = await hosted.taken()
    worker = hosted.bearer(hosted.key).beta.environments.work
    await hosted.client.beta.environments.archive(hosted.environment.id)
    assert await worker.poll(hosted.environment.id, block_ms=5) is None
    assert await hosted.poll() is None
    assert (await hosted.beat(item)).state == "active"
    states = {one.data.id: one.state async for one in hosted.work.list(hosted.environment.id)}
    assert states.pop(session.id) == "active"
    assert set(states.values()) == {"stopped"}


@requirement("work:ended-session")
async def test_an_ended_session_stops_its_items(hosted: Hosted) -> None:
    session = await hosted.session()
    for number, end in enumerate(
        (hosted.client.beta.sessions.archive, hosted.client.beta.sessions.delete)
    ):
        session = await hosted.session("go")
        item = await hosted.taken()
        await hosted.server.database.execute(
            "update sessions set status = 'idle' where id = %s", (session.id,)
        )
        await end(session.id)
        told = await hosted.beat(item)
        assert (told.state, told.lease_extended) == ("stopped", False), number
    assert await hosted.poll() is None


@requirement("work:lapsed-lease")
async def test_an_item_without_heartbeat_is_queued_again(database_url: str) -> None:
    async with serving(database_url, **{**SHORT, "work_ack_seconds": 0.2}) as server:
        hosted = await self_hosted(server)
        session = await hosted.session("go")
        item = await hosted.taken(anthropic_worker_id="rack-1")
        again = await until(hosted.poll, block_ms=500)
        assert (again.id, again.data.id, again.state) == (item.id, session.id, "queued")
        assert "never sent a heartbeat" in again.to_dict()["agentstead"]["reason"]
        await hosted.work.ack(again.id, environment_id=hosted.environment.id)
        first = await hosted.beat(again, desired_ttl_seconds=1)
        third = await until(hosted.poll, block_ms=500)
        assert third.id == item.id
        with pytest.raises(anthropic.APIStatusError) as caught:
            await hosted.beat(again, first.last_heartbeat)
        assert caught.value.status_code == 412
        assert caught.value.body["error"]["details"]["current_state"]["state"] == "queued"


@requirement("work:archived-environment")
async def test_a_deleted_environment_ends_its_keys(hosted: Hosted) -> None:
    await hosted.session("go")
    await hosted.session("go too")
    item = await hosted.taken()
    holder = hosted.bearer(token_of(item.secret))
    await hosted.client.beta.environments.delete(hosted.environment.id)
    with pytest.raises(anthropic.AuthenticationError):
        await hosted.bearer(hosted.key).beta.environments.work.poll(hosted.environment.id)
    with pytest.raises(anthropic.NotFoundError):
        await hosted.poll()
    beat = await holder.beta.environments.work.heartbeat(
        item.id, environment_id=hosted.environment.id, expected_last_heartbeat="NO_HEARTBEAT"
    )
    assert beat.state == "active"
    assert (await holder.beta.sessions.retrieve(item.data.id)).id == item.data.id


@requirement("work:claim")
async def test_work_queued_by_one_process_wakes_the_polls_of_another(database_url: str) -> None:
    async with serving(database_url) as one, serving(database_url) as other:
        hosted = await self_hosted(one)
        elsewhere = other.sdk(api_key=one.key).beta.environments.work
        await hosted.poll()
        assert await elsewhere.poll(hosted.environment.id) is None
        waiting = asyncio.create_task(elsewhere.poll(hosted.environment.id, block_ms=999))
        await asyncio.sleep(0.1)
        session = await hosted.session("go")
        item = await waiting
        assert item.data.id == session.id
        assert await hosted.poll() is None
