"""What agents leave in `/mnt/session/outputs` becomes files of their sessions.

Promises: when `now` returns, every output that was there is listed, unless that takes longer than
its bound; then it goes on by itself. An output that was rewritten is one file, the newest; one whose
content is the same keeps its id; one that a client deleted stays deleted until it is rewritten. Two
workers may do it for one session at once.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from agentstead.clock import Clock
from agentstead.errors import Fault, SandboxFault, TooLarge
from agentstead.ids import BLOB, Ids
from agentstead.sandbox.sandbox import Output, Sandbox
from agentstead.store import files as store
from agentstead.store.blobs import Blobs, Body
from agentstead.store.files import NewFile
from agentstead.store.pool import Database
from agentstead.store.table import Write
from agentstead.telemetry import logs
from agentstead.wire import file as wire

BOUND_SECONDS = 5.0
"""So long a session waits for its outputs before it says that it is idle."""

log = logs.get("worker")


@dataclass(frozen=True, slots=True)
class Most:
    """How much is handed over."""

    file_bytes: int
    outputs: int
    """Of one session."""


@dataclass(slots=True)
class HandingOver:
    """Does it for the sessions of this process."""

    database: Database
    blobs: Blobs
    sandbox: Sandbox
    clock: Clock
    ids: Ids
    most: Most
    running: dict[str, "asyncio.Task[None]"] = field(default_factory=dict)

    async def now(self, session_id: str) -> None:
        """Index what is there; returns after its bound whatever happens, and raises nothing."""
        before = self.running.get(session_id)
        task = asyncio.create_task(self.after(before, session_id), name=f"outputs {session_id}")
        self.running[session_id] = task
        task.add_done_callback(lambda done: self.ended(session_id, done))
        await asyncio.wait([task], timeout=BOUND_SECONDS)

    async def after(self, before: "asyncio.Task[None] | None", session_id: str) -> None:
        """Once an earlier look has ended: it may have passed by what is new."""
        if before is not None:
            await asyncio.wait([before])
        await self.look(session_id)

    def ended(self, session_id: str, task: "asyncio.Task[None]") -> None:
        """Forget it; what went wrong is logged, and looked at again with the next idle."""
        if self.running.get(session_id) is task:
            del self.running[session_id]
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, Fault | OSError):
            log.warning("outputs not handed over", session_id=session_id, error=str(error))
        elif error is not None:
            log.error("outputs not handed over", session_id=session_id, exc_info=error)

    async def close(self) -> None:
        """Give up what still goes on."""
        tasks = list(self.running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def look(self, session_id: str) -> None:
        """One look at everything; only what has changed is read."""
        found = await self.sandbox.outputs(session_id)
        if not found:
            return
        row = await self.database.fetch_one(
            "select workspace_id from sessions where id = %s", (session_id,)
        )
        if row is None:
            return
        known = await self.known(session_id)
        room = self.most.outputs - len(known)
        for output in found:
            before = known.get(key_of(output))
            if before is not None and before["stamp"] == output.stamp:
                continue
            full = before is None and room <= 0
            if full or output.size_bytes > self.most.file_bytes:
                why = "too many" if full else "too large"
                log.warning("output left out", session_id=session_id, path=key_of(output), why=why)
                continue
            room -= before is None
            await self.take(Place(session_id, row["workspace_id"]), output)

    async def known(self, session_id: str) -> dict[str, Mapping[str, Any]]:
        """What was handed over before, by its path."""
        rows = await self.database.fetch(
            "select path, stamp, sha256, file_id from outputs where session_id = %s", (session_id,)
        )
        return {row["path"]: row for row in rows}

    async def take(self, place: "Place", output: Output) -> None:
        """Keep one output whose stamp is new."""
        blob_id = self.ids.new(BLOB)
        head = Head(self.sandbox.read_output(place.session_id, output.path))
        try:
            body = await self.blobs.put(blob_id, head.chunks(), self.most.file_bytes)
        except (TooLarge, SandboxFault) as error:  # it grows while it is read, or is gone
            log.info(
                "output left out", session_id=place.session_id, path=output.path, why=str(error)
            )
            return
        if not await self.written(place, output, blob_id, body, head.bytes):
            await self.blobs.delete(blob_id)

    async def written(
        self, place: "Place", output: Output, blob_id: str, body: Body, head: bytes
    ) -> bool:
        """Write down an output; whether its body is new."""
        key, name = key_of(output), name_of(output)
        async with self.database.transaction() as tx:
            write = Write(tx, self.ids, self.clock.now(), place.workspace_id)
            there = await tx.fetch_one(
                "select 1 from sessions where id = %s for key share", (place.session_id,)
            )
            if there is None:
                return False
            await tx.execute(
                "select pg_advisory_xact_lock(hashtextextended('outputs ' || %s, 0))",
                (place.session_id,),
            )
            before = await tx.fetch_one(
                "select sha256, file_id from outputs where session_id = %s and path = %s",
                (place.session_id, key),
            )
            file_id = before["file_id"] if before else None
            same = before is not None and before["sha256"] == body.sha256
            if not same:
                new = NewFile(
                    blob_id=blob_id,
                    body=body,
                    filename=name,
                    mime_type=wire.mime_type(None, name, head),
                    downloadable=True,
                    session_id=place.session_id,
                )
                old, file_id = file_id, await store.add(write, new)
                if old is not None:
                    await store.discard(write, old)
            await tx.execute(
                "insert into outputs (session_id, workspace_id, path, stamp, sha256, file_id)"
                " values (%s, %s, %s, %s, %s, %s) on conflict (session_id, path) do update"
                " set stamp = excluded.stamp, sha256 = excluded.sha256, file_id = excluded.file_id",
                (place.session_id, place.workspace_id, key, output.stamp, body.sha256, file_id),
            )
        return not same


@dataclass(frozen=True, slots=True)
class Place:
    """Whose outputs they are."""

    session_id: str
    workspace_id: str


class Head:
    """A stream whose first bytes are kept."""

    def __init__(self, source: AsyncIterator[bytes]) -> None:
        self.source = source
        self.bytes = b""

    async def chunks(self) -> AsyncIterator[bytes]:
        """All of it."""
        async for chunk in self.source:
            if len(self.bytes) < wire.HEAD_BYTES:
                self.bytes += chunk[: wire.HEAD_BYTES - len(self.bytes)]
            yield chunk


def key_of(output: Output) -> str:
    """The path as the database keeps it: every name has one, and no two the same."""
    raw = os.fsencode(output.path)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return f"/{raw.hex()}"  # no relative path begins so


def name_of(output: Output) -> str:
    """The name of the file that it becomes: whatever the agent called it, a valid one."""
    name = os.fsencode(output.path.rpartition("/")[2]).decode("utf-8", "replace")
    return wire.FORBIDDEN.sub("_", name)[: wire.NAME_MAX]
