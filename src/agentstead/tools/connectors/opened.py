"""The opened connectors of a process: each is kept until it is changed."""

import asyncio
from collections.abc import Mapping
from typing import Any

from agentstead.errors import ConnectorFault, Invalid
from agentstead.sandbox.sandbox import Outcome
from agentstead.tools.connectors.connector import (
    Connector,
    ConnectorTool,
    Declared,
    Means,
)
from agentstead.tools.connectors.guard import Guard, granted
from agentstead.tools.connectors.kinds import KINDS
from agentstead.tools.connectors.rate import Rates

Server = Mapping[str, Any]


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
