"""Outputs become files, also when workers meet, files vanish and the disk is slow."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agentstead.clock import SystemClock
from agentstead.ids import RandomIds
from agentstead.sandbox.sandbox import Output
from agentstead.store.blobs import FolderBlobs
from agentstead.store.pool import Database
from agentstead.store.workspace import DEFAULT_WORKSPACE
from agentstead.testing.fake_sandbox import Behaviour, FakeCall, FakeSandbox
from agentstead.worker import handing_over
from agentstead.worker.handing_over import HandingOver, Most, key_of, name_of

ID = "sesn_1"


class Place:
    """A session, its sandbox, and workers that hand over from it."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.sandbox = FakeSandbox(SystemClock(), self.behave)
        self.blobs = FolderBlobs(folder / "blobs")
        self.writes: dict[str, bytes] = {}
        self.count = 0

    def behave(self, call: FakeCall) -> Behaviour:
        return Behaviour(writes=self.writes)

    async def write(self, **files: bytes) -> None:
        self.writes = files
        self.count += 1
        await self.sandbox.call(ID, Any, f"call_{self.count}", "bash", {})  # type: ignore[arg-type]

    def worker(self, sandbox: Any = None) -> HandingOver:
        return HandingOver(
            self.database,
            self.blobs,
            sandbox or self.sandbox,
            SystemClock(),
            RandomIds(),
            Most(1 << 20, 100),
        )

    async def files(self) -> list[tuple[str, str, int]]:
        rows = await self.database.fetch(
            "select id, filename, size_bytes from files where session_id = %s"
            " order by created_at, id",
            (ID,),
        )
        return [(row["id"], row["filename"], row["size_bytes"]) for row in rows]

    def bodies(self) -> int:
        return sum(path.is_file() for path in self.blobs.root.rglob("*"))


@pytest.fixture
async def place(database: Database, tmp_path: Path) -> AsyncIterator[Place]:
    await database.execute(
        "insert into sessions (id, workspace_id, primary_thread_id, agent_id, agent_version, agent,"
        " environment_id, environment, created_at, updated_at, status)"
        " values (%s, %s, 't', 'a', 1, '{}', 'e', '{}', now(), now(), 'idle')",
        (ID, DEFAULT_WORKSPACE),
    )
    made = Place(database, tmp_path)
    yield made
    await made.sandbox.stop()


async def test_two_workers_hand_over_once(place: Place) -> None:
    await place.write(a=b"1", b=b"22")
    one, two = place.worker(), place.worker()
    await asyncio.gather(*(worker.now(ID) for worker in (one, two, one, two)))
    files = await place.files()
    assert [(name, size) for _, name, size in files] == [("a", 1), ("b", 2)]
    assert place.bodies() == 2
    await place.write(a=b"333")
    await asyncio.gather(one.now(ID), two.now(ID))
    after = await place.files()
    assert after[0] == files[1]
    assert after[1][1:] == ("a", 3)


class Vanishing(FakeSandbox):
    """What it lists is gone when it is asked for."""

    async def outputs(self, sandbox_id: str) -> list[Output]:
        return [Output("gone", 1, "1"), *await super().outputs(sandbox_id)]


async def test_what_is_gone_stops_nothing(place: Place) -> None:
    place.sandbox.__class__ = Vanishing
    await place.write(a=b"1")
    await place.worker().now(ID)
    assert [name for _, name, _ in await place.files()] == ["a"]


class Slow(FakeSandbox):
    """Answers when it is let."""

    gate: asyncio.Event

    async def outputs(self, sandbox_id: str) -> Any:
        await self.gate.wait()
        return await super().outputs(sandbox_id)


async def test_a_session_does_not_wait_for_ever_and_its_outputs_come_later(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handing_over, "BOUND_SECONDS", 0.05)
    place.sandbox.__class__ = Slow
    place.sandbox.gate = asyncio.Event()  # type: ignore[attr-defined]
    await place.write(a=b"1")
    worker = place.worker()
    await worker.now(ID)
    assert await place.files() == []
    await worker.now(ID)
    place.sandbox.gate.set()  # type: ignore[attr-defined]
    async with asyncio.timeout(5):
        await asyncio.gather(*worker.running.values())
    assert [name for _, name, _ in await place.files()] == ["a"]
    assert place.bodies() == 1
    place.sandbox.gate.clear()  # type: ignore[attr-defined]
    await worker.now(ID)
    await worker.close()
    assert worker.running == {}


class Deleting(FakeSandbox):
    """Its session is deleted while an output is read."""

    database: Database

    async def read_output(self, sandbox_id: str, path: str) -> AsyncIterator[bytes]:
        await self.database.execute("delete from sessions")
        async for piece in super().read_output(sandbox_id, path):
            yield piece


async def test_a_session_that_is_deleted_meanwhile_leaves_nothing(place: Place) -> None:
    place.sandbox.__class__ = Deleting
    place.sandbox.database = place.database  # type: ignore[attr-defined]
    await place.write(a=b"1")
    worker = place.worker()
    await worker.now(ID)
    assert await place.files() == []
    assert place.bodies() == 0
    await worker.now("sesn_none")


async def test_what_goes_wrong_is_tried_again(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    await place.write(a=b"1")
    place.blobs.root.write_text("in the way")
    worker = place.worker()
    await worker.now(ID)
    assert await place.files() == []
    assert "outputs not handed over" in capsys.readouterr().out
    place.blobs.root.unlink()
    await worker.now(ID)
    assert [name for _, name, _ in await place.files()] == ["a"]


@pytest.mark.parametrize(
    ("path", "key", "name"),
    [
        ("a/b.txt", "a/b.txt", "b.txt"),
        ("\udcff.bin", "/ff2e62696e", "\ufffd.bin"),
        ("d/a:b\n", "d/a:b\n", "a_b_"),
    ],
)
def test_every_output_has_a_key_and_a_name(path: str, key: str, name: str) -> None:
    output = Output(path, 1, "1")
    assert (key_of(output), name_of(output)) == (key, name)
