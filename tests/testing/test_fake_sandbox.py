"""What the fake sandbox has beyond the contract suite: behaviours and counters."""

import asyncio

import pytest

from agentstead.errors import SandboxFault
from agentstead.sandbox.sandbox import Outcome, SandboxSpec
from agentstead.testing.clock import ManualClock
from agentstead.testing.fake_sandbox import CANCELLED, Behaviour, FakeSandbox, echo

SPEC = SandboxSpec()


async def test_by_default_a_call_tells_what_it_was():
    sandbox = FakeSandbox(ManualClock(), echo)
    outcome = await sandbox.call("s1", SPEC, "c1", "bash", {"command": "ls"})
    assert outcome == Outcome.text("bash {'command': 'ls'}")
    assert sandbox.executed == {"c1": 1}


async def test_a_start_fault_comes_before_the_call_has_begun():
    faults = [SandboxFault("no space", kind="start")]
    sandbox = FakeSandbox(
        ManualClock(), lambda _: Behaviour(start_fault=faults.pop()) if faults else Behaviour()
    )
    with pytest.raises(SandboxFault, match="no space"):
        await sandbox.call("s1", SPEC, "c1", "bash", {})
    assert not sandbox.executed
    assert await sandbox.call("s1", SPEC, "c1", "bash", {}) == Outcome.text("ok")


async def test_a_call_goes_on_without_its_caller_and_takes_its_time():
    clock = ManualClock()
    sandbox = FakeSandbox(clock, lambda _: Behaviour(seconds=5))
    caller = asyncio.ensure_future(sandbox.call("s1", SPEC, "c1", "bash", {}))
    await clock.advance(1)
    caller.cancel()
    await clock.advance(5)
    assert caller.cancelled()
    assert await sandbox.call("s1", SPEC, "c1", "bash", {}) == Outcome.text("ok")
    assert sandbox.executed == {"c1": 1}


async def test_whoever_waits_for_a_cancelled_call_is_told():
    clock = ManualClock()
    sandbox = FakeSandbox(clock, lambda _: Behaviour(seconds=5))
    caller = asyncio.ensure_future(sandbox.call("s1", SPEC, "c1", "bash", {}))
    await clock.settle()
    await sandbox.cancel("s1", "c1")
    assert await caller == Outcome.text(CANCELLED, is_error=True)
    assert sandbox.cancelled == {"c1"}


async def test_what_was_recorded_survives_the_supervisor_and_what_ran_does_not():
    clock = ManualClock()
    sandbox = FakeSandbox(clock, lambda call: Behaviour(seconds=9 if call.call_id == "c2" else 0))
    await asyncio.gather(sandbox.call("s1", SPEC, "c1", "bash", {}), clock.settle())
    running = asyncio.ensure_future(sandbox.call("s1", SPEC, "c2", "bash", {}))
    await clock.settle()
    sandbox.lose("s1")
    with pytest.raises(SandboxFault) as lost:
        await running
    assert lost.value.kind == "unknown"
    assert await sandbox.call("s1", SPEC, "c1", "bash", {}) == Outcome.text("ok")


async def test_stop_leaves_nothing_running():
    clock = ManualClock()
    sandbox = FakeSandbox(clock, lambda _: Behaviour(seconds=99))
    caller = asyncio.ensure_future(sandbox.call("s1", SPEC, "c1", "bash", {}))
    await clock.settle()
    await sandbox.stop()
    with pytest.raises(SandboxFault):
        await caller
    assert len(asyncio.all_tasks()) == 1


async def test_keep_notes_only_what_is_there():
    clock = ManualClock()
    sandbox = FakeSandbox(clock)
    await sandbox.call("s1", SPEC, "c1", "bash", {})
    await clock.advance(60)
    await sandbox.keep(["s1", "s2"])
    assert sandbox.kept == {"s1": clock.now()}
    assert (await sandbox.probe()).provider == "fake"
    await sandbox.close()
