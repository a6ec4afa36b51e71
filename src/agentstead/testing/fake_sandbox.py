"""A sandbox without a sandbox: the journal of the real one, and calls that behave as told.

Keeps the contract of `sandbox.Sandbox`: a call id runs once, a repeated call attaches or gets the
recorded outcome, a call lives on when its caller goes away, `cancel` ends it or refuses it for
ever, and a call that was running when its supervisor died stays unknown. Nothing is isolated here.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentstead.clock import Clock
from agentstead.errors import SandboxFault
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


class FakeSandbox:
    """All sandboxes of a test, outliving the workers that use them."""

    def __init__(self, clock: Clock, behave: Behave = echo) -> None:
        self.clock = clock
        self.behave = behave
        self.journals: dict[str, dict[str, _Entry]] = {}
        self.executed: Counter[str] = Counter()
        """Call id → how often it was begun; more than once is a broken promise."""
        self.cancelled: set[str] = set()
        self.kept: dict[str, float] = {}
        """Sandbox id → when it was last renewed."""
        self.destroyed: list[str] = []
        self.files: dict[str, dict[str, tuple[int, bytes]]] = {}
        """Sandbox id → path of an output → its stamp and content."""
        self.stamps = 0

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
            entry.done.set_result(behaviour.outcome)

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


def _seen(done: "asyncio.Future[Outcome]") -> None:
    """A call nobody waits for any more may fail unheard."""
    if not done.cancelled():
        done.exception()
