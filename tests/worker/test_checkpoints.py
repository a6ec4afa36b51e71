"""Checkpoints among workers: who waits for whom, who is too late, and what a loss is told as."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agentstead.clock import SystemClock
from agentstead.errors import SandboxFault, StoreFault
from agentstead.ids import RandomIds
from agentstead.sandbox.restorable import Saved
from agentstead.sandbox.sandbox import SandboxSpec
from agentstead.store import checkpoints as store
from agentstead.store.blobs import FolderBlobs
from agentstead.store.pool import Database
from agentstead.store.workspace import DEFAULT_WORKSPACE
from agentstead.telemetry.metrics import Metrics
from agentstead.testing.fake_sandbox import Behaviour, FakeCall, FakeSandbox
from agentstead.worker import checkpoints
from agentstead.worker.checkpoints import Checkpoints, Found, Making, Most

ID = "sesn_1"


def behave(call: FakeCall) -> Behaviour:
    return Behaviour(writes={"f": call.call_id.encode()})


class Host:
    """One host: its sandboxes, and a worker's checkpoints."""

    def __init__(self, database: Database, folder: Path, kept: int = 3) -> None:
        self.database = database
        self.sandbox = FakeSandbox(SystemClock(), behave)
        self.folder = folder / "blobs"
        self.metrics = Metrics()
        self.checkpoints = self.another(kept)

    def another(self, kept: int = 3) -> Checkpoints:
        """Another process of this host."""
        clock = SystemClock()
        return Checkpoints(
            self.database,
            FolderBlobs(self.folder),
            self.sandbox,
            clock,
            RandomIds(clock),
            self.metrics,
            Most(kept, 1 << 20),
        )

    async def call(self, call_id: str) -> str:
        await self.checkpoints.ready(ID)
        outcome = await self.sandbox.call(ID, SandboxSpec(), call_id, "bash", {})
        return str(outcome.content[0]["text"])

    async def save(self) -> list[Any]:
        self.checkpoints.begin(ID)
        await asyncio.gather(*self.checkpoints.saving.values())
        return await store.of(self.database, ID)

    @property
    def file(self) -> bytes:
        return self.sandbox.files[ID]["f"][1]

    def bodies(self) -> list[str]:
        return [path.name for path in self.folder.rglob("*") if path.is_file()]

    def counted(self, what: str, outcome: str) -> float:
        value = self.metrics.registry.get_sample_value(
            "agentstead_checkpoints_total", {"what": what, "outcome": outcome}
        )
        return value or 0.0


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = await Database.open(database_url)
    await opened.execute(
        "insert into sessions (id, workspace_id, primary_thread_id, agent_id, agent_version, agent,"
        " environment_id, environment, created_at, updated_at, status) values"
        " (%s, %s, 'sthr_1', 'agent_1', 1, '{}', 'env_1', '{}', now(), now(), 'idle')",
        (ID, DEFAULT_WORKSPACE),
    )
    yield opened
    await opened.close()


@pytest.fixture
def host(database: Database, tmp_path: Path) -> Host:
    return Host(database, tmp_path)


@pytest.fixture
def other(database: Database, tmp_path: Path) -> Host:
    """Another host, with the same books and bodies."""
    return Host(database, tmp_path)


async def test_two_hosts_take_turns(host: Host, other: Host) -> None:
    assert await host.call("c1") == "ok"
    assert len(await host.save()) == 1
    assert "made again" in await other.call("c2")
    assert other.file == b"c2"
    # the first one's files are old now, whether the second has saved or not
    assert "made again" in await host.call("c3")
    assert len(await host.save()) == 2
    assert len(await other.save()) == 2  # too late: what it has is old
    assert len(host.bodies()) == 2
    assert "made again" in await other.call("c4")
    assert other.sandbox.executed == {"c2": 1, "c4": 1}
    assert (host.counted("save", "ok"), other.counted("restore", "ok")) == (2.0, 2.0)


async def test_two_processes_of_a_host_save_once(host: Host) -> None:
    await host.call("c1")
    again = host.another()
    for one in (host.checkpoints, again):
        one.begin(ID)
    await asyncio.gather(*host.checkpoints.saving.values(), *again.saving.values())
    assert len(await store.of(host.database, ID)) == len(host.bodies())
    assert await host.call("c2") == "ok"


async def test_several_calls_restore_once(host: Host, other: Host) -> None:
    await host.call("c1")
    await host.save()
    said = await asyncio.gather(*(other.call(f"c{n}") for n in range(2, 6)))
    assert sum("made again" in one for one in said) == 1
    assert other.counted("restore", "ok") == 1.0


async def test_whoever_is_quicker_restores(host: Host, other: Host) -> None:
    await host.call("c1")
    await host.save()
    restore = other.sandbox.restore
    times, most = 0, 1

    async def overtaken(*arguments: Any) -> Saved:
        nonlocal times
        times += 1
        if times <= most:
            await host.database.execute("update sandboxes set version = %s", (f"by {times}",))
        return await restore(*arguments)

    other.sandbox.restore = overtaken  # type: ignore[method-assign]
    assert "made again" in await other.call("c2")  # it looks again
    assert times == 2
    times, most = 0, 100
    await host.database.execute("update sandboxes set version = 'elsewhere'")
    with pytest.raises(SandboxFault, match="Another worker") as fault:
        await other.call("c3")
    assert fault.value.kind == "start"
    assert times == checkpoints.MAKINGS_MAX


async def test_a_call_waits_for_a_saving_but_not_for_ever(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "WAIT_SECONDS", 0.05)
    await host.call("c1")
    blobs, going = host.checkpoints.blobs, asyncio.Event()
    put = blobs.put

    async def slow(*arguments: Any) -> Any:
        await going.wait()
        return await put(*arguments)

    blobs.put = slow  # type: ignore[method-assign]
    host.checkpoints.begin(ID)
    assert await host.call("c2") == "ok"
    assert host.bodies() == []
    going.set()
    assert len(await host.save()) == 2
    await host.checkpoints.close()


async def test_a_database_that_is_away_is_told_in_the_log_only(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any) -> Any:
        raise StoreFault("The database is away.", kind="unavailable", retryable=True)

    await host.call("c1")
    with monkeypatch.context() as patched:
        patched.setattr(store, "add", away)
        patched.setattr(store, "failed", away)
        assert await host.save() == []
    assert host.bodies() == []
    assert host.counted("save", "failed") == 1.0
    assert len(await host.save()) == 1
    with monkeypatch.context() as patched:
        patched.setattr(store, "of", away)
        await host.sandbox.destroy(ID)
        with pytest.raises(StoreFault):
            await host.call("c2")
    assert "made again" in await host.call("c2")


async def test_books_that_are_older_than_the_files_adopt_them(host: Host) -> None:
    await host.call("c1")
    await host.save()
    await host.database.execute("delete from sandboxes")
    assert await host.call("c2") == "ok"
    assert len(await host.save()) == 1


async def test_a_session_that_is_no_more_saves_nothing(host: Host) -> None:
    await host.call("c1")
    await host.database.execute("delete from sessions")
    assert await host.save() == []
    assert host.bodies() == []
    assert await host.call("c2") == "ok"


async def test_ending_waits_for_what_is_being_saved(host: Host) -> None:
    await host.call("c1")
    host.checkpoints.begin(ID)
    await host.checkpoints.close()
    assert len(await store.of(host.database, ID)) == 1


def test_what_was_left_out_is_named() -> None:
    making = Making([Found("blob_2", 2.0, None), Found("blob_1", 1.0, "a (Permission denied)")])
    making.give_up()
    said = making.note(Saved("", 0, left_out=3, examples=("b (File exists)",)))
    assert "its checkpoint of 1970-01-01T00:00:01.000000Z" in said
    assert "; 1 later checkpoint could not be read, so newer changes are lost;" in said
    assert "not restored: a (Permission denied); not restored: b (File exists), and 2 more]" in said


async def test_calls_are_elsewhere_until_the_files_have_been_made_again_here(
    host: Host, other: Host
) -> None:
    assert not await host.checkpoints.elsewhere(ID)
    await host.call("call_1")
    assert not await host.checkpoints.elsewhere(ID)
    assert not await host.another().elsewhere(ID)
    assert await other.checkpoints.elsewhere(ID)
    await host.save()
    await other.call("call_2")
    assert not await other.checkpoints.elsewhere(ID)
    assert await host.checkpoints.elsewhere(ID)
