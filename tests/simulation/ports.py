"""The world's ports as one process sees them: the shared doubles behind its gate.

Whatever a process does to the world goes through `Process.call`, which numbers the calls, may let a
fault happen, and writes the trace.
"""

import asyncio

from agentstead.errors import McpFault, ProviderFault, SandboxFault, StoreFault
from tests.simulation.repositories import broken_host


def store_fault() -> StoreFault:
    return StoreFault("The connection to the database broke.", kind="failed", retryable=True)


def model_fault() -> ProviderFault:
    return ProviderFault("The provider cannot be reached.", kind="unreachable", retryable=True)


def start_fault() -> SandboxFault:
    return SandboxFault("no space left on device", kind="start")


def unknown_fault() -> SandboxFault:
    return SandboxFault("the supervisor does not answer", kind="unknown")


def no_server() -> McpFault:
    return McpFault("The server cannot be reached.", kind="unreachable")


def cut_off() -> McpFault:
    return McpFault("The connection broke.", kind="cut")


class GatedLog:
    """The worker's half of the log."""

    def __init__(self, process, log) -> None:
        self.process = process
        self.log = log
        notices = process.world.notices
        self.ear = log if notices is None else notices.bell(process)

    def watch(self, look) -> None:
        """Let the checks look at what has just happened."""
        self.process.world.guard(look, self.process.world.watch)

    async def gate(self, name, effect, detail="", **more):
        return await self.process.call(f"log.{name}", effect, store_fault, detail, **more)

    async def claim(self, owner, limit):
        async def effect():
            leases = await self.log.claim(owner, limit)
            self.watch(lambda watch: watch.claimed(leases))
            return leases

        # To look and find nothing is no step on anybody's way.
        return await self.gate("claim" if self.log.something_is_due() else "look", effect)

    async def heartbeat(self, leases):
        async def effect():
            alive = await self.log.heartbeat(leases)
            self.watch(lambda watch: watch.renewed(leases, alive))
            return alive

        return await self.gate("heartbeat", effect, f"{len(leases)}")

    async def release(self, leases):
        async def effect():
            await self.log.release(leases)
            self.watch(lambda watch: watch.returned(leases))

        return await self.gate("release", effect, f"{len(leases)}")

    async def load(self, lease):
        return await self.gate("load", lambda: self.log.load(lease), said(lease))

    async def append(self, lease, entries, *, seen, take=(), derived, park=None, stopped=False):
        types = ",".join(short(entry.type) for entry in entries)
        detail = f"{said(lease)} {types}{' PARK' if park else ''}"

        async def effect():
            answer = await self.log.append(
                lease, entries, seen=seen, take=take, derived=derived, park=park, stopped=stopped
            )
            parked = park is not None
            self.watch(lambda watch: watch.appended(lease, entries, answer, parked=parked))
            return answer

        return await self.gate("append", effect, detail, session_id=lease.session_id)

    async def start_call(self, lease, call_id):
        return await self.gate(
            "start", lambda: self.log.start_call(lease, call_id), f"{said(lease)} {call_id[-6:]}"
        )

    async def pending(self, session_id):
        return await self.gate("pending", lambda: self.log.pending(session_id))

    async def due(self, timeout_seconds):
        return await self.gate("due", lambda: self.ear.due(timeout_seconds))

    async def news(self, session_id, after):
        return await self.gate("news", lambda: self.log.news(session_id, after))


class GatedPreviews:
    """Previews: never waited for, lost when the process is dead."""

    def __init__(self, process, log) -> None:
        self.process = process
        self.log = log

    def preview(self, lease, thread_id, frame) -> None:
        self.process.must_live()
        self.log.preview(lease, thread_id, frame)


class GatedModels:
    """Names → gated models."""

    def __init__(self, process, models) -> None:
        self.process = process
        self.models = models

    def resolve(self, name):
        return GatedModel(self.process, self.models.resolve(name))


class GatedModel:
    """One model; its stream passes the gate at each part."""

    def __init__(self, process, model) -> None:
        self.process = process
        self.upstream = model.upstream
        self.capabilities = model.capabilities
        self.price = model.price
        self.provider = self
        self.inner = model.provider

    async def stream(self, request):
        parts = self.inner.stream(request)
        name = "model.start"
        try:
            while True:
                try:
                    part = await self.process.call(name, parts.__anext__, model_fault)
                except StopAsyncIteration:
                    return
                yield part
                name = "model.part"
        finally:
            await parts.aclose()


class GatedSandbox:
    """The hands; what has been begun goes on when the process dies."""

    def __init__(self, process, sandbox) -> None:
        self.process = process
        self.sandbox = sandbox

    async def probe(self):
        return await self.sandbox.probe()

    async def call(self, sandbox_id, spec, call_id, tool, arguments):
        return await self.process.call(
            "sandbox.call",
            lambda: self.sandbox.call(sandbox_id, spec, call_id, tool, arguments),
            start_fault,
            f"{tool} {call_id[-6:]}",
            lost=unknown_fault,
        )

    async def cancel(self, sandbox_id, call_id):
        return await self.process.call(
            "sandbox.cancel",
            lambda: self.sandbox.cancel(sandbox_id, call_id),
            start_fault,
            call_id[-6:],
        )

    async def keep(self, sandbox_ids):
        ids = list(sandbox_ids)
        return await self.process.call(
            "sandbox.keep", lambda: self.sandbox.keep(ids), start_fault, f"{len(ids)}"
        )

    async def destroy(self, sandbox_id):
        return await self.process.call(
            "sandbox.destroy", lambda: self.sandbox.destroy(sandbox_id), start_fault
        )

    async def reconcile(self, known):
        return await self.sandbox.reconcile(known)

    async def close(self):
        return None


class GatedServers:
    """MCP servers; what one has begun it goes on with when the process dies."""

    def __init__(self, process, servers) -> None:
        self.process = process
        self.servers = servers

    async def gate(self, name, effect, detail, lost=None):
        return await self.process.call(f"mcp.{name}", effect, no_server, detail, lost=lost)

    async def tools(self, lease, server):
        return await self.gate(
            "tools", lambda: self.servers.tools(lease, server), f"{said(lease)} {server['name']}"
        )

    async def connect(self, lease, server):
        return await self.gate(
            "connect",
            lambda: self.servers.connect(lease, server),
            f"{said(lease)} {server['name']}",
        )

    async def call(self, lease, server, tool, arguments, key):
        return await self.gate(
            "call",
            lambda: self.servers.call(lease, server, tool, arguments, key),
            f"{said(lease)} {server['name']} {tool} {arguments.get('n')}",
            lost=cut_off,
        )

    def close(self, lease) -> None:
        if not self.process.dead:
            self.servers.close(lease)


class GatedFiles:
    """The files of sessions: nobody uploads any; what a sandbox holds is handed over, or tried again."""

    def __init__(self, process, handed) -> None:
        self.process = process
        self.handed = handed

    async def attached(self, session_id):
        return ()

    async def uploads(self, session_id):
        return ()

    async def contents(self, session_id, file_ids):
        return {}

    async def hand_over(self, session_id):
        async def effect():
            outputs = await self.process.world.sandbox.outputs(session_id)
            self.handed[session_id] = {output.path for output in outputs}

        try:
            await self.process.call("files.hand_over", effect, store_fault, session_id[-4:])
        except StoreFault:  # the product says so in its log and goes on
            self.handed[session_id] = None


class GatedRepositories:
    """The repositories of sessions."""

    def __init__(self, process, checkouts) -> None:
        self.process = process
        self.checkouts = checkouts

    async def of(self, session_id):
        return await self.process.call(
            "repositories.of", lambda: self.checkouts.of(session_id), store_fault, session_id[-4:]
        )

    async def check_out(self, session_id, repository_id, limits):
        return await self.process.call(
            "repositories.check_out",
            lambda: self.checkouts.check_out(session_id, repository_id, limits),
            broken_host,
            f"{session_id[-4:]} {repository_id}",
        )


class GatedClock:
    """Time as a process sees it: it sleeps on while it is frozen."""

    def __init__(self, process, clock) -> None:
        self.process = process
        self.clock = clock

    def now(self) -> float:
        return self.clock.now()

    def monotonic(self) -> float:
        return self.clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        self.process.must_live()
        await asyncio.sleep(max(seconds, 0))
        await self.process.present()


def said(lease) -> str:
    return f"{lease.session_id[-4:]}#{lease.fence}"


def short(kind: str) -> str:
    """An event type as it fits into a line of the trace."""
    return kind.removeprefix("session.").removeprefix("agent.").removeprefix("span.")
