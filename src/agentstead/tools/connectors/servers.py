"""Connectors as MCP servers, called in this process; other servers are passed on.

An agent names a connector of its workspace by the address `connector://NAME`. Promises: which one that
is, and what it may do, is looked up for each call; an opened connector is kept until it is changed.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from agentstead.errors import ConnectorFault, Invalid, McpFault
from agentstead.harness.servers import ServerTool
from agentstead.log.log import Lease
from agentstead.sandbox.sandbox import Outcome
from agentstead.tools.connectors.connector import (
    SCHEME,
    Connector,
    ConnectorTool,
    Declared,
    Means,
)
from agentstead.tools.connectors.guard import Guard, granted
from agentstead.tools.connectors.kinds import KINDS
from agentstead.tools.connectors.rate import Rates
from agentstead.tools.mcp.servers import McpServers

Server = Mapping[str, Any]


class Source(Protocol):
    """Whoever knows what is declared (`resources.connectors.stored.StoredConnectors`)."""

    async def named(self, session_id: str, name: str) -> Declared | None:
        """The connector of this name in a session's workspace, unless it is archived. Raises StoreFault."""
        ...


class Connectors:
    """The opened connectors of this process."""

    def __init__(self, means: Means, rates: Rates) -> None:
        self.means = means
        self.guard = Guard(means.clock, rates)
        self.opened: dict[str, tuple[Declared, Connector]] = {}
        """By id."""

    async def open(self, declared: Declared) -> Connector:
        """The connector; a former version of it is closed. ConnectorFault."""
        former = self.opened.get(declared.id)
        if former is not None and former[0] == declared:
            return former[1]
        try:
            fresh = KINDS[declared.kind].open(declared, self.means)
        except Invalid as error:
            raise ConnectorFault(error.message, kind="invalid") from None
        self.opened[declared.id] = (declared, fresh)
        if former is not None:
            await former[1].close()
        return fresh

    async def try_open(self, declared: Declared) -> None:
        """Invalid when it makes no connector; none is kept."""
        await KINDS[declared.kind].open(declared, self.means).close()

    async def check(self, declared: Declared) -> None:
        """Reach its target without changing anything. ConnectorFault."""
        connector = await self.open(declared)
        try:
            async with asyncio.timeout(declared.timeout_seconds):
                await connector.check()
        except TimeoutError:
            raise ConnectorFault(
                f"It did not answer within {declared.timeout_seconds:g} s.", kind="timeout"
            ) from None

    async def tools(self, declared: Declared) -> list[ConnectorTool]:
        """Those that its permissions leave. ConnectorFault."""
        return granted(declared, (await self.open(declared)).tools)

    async def call(
        self,
        declared: Declared,
        tool: str,
        arguments: Mapping[str, Any],
        key: str,
        session_id: str | None = None,
    ) -> Outcome:
        """Call a tool; what goes wrong is a result too. `key`: the same for every attempt."""
        try:
            connector = await self.open(declared)
        except ConnectorFault as fault:
            return Outcome.text(fault.message, is_error=True)
        return await self.guard.call(declared, connector, tool, arguments, key, session_id)

    async def close(self) -> None:
        """Close all."""
        opened, self.opened = self.opened, {}
        for _, connector in opened.values():
            await connector.close()


class Servers:
    """Both kinds of servers that agents name (`worker.world.Servers`)."""

    def __init__(self, mcp: McpServers, connectors: Connectors, source: Source) -> None:
        self.mcp = mcp
        self.connectors = connectors
        self.source = source

    async def tools(self, lease: Lease, server: Server) -> Sequence[ServerTool]:
        """Everything the server offers."""
        if not is_connector(server["url"]):
            return await self.mcp.tools(lease, server)
        declared = await self._declared(lease, server)
        try:
            found = await self.connectors.tools(declared)
        except ConnectorFault as fault:
            raise McpFault(fault.message, kind="unreachable") from None
        return [listed(server, tool) for tool in found]

    async def connect(self, lease: Lease, server: Server) -> None:
        """Make sure that it can be called."""
        if is_connector(server["url"]):
            await self._declared(lease, server)
        else:
            await self.mcp.connect(lease, server)

    async def call(
        self, lease: Lease, server: Server, tool: str, arguments: Mapping[str, Any], key: str
    ) -> Outcome:
        """Call a tool."""
        if not is_connector(server["url"]):
            return await self.mcp.call(lease, server, tool, arguments, key)
        declared = await self._declared(lease, server)
        return await self.connectors.call(declared, tool, arguments, key, lease.session_id)

    def close(self, lease: Lease) -> None:
        """Give up the connections of a lease."""
        self.mcp.close(lease)

    async def _declared(self, lease: Lease, server: Server) -> Declared:
        name = name_of(server["url"])
        declared = await self.source.named(lease.session_id, name)
        if declared is None:
            raise McpFault(f'There is no connector "{name}" any more.', kind="unreachable")
        return declared


def is_connector(url: str) -> bool:
    """Whether an address names a connector."""
    return url.startswith(SCHEME)


def name_of(url: str) -> str:
    """The connector that an address names."""
    return url.removeprefix(SCHEME)


def listed(server: Server, tool: ConnectorTool) -> ServerTool:
    """A tool as the harness knows those of servers."""
    return ServerTool(
        server=server["name"],
        name=tool.name,
        description=tool.description,
        input_schema=tool.input_schema,
        repeatable=tool.repeatable,
        url=server["url"],
    )
