"""Sandboxes in an engine's containers: the contract of a provider, over a port that engines implement.

What decides once-only is the journal inside, in a place the agent cannot reach; a worker talks to the
supervisor that writes it through a relay, which the engine starts in the container. So no port is
published, no path of this host is mounted, and the engine may be on another machine.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from agentstead.clock import Clock
from agentstead.errors import SandboxFault
from agentstead.sandbox.engines import carrying
from agentstead.sandbox.engines.engine import Engine, EngineFault, Plan
from agentstead.sandbox.engines.line import Line, LineBroken
from agentstead.sandbox.engines.outlet import Outlet
from agentstead.sandbox.engines.probing import examine
from agentstead.sandbox.managers import PackageHosts
from agentstead.sandbox.network import Egress, proxy_config
from agentstead.sandbox.sandbox import Outcome, Output, Probe, SandboxSpec
from agentstead.sandbox.supervisor.outcomes import CANCELLED
from agentstead.sandbox.supervisor.spool import Spool

ATTEMPTS_MAX = 4
"""Supervisors tried for one call before the sandbox counts as lost."""
LATE_SECONDS = 20.0
"""How long a supervisor may take to listen, or an engine that is short of processes to start a relay."""
RETRY_SECONDS = 0.05
SHORT_SECONDS = 0.5
PASSING = SandboxSpec()
"""Of a sandbox that is started for its journal only."""
UNUSABLE = "The engine that runs sandboxes cannot be used; the server's log says why."
UNKNOWN = "The sandbox was lost while this call ran; whether it took effect is not known."


@dataclass(slots=True)
class Held:
    """A sandbox that this process has a line to."""

    line: Line
    files: Line
    """To where the agent's files can be read; the same one, unless supervisor and agent live apart."""
    outlet: Outlet | None = None
    """Its way to the network, where it has one."""
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    laid: dict[str, str] = field(default_factory=dict)
    """The uploads that lie in it: path → the body it was made from."""


class EngineSandbox:
    """The sandboxes of one platform on one engine."""

    def __init__(
        self,
        engine: Engine,
        *,
        clock: Clock,
        idle_seconds: float = 3600.0,
        env: Mapping[str, str] | None = None,
        egress: Egress | None = None,
        decisions: Path | None = None,
        late_seconds: float = LATE_SECONDS,
    ) -> None:
        """`egress`: how sandboxes reach the network, None: none of them does; `decisions`: the folder in
        whose spool it is written down what was let through."""
        self.engine = engine
        self._egress = egress
        self._late_seconds = late_seconds
        self._decisions = decisions
        self._managers = PackageHosts()
        self._clock = clock
        self._idle_seconds = idle_seconds
        self._env = dict(env or {})
        self._held: dict[str, Held] = {}
        self._reaching: dict[tuple[str, bool], asyncio.Task[Held | None]] = {}
        self._keeping: asyncio.Task[None] | None = None
        self.problems: tuple[str, ...] = ()
        """What keeps sandboxes from running, as of the last look at what there is."""

    @property
    def networked(self) -> bool:
        """Whether sandboxes have a network."""
        return self._egress is not None

    async def probe(self) -> Probe:
        """Ask the engine what it is, start a sandbox for real and look whether it holds."""
        return await examine(self, self.engine)

    async def call(
        self,
        sandbox_id: str,
        spec: SandboxSpec,
        call_id: str,
        tool: str,
        arguments: Mapping[str, Any],
    ) -> Outcome:
        """Run one tool once, starting the sandbox first where needed."""
        request = {"op": "call", "id": call_id, "tool": tool, "input": dict(arguments)}
        asked = False
        for attempt in range(ATTEMPTS_MAX):
            try:
                if asked and sandbox_id not in await self.engine.known():
                    # destroyed while we waited: it must not come to life again for this call
                    raise SandboxFault(UNKNOWN, kind="unknown")
                held = await self._reach(sandbox_id, spec)
                if held is None:
                    continue
                await carrying.lay(held.line, held.laid, spec.uploads)
                admitted = await self.engine.admit(sandbox_id, call_id)
                if admitted == "lost":
                    raise SandboxFault(UNKNOWN, kind="unknown")
                if admitted == "refused":
                    return Outcome(tuple(CANCELLED["content"]), is_error=True)
                await self._let_out(sandbox_id, spec, held)
                asked = True
                if held.outlet is not None and tool == "bash":
                    held.outlet.call_id = call_id
                reply = await held.line.ask("ask", request=request)
            except LineBroken:
                reply = None
            except EngineFault as fault:
                raise _fault(fault, "unknown" if asked else "start") from fault
            if not reply:
                # the supervisor has ended, and its container with it, or is about to
                await self._drop(sandbox_id)
                await self._clock.sleep(RETRY_SECONDS * 2**attempt)
            elif "unknown" in reply:
                raise SandboxFault(UNKNOWN, kind="unknown")
            else:
                outcome = reply["outcome"]
                return Outcome(tuple(outcome["content"]), outcome["is_error"])
        words = await self.engine.last_words(sandbox_id)
        said = f"The sandbox ends again and again before it takes the call. {words}"
        raise SandboxFault(said.strip(), kind="lost")

    async def cancel(self, sandbox_id: str, call_id: str) -> None:
        """Make sure the call has ended: kill it if it runs, refuse it if it comes later."""
        for attempt in range(ATTEMPTS_MAX):
            try:
                if await self._cancelled(sandbox_id, call_id):
                    return
            except LineBroken:
                pass
            except EngineFault as fault:
                raise _fault(fault, "lost") from fault
            except SandboxFault as fault:
                if fault.kind == "start":
                    return  # nothing runs, and nothing can be started that would run it
                raise
            await self._drop(sandbox_id)
            await self._clock.sleep(RETRY_SECONDS * 2**attempt)
        raise SandboxFault("The sandbox does not take the cancellation.", kind="lost")

    async def _cancelled(self, sandbox_id: str, call_id: str) -> bool:
        held = await self._reach(sandbox_id, None)
        runs = held is not None
        if await self.engine.refuse(sandbox_id, call_id) and not runs:
            return True
        if held is None:
            held = await self._reach(sandbox_id, PASSING)
        if held is None:
            return False
        reply = await held.line.ask("ask", request={"op": "cancel", "id": call_id})
        if reply and not runs:
            # the journal knows; the next call starts it with the limits that it should have
            await held.line.ask("ask", request={"op": "rest"})
            await self._drop(sandbox_id)
        return bool(reply)

    async def uploaded(self) -> dict[str, dict[str, str]]:
        """The sandboxes in which this process laid uploads: path → where it was made from."""
        return {key: dict(held.laid) for key, held in self._held.items() if held.laid}

    async def take_away(self, sandbox_id: str, gone: Mapping[str, str]) -> None:
        """Remove uploaded files from a sandbox that may run."""
        held = self._held.get(sandbox_id)
        if held is not None:
            try:
                await carrying.take_away(held.line, held.laid, gone)
            except LineBroken:
                await self._drop(sandbox_id)

    async def outputs(self, sandbox_id: str) -> Sequence[Output]:
        """What lies in `/mnt/session/outputs`; of one that does not run, as the engine still has it."""
        try:
            held = await self._reach(sandbox_id, None)
            if held is not None:
                with suppress(LineBroken):  # it has just ended
                    return await carrying.outputs(held.files)
                await self._drop(sandbox_id)
            return await self.engine.outputs(sandbox_id)
        except (EngineFault, LineBroken) as fault:
            raise _fault(fault, "lost") from fault

    async def read_output(self, sandbox_id: str, path: str) -> AsyncIterator[bytes]:
        """Piece by piece."""
        try:
            held = await self._reach(sandbox_id, None)
            pieces = (
                self.engine.read_output(sandbox_id, path)
                if held is None
                else carrying.read_output(held.files, path)
            )
            async for piece in pieces:
                yield piece
        except (EngineFault, LineBroken) as fault:
            raise _fault(fault, "lost") from fault

    async def keep(self, sandbox_ids: Iterable[str]) -> None:
        """Renew: a sandbox that nobody has renewed for an hour ends itself. Waits for nothing."""
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.create_task(self._keep(set(sandbox_ids)), name="keep")

    async def destroy(self, sandbox_id: str) -> None:
        """End it and delete its files. Idempotent."""
        try:
            held = self._held.get(sandbox_id)
            if held is not None:
                with suppress(LineBroken):  # which is how it ends
                    await held.line.ask("ask", request={"op": "stop"})
                await self._drop(sandbox_id)
            await self.engine.remove(sandbox_id)
        except EngineFault as fault:
            raise _fault(fault, "lost") from fault

    async def rest(self) -> None:
        """End the sandboxes here that run no call, where their files stay."""
        if not self.engine.keeps_files:
            return
        with suppress(EngineFault):
            for sandbox_id in await self.engine.running():
                await self._told(sandbox_id, "rest")

    async def reconcile(self, known: set[str]) -> list[str]:
        """Sandboxes of this platform that belong to no session in `known`; the caller destroys them."""
        try:
            found = await self.engine.known()
        except EngineFault as fault:
            self.problems = (UNUSABLE,)
            raise _fault(fault, "lost") from fault
        self.problems = ()
        return sorted(found - known)

    async def close(self) -> None:
        """Hang up; running sandboxes go on."""
        tasks = [*self._reaching.values(), *([self._keeping] if self._keeping else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for sandbox_id in list(self._held):
            await self._drop(sandbox_id)
        await self.engine.close()

    async def _keep(self, wanted: set[str]) -> None:
        with suppress(EngineFault):
            for sandbox_id in wanted & await self.engine.running():
                await self._told(sandbox_id, "keep")
        # a session whose turn is over needs no line; the next call opens one
        for sandbox_id in set(self._held) - wanted:
            if self._held[sandbox_id].line.quiet:
                await self._drop(sandbox_id)

    async def _told(self, sandbox_id: str, operation: str) -> None:
        try:
            held = await self._reach(sandbox_id, None)
            if held is not None:
                reply = await held.line.ask("ask", request={"op": operation})
                if not reply and operation == "rest":
                    await self._drop(sandbox_id)
        except (LineBroken, SandboxFault):
            await self._drop(sandbox_id)

    # --- lines

    async def _reach(self, sandbox_id: str, spec: SandboxSpec | None) -> Held | None:
        """A line to the sandbox; None when it does not run and `spec` does not say how to start it.

        Goes on when the caller is cancelled. Raises EngineFault, LineBroken, and SandboxFault when
        it cannot start.
        """
        held = self._held.get(sandbox_id)
        if held is not None and not (held.line.broken or held.files.broken):
            return held
        key = (sandbox_id, spec is not None)
        task = self._reaching.get(key)
        if task is None:
            task = asyncio.create_task(
                self._reach_now(sandbox_id, spec), name=f"reach {sandbox_id}"
            )
            self._reaching[key] = task
            task.add_done_callback(lambda done: self._reached(key, done))
        return await asyncio.shield(task)

    def _reached(self, key: tuple[str, bool], task: "asyncio.Task[Held | None]") -> None:
        del self._reaching[key]
        if not task.cancelled():
            task.exception()  # whoever waits is told; nobody may be left to wait

    async def _reach_now(self, sandbox_id: str, spec: SandboxSpec | None) -> Held | None:
        await self._drop(sandbox_id)
        line = await self._connected(sandbox_id)
        if line is None and spec is not None:
            await self.engine.start(self._plan(sandbox_id, spec))
            line = await self._connected(sandbox_id)
        if line is None:
            return None
        try:
            await self._listening(line)
            held = Held(line, await self._files_line(sandbox_id, line))
            await carrying.furnish(line, held.laid, spec.mounts if spec is not None else ())
        except BaseException:
            await line.close()
            raise
        self._held[sandbox_id] = held
        return held

    async def _let_out(self, sandbox_id: str, spec: SandboxSpec, held: Held) -> None:
        """See to the sandbox's way to the network, as its environment says."""
        async with held.opening:
            if held.outlet is not None or self._decisions is None:
                return
            network = replace(
                spec.network, credentials=False
            )  # nobody inside would trust the proxy
            config = await proxy_config(network, self._egress, self._managers)
            if config is None:
                return
            outlet = Outlet(config, Spool(self._decisions, sandbox_id), sandbox_id)
            opened = False
            try:
                # where the agent itself has taken the proxy's place, it has no network
                opened = await outlet.open(held.line)
            finally:
                if not opened:
                    await outlet.close()
            held.outlet = outlet if opened else None

    async def _files_line(self, sandbox_id: str, line: Line) -> Line:
        if not self.engine.apart:
            return line
        stream = await self.engine.connect(sandbox_id, agent=True)
        if stream is None:
            raise LineBroken
        return Line(stream).open()

    async def _connected(self, sandbox_id: str) -> Line | None:
        """A line; an engine that cannot start another process there now may be able to in a moment."""
        until = self._clock.monotonic() + self._late_seconds
        while True:
            try:
                stream = await self.engine.connect(sandbox_id)
                return None if stream is None else Line(stream).open()
            except EngineFault:
                if self._clock.monotonic() > until:
                    raise
            await self._clock.sleep(SHORT_SECONDS)

    async def _listening(self, line: Line) -> None:
        """Wait for a supervisor that somebody else is starting."""
        until = self._clock.monotonic() + self._late_seconds
        while await line.ask("ask", request={"op": "status"}) is None:
            if self._clock.monotonic() > until:
                raise LineBroken
            await self._clock.sleep(RETRY_SECONDS)

    def _plan(self, sandbox_id: str, spec: SandboxSpec) -> Plan:
        if spec.image or spec.layers:
            raise SandboxFault(
                "The sandbox cannot start: the session was made for an image or packages of this host,"
                f" and sandboxes now run on {self.engine.name}.",
                kind="start",
            )
        config = {
            "sandbox_id": sandbox_id,
            "idle_seconds": self._idle_seconds,
            "limits": asdict(spec.limits),
            "env": {**self._env, **spec.env},
            "passing": spec is PASSING,
            "outlet": self._egress is not None and spec.network.mode != "none",
        }
        return Plan(sandbox_id, spec.limits, config)

    async def _drop(self, sandbox_id: str) -> None:
        held = self._held.pop(sandbox_id, None)
        if held is not None:
            if held.outlet is not None:
                await held.outlet.close()
            await asyncio.gather(*(line.close() for line in {held.line, held.files}))


def _fault(fault: EngineFault | LineBroken, kind: str) -> SandboxFault:
    words = fault.message if isinstance(fault, EngineFault) else "the sandbox does not answer"
    return SandboxFault(f"The engine of the sandbox: {words}", kind=kind)
