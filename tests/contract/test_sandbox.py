"""The promises of a sandbox provider, held against every one there is; engines are the tests' own."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from agentstead.clock import SystemClock
from agentstead.errors import SandboxFault
from agentstead.sandbox.bubblewrap import Bubblewrap
from agentstead.sandbox.restorable import Restorable, Saved
from agentstead.sandbox.sandbox import Outcome, Sandbox
from agentstead.testing.fake_sandbox import Behaviour, FakeCall, FakeSandbox
from tests.support.engines import ENGINES
from tests.support.sandboxes import SPEC, gone, needed, real_sandboxes, supervisor_pid, text

ID = "sesn_contract"


@dataclass
class Subject:
    """A provider, and the violence that a test may do to it."""

    sandbox: Sandbox
    files: Restorable | None
    """The same; None: its files last as long as its engine keeps them."""
    another: Callable[[], Sandbox]
    """A second object for the same sandboxes, as another worker has it."""
    kill: Callable[[str], Awaitable[None]]
    """SIGKILL the process that owns a sandbox."""
    begins: Callable[[str], Awaitable[int]]
    """How often a call was begun."""

    async def bash(self, call_id: str, command: str, **more: Any) -> Outcome:
        arguments = {"command": command, **more}
        return await self.sandbox.call(ID, SPEC, call_id, "bash", arguments)


def behave(call: FakeCall) -> Behaviour:
    """What the double does with the few commands of this file."""
    command = str(call.arguments.get("command", ""))
    seconds = 0.6 if "sleep" in command else 0.0
    words, _, path = command.removeprefix("echo ").partition(" > /mnt/session/outputs/")
    writes = {path: f"{words}\n".encode()} if path else {}
    return Behaviour(Outcome.text("slept" if seconds else "ok"), seconds=seconds, writes=writes)


def begun_in(sandbox: Callable[[], Sandbox]) -> Callable[[str], Awaitable[int]]:
    """How often a `sleeper` was begun, from the line that it leaves."""

    async def begun(call_id: str) -> int:
        command = {"command": f"cat {call_id} 2>/dev/null | wc -l"}
        return int(text(await sandbox().call(ID, SPEC, f"look-{call_id}", "bash", command)))

    return begun


@pytest.fixture(params=["double", "bubblewrap", "docker", "kubernetes"])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    if request.param == "double":
        double = FakeSandbox(SystemClock(), behave)

        async def lose(sandbox_id: str) -> None:
            double.lose(sandbox_id)

        async def executed(call_id: str) -> int:
            return double.executed[call_id]

        yield Subject(double, double, lambda: double, lose, executed)
        await double.stop()
        return
    if request.param in ENGINES:
        async with ENGINES[request.param]() as engine:
            yield Subject(
                engine.sandbox, None, engine.another, engine.kill, begun_in(engine.newest)
            )
        return
    await needed()
    async with real_sandboxes() as real:

        async def kill(sandbox_id: str) -> None:
            pid = supervisor_pid(real, sandbox_id)
            os.kill(pid, signal.SIGKILL)
            await gone(pid)

        again = Bubblewrap(real.root, clock=SystemClock())
        yield Subject(real, real, lambda: again, kill, begun_in(lambda: real))


def sleeper(call_id: str) -> str:
    """A command that leaves a line each time it is run."""
    return f"echo begun >> {call_id}; sleep 0.6; echo slept"


async def test_a_probe_says_what_it_found(subject: Subject) -> None:
    probe = await subject.sandbox.probe()
    assert probe.ok, probe.problems
    assert probe.mode
    assert probe.limits


async def test_a_known_call_is_answered_and_not_run_again(subject: Subject) -> None:
    first = await subject.bash("call_1", sleeper("call_1"))
    second = await subject.bash("call_1", sleeper("call_1"))
    assert first == second
    assert text(first) == "slept"
    assert await subject.begins("call_1") == 1


async def test_the_same_call_twice_at_once_runs_once(subject: Subject) -> None:
    both = await asyncio.gather(
        subject.bash("call_1", sleeper("call_1")), subject.bash("call_1", sleeper("call_1"))
    )
    assert both[0] == both[1]
    assert await subject.begins("call_1") == 1


async def test_another_worker_joins_a_running_call(subject: Subject) -> None:
    waiting = asyncio.create_task(subject.bash("call_1", sleeper("call_1")))
    await asyncio.sleep(0.3)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await subject.sandbox.close()
    other = subject.another()
    outcome = await other.call(ID, SPEC, "call_1", "bash", {"command": sleeper("call_1")})
    assert text(outcome) == "slept"
    subject.sandbox = other
    assert await subject.begins("call_1") == 1


async def test_a_cancelled_call_ends_soon_and_stays_ended(subject: Subject) -> None:
    waiting = asyncio.create_task(subject.bash("call_1", "sleep 30"))
    await asyncio.sleep(0.3)
    async with asyncio.timeout(5):
        await subject.sandbox.cancel(ID, "call_1")
        outcome = await waiting
    assert outcome.is_error
    assert await subject.bash("call_1", "echo late") == outcome
    await subject.sandbox.cancel(ID, "call_1")
    assert await subject.bash("call_1", "echo late") == outcome


async def test_a_call_cancelled_before_it_came_is_refused(subject: Subject) -> None:
    await subject.sandbox.cancel(ID, "call_1")
    outcome = await subject.bash("call_1", sleeper("call_1"))
    assert outcome.is_error
    assert await subject.begins("call_1") == 0
    assert not (await subject.bash("call_2", "echo ok")).is_error


async def test_an_ended_call_is_not_changed_by_a_late_cancel(subject: Subject) -> None:
    outcome = await subject.bash("call_1", "echo ok")
    await subject.sandbox.cancel(ID, "call_1")
    assert await subject.bash("call_1", "echo ok") == outcome


async def test_a_call_whose_supervisor_died_is_unknown_for_ever(subject: Subject) -> None:
    await subject.bash("call_0", "echo ok")
    waiting = asyncio.create_task(subject.bash("call_1", sleeper("call_1")))
    await asyncio.sleep(0.3)
    await subject.kill(ID)
    with pytest.raises(SandboxFault) as fault:
        await waiting
    assert fault.value.kind == "unknown"
    assert text(await subject.bash("call_2", "echo ok")) == text(await subject.bash("call_2", "x"))
    with pytest.raises(SandboxFault) as fault:
        await subject.bash("call_1", sleeper("call_1"))
    assert fault.value.kind == "unknown"
    assert await subject.begins("call_1") == 1
    assert not (await subject.bash("call_0", "echo ok")).is_error


async def test_destroying_ends_calls_and_can_be_repeated(subject: Subject) -> None:
    await subject.bash("call_0", "echo ok")
    waiting = asyncio.create_task(subject.bash("call_1", "sleep 30"))
    await asyncio.sleep(0.3)
    async with asyncio.timeout(5):
        await subject.sandbox.destroy(ID)
        with pytest.raises(SandboxFault):
            await waiting
    await subject.sandbox.destroy(ID)
    await subject.sandbox.destroy("sesn_never")
    assert await subject.sandbox.reconcile(set()) == []


async def test_reconciling_names_what_nobody_knows(subject: Subject) -> None:
    await subject.bash("call_1", "echo ok")
    assert await subject.sandbox.reconcile(set()) == [ID]
    assert await subject.sandbox.reconcile({ID}) == []
    await subject.sandbox.keep([ID, "sesn_never"])


@pytest.mark.parametrize("subject", ["double", "bubblewrap"], indirect=True)
async def test_files_are_saved_and_made_again(subject: Subject) -> None:
    files, kept = subject.files, bytearray()
    assert files is not None

    async def take(pieces: AsyncIterator[bytes]) -> None:
        async for piece in pieces:
            kept.extend(piece)

    async def pieces() -> AsyncIterator[bytes]:
        yield bytes(kept)

    assert await files.standing(ID) is None
    assert await files.save(ID, "v1", take, bytes_max=1 << 20) is None
    await subject.bash("call_1", "echo kept > /mnt/session/outputs/f")
    assert await files.standing(ID) == {""}
    with pytest.raises(SandboxFault) as fault:
        await files.save(ID, "v1", take, bytes_max=1)
    assert fault.value.kind == "save"
    saved = await files.save(ID, "v1", take, bytes_max=1 << 20)
    assert isinstance(saved, Saved)
    assert (saved.files, saved.content_bytes) == (1, 5)
    assert await files.standing(ID) == {"", "v1"}
    await files.mark(ID, "v1", saved)
    standing = await files.standing(ID)
    # what they were before may be named too: another saving may have begun from there
    assert standing is not None
    assert {"v1"} <= standing <= {"", "v1"}
    assert await files.save(ID, "v2", take, bytes_max=1 << 20) is None
    await files.rest()
    assert await files.set_aside(ID)
    assert await files.standing(ID) is None
    await subject.sandbox.destroy(ID)
    await files.restore(ID, "v2", pieces(), lambda made: f"[{made.files} again]")
    assert await files.standing(ID) == {"v2"}
    assert [output.path for output in await subject.sandbox.outputs(ID)] == ["f"]
    body = b"".join([piece async for piece in subject.sandbox.read_output(ID, "f")])
    assert body == b"kept\n"
    told = await subject.bash("call_2", "echo more > /mnt/session/outputs/g")
    assert "[1 again]" in told.content[0]["text"]
    assert "again" not in text(await subject.bash("call_3", "true"))
    assert not await files.set_aside(ID)  # it was used since
    kept[:] = b"no archive"
    with pytest.raises(SandboxFault) as fault:
        await files.restore(ID, "v3", pieces(), lambda _: "")
    assert fault.value.kind == "damaged"
    await files.restore(ID, "v3", None, lambda _: "")
    assert await subject.sandbox.outputs(ID) == []
    assert not (await subject.bash("call_2", "true")).is_error  # calls are remembered
    assert await files.unused(-60.0) == [ID]
