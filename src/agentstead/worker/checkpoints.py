"""Saves what agents have made when their turns end, and makes it again where it is not there any more.

Promises: a session whose sandbox is on another host, was evicted or was lost goes on from its latest
checkpoint that can be read, and its model is told so with the next result; a turn that changed nothing
saves nothing; no saving delays a turn's end, and the next call waits for one a bounded time. A saving
that fails never fails a turn: `/why` tells it, and the next turn saves again.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from agentstead.clock import Clock, rfc3339
from agentstead.errors import Fault, SandboxFault, StoreFault
from agentstead.ids import BLOB, Ids
from agentstead.sandbox.restorable import Restorable, Saved
from agentstead.store import checkpoints as store
from agentstead.store.blobs import Blobs, Body
from agentstead.store.pool import Database
from agentstead.store.table import Write
from agentstead.telemetry import logs
from agentstead.telemetry.metrics import Metrics

WAIT_SECONDS = 5.0
"""So long a call waits for a saving that goes on; then it is made all the same."""
MAKINGS_MAX = 3
"""Restorings that may turn out to be of no use, because another worker was quicker, before a call fails."""
CLOSE_SECONDS = 10.0
"""So long a process that ends waits for what is being saved."""
HEADERS_BYTES_MAX = 1 << 30
"""What an archive may take beyond the content."""
GONE = "the folder /tmp, the shell's directory, variables and background processes are gone"

log = logs.get("worker")


@dataclass(frozen=True, slots=True)
class Most:
    """What checkpoints may cost."""

    kept: int
    """Per session; 0: nothing is saved."""
    content_bytes: int


@dataclass(slots=True)
class Checkpoints:
    """Does it for the sessions of this process."""

    database: Database
    blobs: Blobs
    sandbox: Restorable
    clock: Clock
    ids: Ids
    metrics: Metrics
    most: Most
    saving: dict[str, "asyncio.Task[None]"] = field(default_factory=dict)
    making: dict[str, "asyncio.Task[None]"] = field(default_factory=dict)

    async def ready(self, session_id: str) -> None:
        """Before a call: its files are here, and current. SandboxFault or StoreFault when they cannot be."""
        if not await self.current(session_id):
            present = max(await self.sandbox.standing(session_id) or {store.NEVER})
            await store.begin(self.database, session_id, present, await self.sandbox.host())

    async def current(self, session_id: str) -> bool:
        """Whether the session has used a sandbox; then its files are here, and current, or it raises."""
        saving = self.saving.get(session_id)
        if saving is not None:
            await asyncio.wait([saving], timeout=WAIT_SECONDS)
        for _ in range(MAKINGS_MAX):
            known = await store.version(self.database, session_id)
            here = await self.sandbox.standing(session_id)
            if known is None or (here is not None and known in here):
                return known is not None
            making = self.making.get(session_id)
            if making is None:
                making = asyncio.create_task(self.make(session_id, known))
                self.making[session_id] = making
                making.add_done_callback(lambda done: self.made(session_id, done))
            await asyncio.shield(making)
        raise SandboxFault("Another worker restores the session's files.", kind="start")

    async def elsewhere(self, session_id: str) -> bool:
        """Whether its calls up to now ran on another host, which may be lost: nobody can ask there."""
        last = await store.host(self.database, session_id)
        return last is not None and last != await self.sandbox.host()

    def made(self, session_id: str, task: "asyncio.Task[None]") -> None:
        """Forget it; whoever waits is told, and nobody may be left to wait."""
        del self.making[session_id]
        if not task.cancelled():
            task.exception()

    async def make(self, session_id: str, known: str) -> None:
        """Make the files from the latest checkpoint that can be read, or empty."""
        begun = self.clock.monotonic()
        version = self.ids.new(BLOB)
        making = Making(
            [
                Found(row["blob_id"], row["created_at"].timestamp(), row["left_out"])
                for row in await store.of(self.database, session_id)
            ]
        )
        try:
            while True:
                source = making.source(self.blobs)
                try:
                    await self.sandbox.restore(session_id, version, source, making.note)
                    break
                except SandboxFault as fault:
                    if source is None or fault.kind != "damaged":
                        raise
                except StoreFault as fault:
                    if fault.kind != "missing":
                        raise
                log.warning(
                    "checkpoint cannot be read",
                    session_id=session_id,
                    blob_id=making.found[0].blob_id,
                )
                self.metrics.checkpoint("restore", "damaged")
                making.give_up()
            ours = await store.restored(
                self.database,
                session_id,
                (known, version),
                await self.sandbox.host(),
                making.said,
                self.clock.now(),
            )
        except Fault:
            self.metrics.checkpoint("restore", "failed")
            raise
        if not ours:
            return  # another worker was quicker: whoever waits looks again
        seconds = self.clock.monotonic() - begun
        self.metrics.checkpoint("restore", "ok" if making.found else "empty", seconds)
        log.info("files restored", session_id=session_id, said=making.said)

    def begin(self, session_id: str) -> None:
        """After the end of a turn: save in the background what it changed."""
        if self.most.kept:
            self.chain(session_id)

    def chain(self, session_id: str, *, thoroughly: bool = False) -> None:
        """Let a saving follow the one which goes on."""
        before = self.saving.get(session_id)
        work = self.after(before, session_id, thoroughly)
        task = asyncio.create_task(work, name=f"checkpoint {session_id}")
        self.saving[session_id] = task
        task.add_done_callback(lambda done: self.ended(session_id, done))

    async def after(
        self, before: "asyncio.Task[None] | None", session_id: str, thoroughly: bool
    ) -> None:
        """Once an earlier saving has ended."""
        if before is not None:
            await asyncio.wait([before])
        await self.save(session_id, thoroughly=thoroughly)

    def ended(self, session_id: str, task: "asyncio.Task[None]") -> None:
        """Forget it; a defect of ours is logged."""
        if self.saving.get(session_id) is task:
            del self.saving[session_id]
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("checkpoint crashed", session_id=session_id, exc_info=error)

    async def save(self, session_id: str, *, thoroughly: bool) -> None:
        """Save what is new; what goes wrong is written down."""
        try:
            for _ in range(2):  # another process on this host may have saved meanwhile
                if await self.saved(session_id, thoroughly=thoroughly):
                    return
        except (Fault, OSError) as fault:
            self.metrics.checkpoint("save", "failed")
            log.warning("checkpoint failed", session_id=session_id, error=str(fault))
            try:
                await store.failed(self.database, session_id, str(fault), self.clock.now())
            except Fault as worse:
                log.warning("nor can that be told", session_id=session_id, error=worse.message)

    async def saved(self, session_id: str, *, thoroughly: bool) -> bool:
        """Save what is new; False when the files here are not current, or are not any more."""
        begun = self.clock.monotonic()
        before = await self.sandbox.standing(session_id)
        workspace_id = await store.workspace(self.database, session_id) if before else None
        if before is None or workspace_id is None:
            return True
        blob_id, stored = self.ids.new(BLOB), list[Body]()

        async def take(pieces: AsyncIterator[bytes]) -> None:
            most = self.most.content_bytes + HEADERS_BYTES_MAX
            stored.append(await self.blobs.put(blob_id, pieces, most))

        done = False
        try:
            saved = await self.sandbox.save(
                session_id,
                blob_id,
                take,
                bytes_max=self.most.content_bytes,
                thoroughly=thoroughly,
            )
            if saved is None:
                return True
            new = store.NewCheckpoint(
                blob_id, stored[0], saved.files, saved.content_bytes, names(saved)
            )
            async with self.database.transaction() as tx:
                write = Write(tx, self.ids, self.clock.now(), workspace_id)
                done = await store.add(write, session_id, before, new)
        finally:
            if stored and not done:
                await self.blobs.delete(blob_id)
        if done:
            await self.sandbox.mark(session_id, blob_id, saved)
            seconds = self.clock.monotonic() - begun
            self.metrics.checkpoint("save", "ok", seconds, stored[0].size_bytes)
        return done

    async def evict(self, session_id: str) -> bool:
        """Save the sandbox of a session that waits for its client, and delete it here; whether it did."""
        if not self.most.kept or not await store.resting(self.database, session_id):
            return False
        await self.sandbox.rest([session_id])
        self.chain(session_id, thoroughly=True)
        await asyncio.wait([self.saving[session_id]])
        here = await self.sandbox.standing(session_id)
        async with self.database.transaction() as tx:
            if not await store.held_resting(tx, session_id):
                return False
            known = await store.version(tx, session_id)
            stale = here is not None and known is not None and known not in here
            if not await self.sandbox.set_aside(session_id, even_unsaved=stale):
                return False
        await self.sandbox.destroy(session_id)
        return True

    async def evict_unused(self, seconds: float) -> int:
        """Evict the sandboxes here that nobody has used for so long; how many."""
        return sum([await self.evict(name) for name in await self.sandbox.unused(seconds)])

    async def close(self) -> None:
        """Let what is being saved end, within its time."""
        tasks = [*self.saving.values(), *self.making.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class Found:
    """A checkpoint that may be restored."""

    blob_id: str
    at: float
    left_out: str | None


@dataclass(slots=True)
class Making:
    """One restoring: what may be tried, and what is said of it."""

    found: list[Found]
    """Latest first; those that could not be read are taken out."""
    given_up: int = 0
    said: str = ""

    def source(self, blobs: Blobs) -> AsyncIterator[bytes] | None:
        """The archive that is next; None: empty."""
        return blobs.read(self.found[0].blob_id) if self.found else None

    def give_up(self) -> None:
        """It cannot be read."""
        self.found.pop(0)
        self.given_up += 1

    def note(self, saved: Saved) -> str:
        """What the model is told."""
        self.said = self.words(saved)
        return f"[{self.said}]"

    def words(self, saved: Saved) -> str:
        """What came of it."""
        if not self.found:
            why = "no checkpoint of it can be read" if self.given_up else "it was never saved"
            return (
                f"the sandbox was lost and {why}: /workspace, /mnt/user and /mnt/session/outputs"
                f" are empty now; {GONE}"
            )
        latest = self.found[0]
        words = [
            f"the sandbox was made again from its checkpoint of {rfc3339(latest.at)}: files in"
            f" /workspace, /mnt/user and /mnt/session/outputs are as they were then; {GONE}"
        ]
        if self.given_up:
            later = (
                "1 later checkpoint" if self.given_up == 1 else f"{self.given_up} later checkpoints"
            )
            words.append(f"{later} could not be read, so newer changes are lost")
        words += [f"not restored: {part}" for part in (latest.left_out, names(saved)) if part]
        return "; ".join(words)


def names(saved: Saved) -> str | None:
    """What was left out, in words; None: nothing."""
    if not saved.left_out:
        return None
    more = saved.left_out - len(saved.examples)
    return ", ".join([*saved.examples, *([f"and {more} more"] if more > 0 else [])])
