"""Both kinds of servers of tools that agents name: MCP servers, and connectors of the platform's own.

An agent names a connector of its workspace by the address `connector://NAME`. Promises: which one that
is, and what it may do, is looked up for each call.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from agentstead.errors import ConnectorFault, McpFault
from agentstead.harness.servers import CONNECTOR, ServerTool
from agentstead.log.log import Lease
from agentstead.sandbox.sandbox import Outcome
from agentstead.tools.connectors.connector import ConnectorTool, Declared
from agentstead.tools.connectors.opened import Connectors
from agentstead.tools.mcp.servers import McpServers

Server = Mapping[str, Any]


class Source(Protocol):
    """Whoever knows what is declared (`resources.connectors.stored.StoredConnectors`)."""

    async def named(self, session_id: str, name: str) -> Declared | None:
        """The connector of this name in a session's workspace, unless it is archived. Raises StoreFault."""
        ...


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

    async def aclose(self) -> None:
        """Close everything."""
        await self.mcp.aclose()
        await self.connectors.close()

    async def _declared(self, lease: Lease, server: Server) -> Declared:
        name = name_of(server["url"])
        declared = await self.source.named(lease.session_id, name)
        if declared is None:
            raise McpFault(f'There is no connector "{name}" any more.', kind="unreachable")
        return declared


def is_connector(url: str) -> bool:
    """Whether an address names a connector."""
    return url.startswith(CONNECTOR)


def name_of(url: str) -> str:
    """The connector that an address names."""
    return url.removeprefix(CONNECTOR)


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
