"""The MCP servers of sessions: one connection per lease and server, opened when first needed.

Promises: a connection ends with its lease; what is opened here is closed at the latest by `aclose`;
a call goes out at most once, but for a server that refused to look at it: its session had ended, or
it wanted a newer credential. The protocol's library is imported with the first connection, in a thread.
"""

import asyncio
import importlib
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from agentstead import addresses
from agentstead.clock import Clock
from agentstead.errors import McpFault
from agentstead.harness.servers import ServerTool
from agentstead.log.log import Lease
from agentstead.sandbox.sandbox import Outcome
from agentstead.settings import Settings
from agentstead.telemetry.metrics import Metrics
from agentstead.tools.mcp import content

if TYPE_CHECKING:
    from agentstead.tools.mcp.connection import Connection

Server = Mapping[str, Any]
LIBRARY = "agentstead.tools.mcp.connection"


class Credentials(Protocol):
    """Whoever knows what a session shows to a server."""

    async def headers(
        self, lease: Lease, url: str, refused: Mapping[str, str] | None = None
    ) -> Mapping[str, str]:
        """Headers for this server, e.g. `authorization`; empty: none is known for it.

        `refused`: those that the server has just refused; newer ones are wanted, where there can be.
        """
        ...


class NoCredentials:
    """Every server is asked without any."""

    async def headers(
        self,
        lease: Lease,  # noqa: ARG002
        url: str,  # noqa: ARG002
        refused: Mapping[str, str] | None = None,  # noqa: ARG002
    ) -> Mapping[str, str]:
        """None."""
        return {}


class McpServers:
    """Connections of this process (`worker.world.Servers`)."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        metrics: Metrics,
        credentials: Credentials | None = None,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.metrics = metrics
        self.credentials = credentials or NoCredentials()
        self.allowed = addresses.networks(settings.outgoing_private_networks)
        self.opening: dict[tuple[str, int], dict[tuple[str, str], asyncio.Task[Connection]]] = {}
        """Lease → server → its connection, standing or in the making."""
        self.closing: set[asyncio.Task[None]] = set()

    async def tools(self, lease: Lease, server: Server) -> Sequence[ServerTool]:
        """Everything the server offers."""
        return await (await self.connected(lease, server)).tools()

    async def connect(self, lease: Lease, server: Server) -> None:
        """Make sure that there is a connection."""
        await self.connected(lease, server)

    async def call(
        self,
        lease: Lease,
        server: Server,
        tool: str,
        arguments: Mapping[str, Any],
        key: str,  # noqa: ARG002 - the protocol has none
    ) -> Outcome:
        """Call a tool; its result as content blocks."""
        began = self.clock.monotonic()
        with self.counted(self.metrics.mcp_called):
            try:
                result = await (await self.connected(lease, server)).call(tool, arguments)
            except McpFault as fault:
                if fault.kind not in ("expired", "auth"):
                    raise
                self.drop(lease, server)
                result = await (await self.connected(lease, server)).call(tool, arguments)
        self.metrics.mcp_seconds.observe(self.clock.monotonic() - began)
        return content.outcome(result, self.settings.mcp_output_characters)

    @contextmanager
    def counted(self, count: Callable[[str], None]) -> Iterator[None]:
        """Count how it ends."""
        try:
            yield
        except McpFault as fault:
            count(fault.kind)
            raise
        count("ok")

    async def connected(self, lease: Lease, server: Server) -> "Connection":
        """The connection of a lease to a server."""
        of_lease = self.opening.setdefault((lease.session_id, lease.fence), {})
        key = (server["name"], server["url"])
        task = of_lease.get(key)
        if task is None or is_over(task):
            if task is not None:
                self.drop(lease, server)
            task = of_lease[key] = asyncio.ensure_future(self.opened(lease, server))
        # Who waits may be cancelled; the connection is for others too.
        return await asyncio.shield(task)

    async def opened(self, lease: Lease, server: Server) -> "Connection":
        """A new connection; with renewed credentials where those it had are refused."""
        await asyncio.to_thread(importlib.import_module, LIBRARY)
        headers = await self.credentials.headers(lease, server["url"])
        with self.counted(self.metrics.mcp_connected):
            try:
                return await self.attempt(server, headers)
            except McpFault as fault:
                if fault.kind != "auth" or not headers:
                    raise
                renewed = await self.credentials.headers(lease, server["url"], headers)
                if not renewed or renewed == headers:
                    raise
                return await self.attempt(server, renewed)

    async def attempt(self, server: Server, headers: Mapping[str, str]) -> "Connection":
        """Connect once."""
        from agentstead.tools.mcp.connection import Connection, Target

        connection = Connection(
            Target(
                name=server["name"],
                url=server["url"],
                headers=headers,
                allowed=self.allowed,
                connect_seconds=self.settings.mcp_connect_seconds,
                call_seconds=self.settings.mcp_call_seconds,
            )
        )
        try:
            await connection.open()
        except (McpFault, asyncio.CancelledError):
            self.later(connection.close())
            raise
        return connection

    def drop(self, lease: Lease, server: Server) -> None:
        """Give up one connection."""
        of_lease = self.opening.get((lease.session_id, lease.fence), {})
        task = of_lease.pop((server["name"], server["url"]), None)
        if task is not None:
            self.later(ended(task))

    def close(self, lease: Lease) -> None:
        """Give up the connections of a lease; they end behind the caller's back."""
        for task in self.opening.pop((lease.session_id, lease.fence), {}).values():
            self.later(ended(task))

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Something that nobody waits for, until `aclose`."""
        task = asyncio.ensure_future(work)
        self.closing.add(task)
        task.add_done_callback(self.closing.discard)

    async def aclose(self) -> None:
        """Close everything."""
        for session_id, fence in tuple(self.opening):
            self.close(Lease(session_id, "", fence, ""))
        while self.closing:  # ending one may leave another to end
            await asyncio.gather(*self.closing, return_exceptions=True)


def is_over(task: "asyncio.Task[Connection]") -> bool:
    """Whether a connection was not made, or is of no use any more."""
    if not task.done():
        return False
    return task.cancelled() or task.exception() is not None or not task.result().usable


async def ended(task: "asyncio.Task[Connection]") -> None:
    """End a connection, also one that is only being made."""
    task.cancel()
    done = await asyncio.gather(task, return_exceptions=True)
    if not isinstance(done[0], BaseException):
        await done[0].close()
