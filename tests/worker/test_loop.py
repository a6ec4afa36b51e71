"""Claims, crashes and endings of a worker."""

import asyncio

from agentstead.errors import LeaseLost, StoreFault
from agentstead.sandbox.sandbox import Outcome
from agentstead.testing.script import in_turn, say, use
from agentstead.worker import loop
from agentstead.worker.loop import Worker
from tests.worker.support import SESSION, Place, message


async def test_a_turn_goes_from_message_to_idle() -> None:
    place = Place(in_turn([say("On it.", use("bash", command="ls")), say("Done.")]))
    async with place.worker():
        await place.session("go")
        row = await place.parked()
    assert row.stop_reason == {"type": "end_turn"}
    assert place.types()[0] == "user.message"
    assert place.types()[-1] == "session.status_idle"
    assert len(place.of("agent.tool_result")) == len(place.of("agent.tool_use")) == 1
    assert place.script.violations == []


async def test_a_stopped_worker_hands_its_sessions_to_the_next() -> None:
    started, release = asyncio.Event(), asyncio.Event()

    async def slow(call):
        started.set()
        await release.wait()
        return Outcome.text("at last")

    place = Place(in_turn([say(use("bash", command="x")), say("Done.")]), run=slow)
    async with place.worker("w1"):
        await place.session("go")
        async with asyncio.timeout(5):
            await started.wait()
    row = await place.row()
    assert row.lease_owner is None
    assert row.wake_at is not None
    release.set()
    async with place.worker("w2"):
        assert (await place.parked()).stop_reason == {"type": "end_turn"}
    assert len(place.of("agent.tool_result")) == 1


async def test_a_worker_that_drains_lets_a_step_end_and_cuts_none() -> None:
    started, release = asyncio.Event(), asyncio.Event()
    runs = 0

    async def slow(call):
        nonlocal runs
        runs += 1
        started.set()
        await release.wait()
        return Outcome.text("at last")

    script = in_turn([say(use("bash", command="x")), say("Done.")])
    place = Place(script, run=slow, drain_seconds=5.0)
    working = place.worker("w1")
    async with working, asyncio.timeout(5):
        await place.session("go")
        await started.wait()
        await working.worker.stop()
        async with place.worker("w2"):
            await asyncio.sleep(0.15)  # several heartbeats: it is still the first one's
            assert (await place.row()).lease_owner == "w1"
            release.set()
            assert (await place.parked()).stop_reason == {"type": "end_turn"}
            assert working.task.done()
    assert runs == 1
    # the second request to the model is the other worker's, and the first was not repeated
    assert len(place.script.requests) == 2
    owners = [lease.owner for lease, _, frame in place.log.previews if frame]
    assert set(owners) <= {"w1", "w2"}


async def test_a_step_that_takes_too_long_is_cut_and_handed_over() -> None:
    started, forever = asyncio.Event(), asyncio.Event()

    async def stuck(call):
        started.set()
        await forever.wait()
        return Outcome.text("at last")

    script = in_turn([say(use("bash", command="x")), say("Done.")])
    place = Place(script, run=stuck, drain_seconds=0.1)
    async with place.worker("w1"):
        await place.session("go")
        await asyncio.wait_for(started.wait(), 5)
    row = await place.row()
    assert (row.lease_owner, row.attempts) == (None, 0)
    forever.set()
    async with place.worker("w2"):
        assert (await place.parked()).stop_reason == {"type": "end_turn"}
    assert len(place.of("agent.tool_result")) == 1


async def test_a_session_that_crashes_its_turns_is_stopped_with_a_reason(monkeypatch) -> None:
    async def broken(call):
        raise ZeroDivisionError("a defect of ours")

    place = Place(in_turn([say(use("bash", command="x")), say("Done.")]), run=broken)
    place.log.lease_seconds = 0.05
    monkeypatch.setattr(loop, "CRASHES_MAX", 2)
    async with place.worker() as worker:
        await place.session("go")
        row = await place.parked()
        assert row.stop_reason == {"type": "retries_exhausted"}
        assert worker.crashes == {}
    (error,) = place.of("session.error")
    assert error.payload["error"]["type"] == "unknown_error"
    assert "without progress" in error.payload["error"]["message"]
    (result,) = place.of("agent.tool_result")
    assert result.payload["is_error"] is True
    assert place.types()[-1] == "session.status_idle"


async def test_one_crash_is_not_the_end(monkeypatch) -> None:
    calls = 0

    async def once_broken(call):
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ZeroDivisionError("a defect of ours")
        return Outcome.text("fine")

    place = Place(in_turn([say(use("bash", command="x")), say("Done.")]), run=once_broken)
    place.log.lease_seconds = 0.05
    async with place.worker():
        await place.session("go")
        assert (await place.parked()).stop_reason == {"type": "end_turn"}
    assert calls == 2


async def test_a_lost_database_puts_the_turn_off() -> None:
    """And the session does not wait for the lease to run out: it is handed back once that can be told."""
    place = Place(in_turn([say("Done.")]))
    place.log.lease_seconds = 1000.0
    gone = StoreFault("gone", kind="unavailable", retryable=True)
    append, failures = place.log.append, [gone]
    release, refusals = place.log.release, [gone]

    async def unreachable(leases):
        if leases and refusals:
            raise refusals.pop()
        await release(leases)

    place.log.release = unreachable

    async def flaky(*args, **kwargs):
        if failures:
            raise failures.pop()
        return await append(*args, **kwargs)

    place.log.append = flaky
    async with place.worker():
        await place.session("go")
        assert (await place.parked()).stop_reason == {"type": "end_turn"}
    assert failures == refusals == []
    assert place.types().count("agent.message") == 1


async def test_a_lost_lease_ends_the_turn_without_a_word() -> None:
    place = Place(in_turn([say("Done.")]))
    place.log.lease_seconds = 0.05
    append, lost = place.log.append, [LeaseLost()]

    async def losing(*args, **kwargs):
        if lost:
            raise lost.pop()
        return await append(*args, **kwargs)

    place.log.append = losing
    async with place.worker() as worker:
        await place.session("go")
        await place.parked()
        assert worker.crashes == {}


async def test_a_full_worker_claims_no_more_until_there_is_room() -> None:
    running, release = asyncio.Event(), asyncio.Event()

    async def slow(call):
        running.set()
        await release.wait()
        return Outcome.text("ok")

    place = Place(in_turn([say(use("bash", command="x")), say("Done.")]), run=slow, sessions_max=1)
    claims: list[int] = []
    claim = place.log.claim

    async def counted(owner, limit):
        claims.append(limit)
        return await claim(owner, limit)

    place.log.claim = counted
    async with place.worker() as worker:
        await place.session("go")
        async with asyncio.timeout(5):
            await running.wait()
        asked = len(claims)
        await asyncio.sleep(0.1)
        assert len(claims) == asked
        assert list(worker.turns) == [SESSION]
        release.set()
        await place.parked()


async def test_a_message_during_a_turn_is_answered_in_it() -> None:
    first = say("One.").slow(0.1)
    place = Place(in_turn([first, say("Two.")]))
    async with place.worker():
        await place.session("go")
        await asyncio.sleep(0.03)
        await place.send(message("sevt_late", "and this"), starts=False)
        await place.parked()
    assert place.types().count("session.status_idle") == 1
    assert place.types().count("agent.message") == 2


async def test_sandboxes_that_cannot_be_renewed_do_not_end_the_worker() -> None:
    place = Place(in_turn([say("Done.")]))

    async def failing(_ids):
        raise OSError("no such folder")

    place.world.sandbox.keep = failing
    worker = Worker(place.world, "w1")
    await worker.keep((SESSION,))
    assert worker.turns == {}
