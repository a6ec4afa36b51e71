"""A sandbox without a sandbox: the journal of the real one, and calls that behave as told.

Keeps the contract of `sandbox.Sandbox`: a call id runs once, a repeated call attaches or gets the
recorded outcome, a call lives on when its caller goes away, `cancel` ends it or refuses it for
ever, and a call that was running when its supervisor died stays unknown. Nothing is isolated here.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentstead.clock import Clock
from agentstead.errors import SandboxFault
from agentstead.sandbox.restorable import Note, Saved, Take
from agentstead.sandbox.sandbox import Outcome, Output, Probe, SandboxSpec

CANCELLED = "The call was cancelled."
UNKNOWN = "The sandbox died while the call ran; its outcome is unknown."


@dataclass(frozen=True, slots=True)
class FakeCall:
    """What a behaviour may look at."""

    sandbox_id: str
    call_id: str
    tool: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How one call goes: how long it takes and what it gives or raises."""

    outcome: Outcome = field(default_factory=lambda: Outcome.text("ok"))
    seconds: float = 0.0
    writes: Mapping[str, bytes] = field(default_factory=dict)
    """Outputs that lie there once it has ended."""
    start_fault: SandboxFault | None = None
    """Raised before the call has begun; the next attempt starts afresh."""


Behave = Callable[[FakeCall], Behaviour]


def echo(call: FakeCall) -> Behaviour:
    """Answer at once with the tool's name and arguments, so that each outcome tells its call."""
    return Behaviour(Outcome.text(f"{call.tool} {dict(call.arguments)}"))


@dataclass(slots=True)
class _Entry:
    """One call in the journal of one sandbox."""

    done: "asyncio.Future[Outcome]"
    """The recorded outcome, or `SandboxFault(kind="unknown")`."""
    task: "asyncio.Task[None] | None" = None


@dataclass(slots=True)
class _Books:
    """Where the files of one sandbox stand."""

    version: str = ""
    coming: list[str] = field(default_factory=list)
    stamp: str = ""
    calls: int = -1
    note: str = ""


class FakeSandbox:
    """All sandboxes of a test, outliving the workers that use them."""

    def __init__(self, clock: Clock, behave: Behave = echo) -> None:
        self.clock = clock
        self.behave = behave
        self.journals: dict[str, dict[str, _Entry]] = {}
        self.executed: Counter[str] = Counter()
        self.begun_at: dict[str, float] = {}
        """Call id → how often it was begun; more than once is a broken promise."""
        self.cancelled: set[str] = set()
        self.kept: dict[str, float] = {}
        """Sandbox id → when it was last renewed."""
        self.destroyed: list[str] = []
        self.files: dict[str, dict[str, tuple[int, bytes]]] = {}
        """Sandbox id → path of an output → its stamp and content."""
        self.stamps = 0
        self.books: dict[str, _Books] = {}
        """Sandbox id → where its files stand; those that have files."""
        self.begun: Counter[str] = Counter()
        """Sandbox id → calls begun in it."""

    async def probe(self) -> Probe:
        """Always fine, and honest about it."""
        return Probe(True, "fake", "none: calls are simulated", "none")

    async def call(
        self,
        sandbox_id: str,
        spec: SandboxSpec,  # noqa: ARG002 - the contract's, and there is nothing to limit
        call_id: str,
        tool: str,
        arguments: Mapping[str, Any],
    ) -> Outcome:
        """Run a call once; attach to it or repeat its outcome when it is known."""
        journal = self.journals.get(sandbox_id, {})
        entry = journal.get(call_id)
        if entry is None:
            behaviour = self.behave(FakeCall(sandbox_id, call_id, tool, dict(arguments)))
            if behaviour.start_fault is not None:
                raise behaviour.start_fault
            entry = self._begin(sandbox_id, call_id, behaviour)
        # The call belongs to the sandbox: whoever waits for it may go without ending it.
        return await asyncio.shield(entry.done)

    def _begin(self, sandbox_id: str, call_id: str, behaviour: Behaviour) -> _Entry:
        entry = self._entry(sandbox_id, call_id)
        self.kept[sandbox_id] = self.clock.now()
        self.executed[call_id] += 1
        self.begun_at[call_id] = self.clock.now()
        self.begun[sandbox_id] += 1
        self.books.setdefault(sandbox_id, _Books())
        entry.task = asyncio.get_running_loop().create_task(
            self._perform(sandbox_id, entry, behaviour), name=f"fake call {call_id}"
        )
        return entry

    def _entry(self, sandbox_id: str, call_id: str) -> _Entry:
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        done.add_done_callback(_seen)
        return self.journals.setdefault(sandbox_id, {}).setdefault(call_id, _Entry(done))

    async def _perform(self, sandbox_id: str, entry: _Entry, behaviour: Behaviour) -> None:
        await self.clock.sleep(behaviour.seconds)
        if not entry.done.done():
            for path, body in behaviour.writes.items():
                files = self.files.setdefault(sandbox_id, {})
                files.pop(path, None)
                self.stamps += 1
                files[path] = (self.stamps, body)
            entry.done.set_result(self._noted(sandbox_id, behaviour.outcome))

    def _noted(self, sandbox_id: str, outcome: Outcome) -> Outcome:
        books = self.books.get(sandbox_id)
        if books is None or not books.note:
            return outcome
        note, books.note = books.note, ""
        return Outcome(({"type": "text", "text": note}, *outcome.content), outcome.is_error)

    async def cancel(self, sandbox_id: str, call_id: str) -> None:
        """End the call if it runs, refuse it if it comes later."""
        self.cancelled.add(call_id)
        entry = self._entry(sandbox_id, call_id)
        if entry.done.done():
            return
        entry.done.set_result(Outcome.text(CANCELLED, is_error=True))
        if entry.task is not None:
            entry.task.cancel()

    def lose(self, sandbox_id: str) -> None:
        """The supervisor dies: what runs is unknown for ever, what was recorded stays."""
        for entry in self.journals.get(sandbox_id, {}).values():
            if not entry.done.done():
                entry.done.set_exception(SandboxFault(UNKNOWN, kind="unknown"))
            if entry.task is not None:
                entry.task.cancel()

    async def outputs(self, sandbox_id: str) -> Sequence[Output]:
        """What the behaviours of its calls have written, oldest first."""
        files = self.files.get(sandbox_id, {})
        return [Output(path, len(body), str(stamp)) for path, (stamp, body) in files.items()]

    async def read_output(self, sandbox_id: str, path: str) -> AsyncIterator[bytes]:
        """The content of one."""
        found = self.files.get(sandbox_id, {}).get(path)
        if found is None:
            raise SandboxFault(f"The output {path!r} is not there any more.", kind="gone")
        yield found[1]

    async def host(self) -> str:
        """Each double is a host of its own."""
        return f"host {id(self)}"

    async def standing(self, sandbox_id: str) -> frozenset[str] | None:
        """The versions that its files may be."""
        books = self.books.get(sandbox_id)
        if books is None:
            return None
        return frozenset({books.version, *books.coming})

    async def save(
        self,
        sandbox_id: str,
        version: str,
        take: Take,
        *,
        bytes_max: int,
        thoroughly: bool = False,
    ) -> Saved | None:
        """Hand the outputs over as JSON."""
        books, calls = self.books.get(sandbox_id), self.begun[sandbox_id]
        if books is None or (not thoroughly and books.calls == calls):
            return None
        files = {path: body.hex() for path, (_, body) in self.files.get(sandbox_id, {}).items()}
        archive = json.dumps(files).encode()
        if books.stamp == archive.decode():
            books.calls = calls
            return None
        size = sum(len(body) for body in files.values()) // 2
        if size > bytes_max:
            raise SandboxFault(f"Its files take more than {bytes_max} bytes.", kind="save")
        books.coming.append(version)
        await take(_pieces(archive))
        return Saved(archive.decode(), calls, len(files), size)

    async def mark(self, sandbox_id: str, version: str, saved: Saved) -> None:
        """Write it down."""
        books = self.books.get(sandbox_id)
        if books is not None and version in books.coming:
            books.version = version
            books.coming.remove(version)
            books.stamp, books.calls = saved.stamp, saved.calls

    async def restore(
        self, sandbox_id: str, version: str, archive: AsyncIterator[bytes] | None, note: Note
    ) -> Saved:
        """Make the outputs that were saved."""
        self.lose(sandbox_id)
        self.books[sandbox_id] = _Books()
        self.files[sandbox_id] = {}
        stamp = ""
        if archive is not None:
            try:
                stamp = b"".join([piece async for piece in archive]).decode()
                files = json.loads(stamp)
            except ValueError as error:
                raise SandboxFault("Its files cannot be restored.", kind="damaged") from error
            for path, body in files.items():
                self.stamps += 1
                self.files[sandbox_id][path] = (self.stamps, bytes.fromhex(body))
        saved = Saved(stamp, self.begun[sandbox_id], len(self.files[sandbox_id]))
        self.books[sandbox_id] = _Books(version, [], stamp, saved.calls, note(saved))
        return saved

    async def set_aside(self, sandbox_id: str, *, even_unsaved: bool = False) -> bool:
        """Forget it if all of it was saved and nothing runs."""
        books = self.books.get(sandbox_id)
        running = any(not one.done.done() for one in self.journals.get(sandbox_id, {}).values())
        if books is None or running:
            return False
        saved = bool(books.version) and books.calls == self.begun[sandbox_id]
        if not saved and not even_unsaved:
            return False
        await self.destroy(sandbox_id)
        return True

    async def unused(self, seconds: float) -> Sequence[str]:
        """Those not renewed for so long."""
        before = self.clock.now() - seconds
        return [name for name, at in self.kept.items() if at < before]

    async def rest(self, only: Iterable[str] | None = None) -> None:
        """Nothing runs between calls."""

    async def keep(self, sandbox_ids: Iterable[str]) -> None:
        """Note when a sandbox was last renewed."""
        for sandbox_id in sandbox_ids:
            if sandbox_id in self.journals:
                self.kept[sandbox_id] = self.clock.now()

    async def destroy(self, sandbox_id: str) -> None:
        """End all calls of a sandbox and forget it."""
        self.lose(sandbox_id)
        if self.journals.pop(sandbox_id, None) is not None:
            self.destroyed.append(sandbox_id)
        self.kept.pop(sandbox_id, None)
        self.files.pop(sandbox_id, None)
        self.books.pop(sandbox_id, None)

    async def reconcile(self, known: set[str]) -> list[str]:
        """Sandboxes that belong to nobody in `known`."""
        return [each for each in self.journals if each not in known]

    async def close(self) -> None:
        """Nothing to give back; calls go on."""

    async def stop(self) -> None:
        """End everything (for the end of a test): running calls become unknown."""
        entries = [each for journal in self.journals.values() for each in journal.values()]
        tasks = {each.task for each in entries if each.task is not None}
        for sandbox_id in list(self.journals):
            self.lose(sandbox_id)
        if tasks:
            await asyncio.wait(tasks)


async def _pieces(archive: bytes) -> AsyncIterator[bytes]:
    yield archive


def _seen(done: "asyncio.Future[Outcome]") -> None:
    """A call nobody waits for any more may fail unheard."""
    if not done.cancelled():
        done.exception()
