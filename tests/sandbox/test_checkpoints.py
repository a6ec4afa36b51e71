"""Files of real sandboxes, saved and made again: by whom, what comes back, and what is refused."""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agentstead.errors import SandboxFault, StoreFault
from agentstead.sandbox import checkpoints
from agentstead.sandbox.bubblewrap import Bubblewrap
from agentstead.sandbox.restorable import Saved
from agentstead.sandbox.supervisor.place import Place
from tests.support.sandboxes import SPEC, needed, real_sandboxes, text

ID = "sesn_saved"
MOST = 1 << 30


@pytest.fixture
async def sandboxes() -> AsyncIterator[Bubblewrap]:
    await needed()
    async with real_sandboxes() as real:
        yield real


class Shelf:
    """Keeps archives of one sandbox."""

    def __init__(self, sandboxes: Bubblewrap) -> None:
        self.sandboxes = sandboxes
        self.archives: dict[str, bytes] = {}
        self.notes: list[Saved] = []
        self.calls = 0

    async def bash(self, command: str) -> str:
        self.calls += 1
        given = {"command": command}
        return text(await self.sandboxes.call(ID, SPEC, f"call_{self.calls}", "bash", given))

    async def save(self, version: str, *, mark: bool = True, **more: bool) -> Saved | None:
        async def take(pieces: AsyncIterator[bytes]) -> None:
            self.archives[version] = b"".join([piece async for piece in pieces])

        saved = await self.sandboxes.save(ID, version, take, bytes_max=MOST, **more)
        if saved is not None and mark:
            await self.sandboxes.mark(ID, version, saved)
        return saved

    async def restore(self, version: str, archive: bytes | None) -> Saved:
        async def pieces(data: bytes) -> AsyncIterator[bytes]:
            for start in range(0, len(data), 1000):
                yield data[start : start + 1000]

        def note(saved: Saved) -> str:
            self.notes.append(saved)
            return f"[made again: {saved.files} files]"

        return await self.sandboxes.restore(
            ID, version, None if archive is None else pieces(archive), note
        )

    async def standing(self) -> frozenset[str] | None:
        return await self.sandboxes.standing(ID)


@pytest.fixture
def shelf(sandboxes: Bubblewrap) -> Shelf:
    return Shelf(sandboxes)


async def test_files_come_back_as_the_agents_own(shelf: Shelf) -> None:
    assert await shelf.standing() is None
    assert await shelf.save("v1") is None
    await shelf.bash(
        "echo a > a; mkdir -p d; ln a d/twin; ln -s /etc/passwd link; chmod 711 d; cp /bin/true run;"
        " echo u > /mnt/user/u; echo o > /mnt/session/outputs/o; echo t > /tmp/t; touch shut; chmod 0 shut"
    )
    assert await shelf.standing() == {""}
    saved = await shelf.save("v1")
    assert saved is not None
    assert (saved.files, saved.left_out) == (5, 1)
    assert saved.examples == ("workspace/shut (Permission denied)",)
    assert await shelf.standing() == {"", "v1"}
    assert await shelf.save("v2") is None  # nothing was called
    assert await shelf.save("v2", thoroughly=True) is None
    await shelf.bash("cat a")
    assert await shelf.save("v2") is None  # nothing was changed
    await shelf.sandboxes.destroy(ID)
    back = await shelf.restore("v3", shelf.archives["v1"])
    assert (back.files, back.left_out) == (5, 0)
    assert await shelf.standing() == {"v3"}
    assert await shelf.save("v4") is None
    assert await shelf.save("v4", thoroughly=True) is None  # it is what it was made from
    said = await shelf.bash(
        "cat a d/twin /mnt/user/u /mnt/session/outputs/o; readlink link; ./run && stat -c '%U %a %h' a d;"
        " ls /tmp; echo more > a; rm -r d"
    )
    assert said == "[made again: 5 files]\na\na\nu\no\n/etc/passwd\nagent 644 2\nagent 711 2"
    assert "made again" not in await shelf.bash("echo on")  # told once
    place = Place(shelf.sandboxes.root, ID)
    owners = {path.lstat().st_uid for path in (place.files / "workspace").rglob("*")}
    assert owners == {place.meta()["uid"]}
    assert (0 in owners) is False


async def test_what_is_there_gives_way_to_what_is_restored(shelf: Shelf) -> None:
    await shelf.bash("echo old > f")
    await shelf.save("v1")
    await shelf.bash("echo stale > f; echo stale > g; echo t > /tmp/t; sleep 50 & echo started")
    files = Place(shelf.sandboxes.root, ID).files
    (files / ".former-user").mkdir()  # of a restoring that was cut off
    await shelf.restore("v2", shelf.archives["v1"])  # while it runs
    assert not list(files.glob(".former-*"))
    said = await shelf.bash("cat f; ls /workspace /tmp; jobs")
    assert said == "[made again: 1 files]\nold\n/tmp:\n\n/workspace:\nf"
    assert shelf.calls == 3
    await shelf.sandboxes.restore(ID, "v3", None, lambda _: "")
    assert await shelf.bash("ls") == "(no output)"
    # its journal stays: what was called is not run again
    again = await shelf.sandboxes.call(ID, SPEC, "call_1", "bash", {"command": "echo again > f"})
    assert text(again) == "(no output)"
    assert await shelf.bash("ls") == "(no output)"


async def test_where_the_disk_holds_no_two_of_it_the_former_goes_first(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shelf.bash("echo old > f")
    await shelf.save("v1")
    await shelf.bash("echo stale > g")
    await shelf.sandboxes.rest()
    files = Place(shelf.sandboxes.root, ID).files
    seen = []

    async def pieces() -> AsyncIterator[bytes]:
        seen.extend([entry.name for entry in files.iterdir() if entry.name.startswith(".")])
        yield shelf.archives["v1"]

    await shelf.sandboxes.restore(ID, "v2", pieces(), lambda _: "")
    assert sorted(seen) == [".former-outputs", ".former-tmp", ".former-user", ".former-workspace"]
    seen.clear()
    full = os.statvfs_result([0] * 11)
    monkeypatch.setattr(os, "statvfs", lambda _: full)
    await shelf.sandboxes.restore(ID, "v3", pieces(), lambda _: "")
    monkeypatch.undo()
    assert not {".former-workspace"} & set(seen)
    assert await shelf.bash("ls") == "f"


async def test_a_damaged_archive_is_refused_and_leaves_nothing_current(shelf: Shelf) -> None:
    await shelf.bash("head -c 300000 /dev/urandom > f; echo g > g")
    await shelf.save("v1")
    whole = shelf.archives["v1"]
    middle = len(whole) // 2
    damaged = {
        "cut": whole[:middle],
        "empty": b"",
        "changed": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
        "no archive": b"hello" * 1000,
    }
    for how, data in damaged.items():
        with pytest.raises(SandboxFault, match="cannot be restored") as fault:
            await shelf.restore("v2", data)
        assert fault.value.kind == "damaged", how
        assert "v2" not in (await shelf.standing() or ())
    await shelf.restore("v2", whole)
    assert await shelf.bash("cat g") == "[made again: 2 files]\ng"


async def test_a_source_that_fails_leaves_nothing_current(shelf: Shelf) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 10
        raise StoreFault("The body is not there.", kind="missing")

    with pytest.raises(StoreFault):
        await shelf.sandboxes.restore(ID, "v1", broken(), lambda _: "")
    assert await shelf.standing() == {""}
    await shelf.restore("v1", None)
    assert await shelf.standing() == {"v1"}


async def test_what_was_not_marked_may_be_either(shelf: Shelf) -> None:
    await shelf.bash("echo a > a")
    await shelf.save("v1", mark=False)
    assert await shelf.standing() == {"", "v1"}
    saved = await shelf.save("v2")  # as nobody knows, it is saved again
    assert saved is not None
    assert await shelf.standing() == {"", "v1", "v2"}
    await shelf.sandboxes.mark(ID, "v3", saved)
    assert await shelf.standing() == {"", "v1", "v2"}


async def test_savings_of_two_workers_that_overlap_forget_no_version(shelf: Shelf) -> None:
    """The session went on at another worker while the first one still saved: either may come last."""
    await shelf.bash("echo a > a")
    slow = asyncio.Event()

    async def slowly(pieces: AsyncIterator[bytes]) -> None:
        async for _ in pieces:
            pass
        await slow.wait()

    first = asyncio.create_task(
        shelf.sandboxes.save(ID, "v1", slowly, bytes_max=1 << 20, thoroughly=True)
    )
    while "v1" not in (await shelf.standing() or ()):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await shelf.bash("echo b > b")
    assert await shelf.save("v2") is not None
    assert {"v1", "v2"} <= (await shelf.standing() or set())
    slow.set()
    saved = await first
    assert saved is not None
    await shelf.sandboxes.mark(ID, "v1", saved)
    assert {"v1", "v2"} <= (await shelf.standing() or set())


async def test_a_fault_of_whoever_takes_it_is_passed_on(shelf: Shelf) -> None:
    async def full(pieces: AsyncIterator[bytes]) -> None:
        async for _ in pieces:
            raise StoreFault("The disk is full.", kind="full", retryable=True)

    await shelf.bash("echo a > a")
    with pytest.raises(StoreFault):
        await shelf.sandboxes.save(ID, "v1", full, bytes_max=MOST)
    assert await shelf.save("v2") is not None


async def test_what_is_deleted_while_it_is_saved_is_no_checkpoint(shelf: Shelf) -> None:
    async def slow(pieces: AsyncIterator[bytes]) -> None:
        async for _ in pieces:
            await shelf.sandboxes.destroy(ID)

    await shelf.bash("echo a > a")
    with pytest.raises(SandboxFault, match="taken away") as fault:
        await shelf.sandboxes.save(ID, "v1", slow, bytes_max=MOST)
    assert fault.value.kind == "save"
    assert await shelf.sandboxes.reconcile(set()) == []


async def test_too_much_is_not_saved(shelf: Shelf) -> None:
    async def take(pieces: AsyncIterator[bytes]) -> None:
        async for _ in pieces:
            pass

    await shelf.bash("head -c 3000000 /dev/urandom > f")
    with pytest.raises(SandboxFault, match="more than 1000000 bytes") as fault:
        await shelf.sandboxes.save(ID, "v1", take, bytes_max=1_000_000)
    assert fault.value.kind == "save"


async def test_only_what_rests_and_is_saved_is_set_aside(shelf: Shelf) -> None:
    sandboxes = shelf.sandboxes
    assert not await sandboxes.set_aside(ID)
    await shelf.bash("echo a > a")
    assert await sandboxes.unused(-60.0) == [ID]
    assert await sandboxes.unused(60.0) == []
    await shelf.save("v1")
    assert not await sandboxes.set_aside(ID)  # it runs
    await sandboxes.rest([ID])
    await shelf.bash("echo b > b")
    await sandboxes.rest([ID])
    assert not await sandboxes.set_aside(ID)  # it was used since
    assert await shelf.save("v2", thoroughly=True) is not None
    assert await sandboxes.set_aside(ID)
    assert await shelf.standing() is None
    assert not await sandboxes.set_aside(ID)
    await shelf.restore("v3", shelf.archives["v2"])  # before what was set aside is deleted
    assert await shelf.bash("cat a b") == "[made again: 2 files]\na\nb"
    await sandboxes.destroy(ID)
    assert await sandboxes.reconcile(set()) == []


async def test_restoring_never_names_itself_the_holder(shelf: Shelf) -> None:
    """Whoever deletes a sandbox kills the process whose number is in its lock."""
    seen = []

    def note(_: Saved) -> str:
        seen.append((shelf.sandboxes.root / ID / "lock").read_text())
        return ""

    await shelf.bash("true")
    await shelf.sandboxes.restore(ID, "v1", None, note)
    assert seen == [""]


async def test_the_archiver_refuses_to_be_root(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid():
        pytest.skip("needs root")
    await shelf.bash("echo a > a")
    place = Place(shelf.sandboxes.root, ID)
    uid = place.meta()["uid"]
    place.write_meta(uid=0)
    with pytest.raises(SandboxFault, match="host's root"):
        await shelf.save("v1")
    place.write_meta(uid=uid)
    assert await shelf.save("v1") is not None


async def test_a_folder_behind_a_link_is_not_followed(shelf: Shelf, tmp_path: Path) -> None:
    await shelf.bash("echo a > a")
    place = Place(shelf.sandboxes.root, ID)
    await shelf.sandboxes.rest()
    shutil.rmtree(place.files / "user")
    (place.files / "user").symlink_to(tmp_path)
    with pytest.raises(SandboxFault):
        await shelf.save("v1")
    (place.files / "user").unlink()


async def test_unreadable_books_count_as_none(shelf: Shelf) -> None:
    await shelf.bash("echo a > a")
    await shelf.save("v1")
    books = Place(shelf.sandboxes.root, ID).path / checkpoints.SAVED
    assert json.loads(books.read_text())["version"] == "v1"
    books.write_text("{")
    assert await shelf.standing() == {""}
