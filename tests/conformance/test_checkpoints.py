"""What agents make outlives their sandboxes: real ones, which are lost in every way there is."""

import asyncio
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agentstead.sandbox.bubblewrap import Bubblewrap
from agentstead.sandbox.checkpoints import SAVED, calls
from agentstead.sandbox.supervisor.place import Place
from agentstead.store import checkpoints
from agentstead.store.files import sweep
from tests.conformance.requirements import requirement
from tests.conformance.test_session_files import SCRIPT, Talk, session
from tests.support.sandboxes import needed, real_sandboxes, supervisor_pid
from tests.support.server import Running, serving

pytestmark = pytest.mark.timeout(90)
AGAIN = "the sandbox was made again from its checkpoint"
OUT = "/mnt/session/outputs"


class Life(Talk):
    """A session that is watched."""

    hands: Bubblewrap

    async def saved(self) -> list[dict[str, Any]]:
        """Its checkpoints once the latest turn's are there, latest first."""
        async with asyncio.timeout(20):
            while not await self.looked_at():  # noqa: ASYNC110 - files have no event
                await asyncio.sleep(0.01)
        return await checkpoints.of(self.server.database, self.id)

    async def looked_at(self) -> bool:
        """Whether what the latest call left was saved, or could not be; a client hears of the end first."""
        books = Place(self.hands.root, self.id).path / SAVED
        known = json.loads(books.read_text()) if books.exists() else {}
        told = await checkpoints.told(self.server.database, self.id)
        return self.id not in self.server.checkpoints.saving and (
            known.get("calls") == calls(Place(self.hands.root, self.id))
            or not self.server.checkpoints.most.kept
            or (told or {}).get("trouble") is not None
        )

    async def ran(self, command: str) -> str:
        """Run a command, and wait until what it made is saved."""
        said = await self.run(command)
        await self.saved()
        return said

    async def lose(self) -> None:
        """As on another host: nothing of it is here."""
        await self.hands.destroy(self.id)

    async def why(self) -> dict[str, Any]:
        """The notices of `/why` by their type."""
        client = self.server.http()
        answer = (await client.get(f"/v1/sessions/{self.id}/why")).json()
        return {one["type"]: one for one in answer["notices"]}

    def body(self, row: dict[str, Any]) -> Path:
        """The file of a checkpoint."""
        name = row["blob_id"]
        return self.server.folder / "blobs" / name[-2:] / name


@asynccontextmanager
async def life(database_url: str, **settings: Any) -> AsyncIterator[Life]:
    await needed()
    async with (
        real_sandboxes() as hands,
        serving(database_url, workers=1, script=SCRIPT, sandbox=hands, **settings) as server,
    ):
        talk = await session(server)
        made = Life(server, talk)
        made.hands = hands
        yield made


def stored(server: Running) -> list[Path]:
    """Every body of the blob store."""
    return [path for path in (server.folder / "blobs").rglob("*") if path.is_file()]


@requirement("files:checkpoints")
async def test_what_an_agent_made_is_there_on_another_host(database_url: str) -> None:
    async with life(database_url) as talk:
        said = await talk.ran(
            f"echo kept > f; mkdir d; ln f d/g; echo done > {OUT}/o; echo t > /tmp/t"
        )
        assert AGAIN not in said
        (first,) = await talk.saved()
        outputs = [one.id for one in await talk.scoped()]
        await talk.ran("cat f")
        assert [row["blob_id"] for row in await talk.saved()] == [first["blob_id"]]
        await talk.lose()
        said = await talk.ran("cat f d/g; ls /tmp; echo more >> f")
        assert AGAIN in said
        assert said.rstrip().endswith("kept\nkept")
        assert [one.id for one in await talk.scoped()] == outputs
        assert len(await talk.saved()) == 2
        assert AGAIN in (await talk.why())["sandbox_restored"]["message"].replace("The", "the")
        await talk.lose()
        assert (await talk.ran("cat f")).rstrip().endswith("kept\nmore")
        assert AGAIN not in await talk.ran("cat f")
        # the server's own books are the measure: what another host left behind gives way
        await talk.ran("echo newest > f")
        await talk.server.database.execute("update sandboxes set version = 'blob_elsewhere'")
        assert (await talk.ran("cat f")).rstrip().endswith("newest")


@requirement("files:checkpoints")
async def test_a_killed_supervisor_costs_nothing_that_was_written(database_url: str) -> None:
    async with life(database_url) as talk:
        await talk.ran("echo kept > f")
        os.kill(supervisor_pid(talk.hands, talk.id), signal.SIGKILL)
        said = await talk.ran("cat f")
        assert AGAIN not in said
        assert "kept" in said


@requirement("files:checkpoints-damaged")
async def test_a_damaged_checkpoint_is_followed_by_an_older_one(database_url: str) -> None:
    async with life(database_url, checkpoints_kept=2) as talk:
        for word in ("one", "two", "three"):
            await talk.ran(f"echo {word} > f")
        await checkpoints.thin_out(talk.server.database, 2)
        await sweep(talk.server.database, talk.server.services.blobs)
        three, two = await talk.saved()
        assert len(stored(talk.server)) == 2
        data = bytearray(talk.body(three).read_bytes())
        data[len(data) // 2] ^= 0xFF
        talk.body(three).write_bytes(data)
        await talk.lose()
        said = await talk.ran("cat f")
        assert said.rstrip().endswith("two")
        assert "1 later checkpoint could not be read, so newer changes are lost" in said
        assert "newer changes are lost" in (await talk.why())["sandbox_restored"]["message"]
        talk.body(two).unlink()
        await talk.lose()
        said = await talk.run("ls /workspace; echo fresh > f")
        assert "the sandbox was lost and no checkpoint of it can be read" in said
        assert "\nf\n" not in said
        await talk.saved()
        await talk.lose()
        assert (await talk.run("cat f")).rstrip().endswith("fresh")


@requirement("files:checkpoints-failed", "files:checkpoints-damaged")
async def test_a_failed_checkpoint_fails_no_turn(database_url: str) -> None:
    async with life(database_url, checkpoint_bytes_max=100_000) as talk:
        assert "no output" in await talk.ran("head -c 200000 /dev/urandom > large")
        assert await talk.saved() == []
        assert "more than 100000 bytes" in (await talk.why())["checkpoint_failed"]["message"]
        await talk.ran("head -c 10 /dev/urandom > large; touch closed; chmod 0 closed")
        assert len(await talk.saved()) == 1
        assert await talk.why() == {}
        shutil.rmtree(talk.server.folder / "blobs")
        (talk.server.folder / "blobs").write_text("in the way")
        assert "on" in await talk.ran("echo on > on; cat on")
        assert "checkpoint_failed" in await talk.why()
        (talk.server.folder / "blobs").unlink()
        await talk.lose()
        assert "no checkpoint of it can be read" in await talk.ran(
            "ls -l; touch closed; chmod 0 closed"
        )
        await talk.lose()
        assert "not restored: workspace/closed (Permission denied)" in await talk.run("ls")


@requirement("files:checkpoints-failed")
async def test_without_checkpoints_a_lost_sandbox_is_said(database_url: str) -> None:
    async with life(database_url, checkpoints_kept=0) as talk:
        assert await talk.ran("echo a > f") == await talk.ran("echo a > f")
        assert await talk.saved() == []
        await talk.lose()
        assert "the sandbox was lost and it was never saved" in await talk.run("ls")


@requirement("files:checkpoints-evicted")
async def test_an_idle_sandbox_is_saved_and_deleted(database_url: str) -> None:
    async with life(database_url) as talk:
        evict = talk.server.checkpoints
        await talk.ran("echo kept > f; (sleep 0.2; echo later > g) & disown")
        assert await evict.evict_unused(60.0) == 0
        working = asyncio.create_task(talk.run("echo begun > b; sleep 0.5; cat f"))
        async with asyncio.timeout(10):
            while not (  # noqa: ASYNC110 - another process's file has no event
                talk.hands.root / talk.id / "files" / "workspace" / "b"
            ).exists():
                await asyncio.sleep(0.02)
        assert not await evict.evict(talk.id)  # it works
        await working
        await talk.saved()
        assert await evict.evict_unused(-60.0) == 1
        assert await talk.hands.standing(talk.id) is None
        assert await talk.hands.reconcile(set()) == []
        assert not await evict.evict(talk.id)
        said = await talk.ran("cat f g")
        assert AGAIN in said
        assert said.rstrip().endswith("kept\nlater")
        # what cannot be saved stays
        shutil.rmtree(talk.server.folder / "blobs")
        (talk.server.folder / "blobs").write_text("in the way")
        await talk.ran("echo unsaved > f")
        assert not await evict.evict(talk.id)
        assert (
            await talk.ran("cat f")
            == "[the sandbox was started again: files are as they were, the shell's directory, variables and background processes are gone]\nunsaved"
        )
        (talk.server.folder / "blobs").unlink()
        # files that another host has gone on from are of no use here
        await talk.server.database.execute("update sandboxes set version = 'blob_elsewhere'")
        assert await evict.evict(talk.id)
        assert await talk.hands.reconcile(set()) == []


@requirement("files:checkpoints-gone")
async def test_with_a_session_its_checkpoints_go(database_url: str) -> None:
    async with life(database_url) as talk:
        database, blobs = talk.server.database, talk.server.services.blobs
        other = Life(talk.server, await session(talk.server))
        other.hands = talk.hands
        for one in (talk, other):
            await one.run("echo kept > f")
            assert len(await one.saved()) == 1
        await talk.client.beta.sessions.archive(talk.id)
        await talk.client.beta.sessions.delete(other.id)
        assert await checkpoints.thin_out(database, 3) == 1
        await sweep(database, blobs)
        assert await database.fetch("select 1 from checkpoints") == []
        assert await database.fetch("select 1 from blobs") == []
        assert stored(talk.server) == []
        talk.server.checkpoints.begin(talk.id)  # late: nothing comes of it
        await asyncio.wait([talk.server.checkpoints.saving[talk.id]])
        assert stored(talk.server) == []
