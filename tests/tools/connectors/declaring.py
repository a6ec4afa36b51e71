"""Connectors of tests, opened without a server."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from agentstead.clock import SystemClock
from agentstead.sandbox.sandbox import Outcome
from agentstead.tools.connectors.connector import Declared, Means, Rate
from agentstead.tools.connectors.kinds import KINDS
from agentstead.tools.connectors.opened import Connectors
from agentstead.tools.connectors.targets import Targets
from agentstead.wire.shape import validate


class NoLimits:
    """Every call may go at once."""

    async def take(self, workspace_id: str, key: str, rate: Rate) -> None:
        """No waiting."""


LOOPBACK = Targets.listed(["127.0.0.0/8", "::1"])


class Place:
    """Connectors, and one way to call them."""

    def __init__(self, connectors: Connectors) -> None:
        self.connectors = connectors

    def declared(self, name: str, config: dict[str, Any], **more: Any) -> Declared:
        """A connector as it is stored; permissions are given by name."""
        kind = KINDS[config["type"]]
        given = validate(kind.config, config).as_sent()
        shown, secrets = kind.divided(given, self.connectors.means)
        permissions = {one.value: bool(more.pop(one.value, False)) for one in kind.effects}
        values = {"timeout_seconds": 5.0, "retries_max": 0, **more}
        return Declared(
            id=f"conn_{name}", workspace_id="wrkspc_1", name=name, version=1, config=shown,
            secrets=secrets, permissions=permissions, **values,
        )  # fmt: skip

    async def call(self, declared: Declared, tool: str, **arguments: Any) -> Outcome:
        """The outcome of a call by the tool's own name."""
        return await self.connectors.call(declared, f"{declared.name}_{tool}", arguments, "sevt_1")


@asynccontextmanager
async def place(
    targets: Targets = LOOPBACK, defaults: Mapping[str, str] | None = None
) -> AsyncIterator[Place]:
    """Connectors that may go to the loopback."""
    connectors = Connectors(Means(SystemClock(), targets, defaults or {}), NoLimits())
    try:
        yield Place(connectors)
    finally:
        await connectors.close()


def said(outcome: Outcome) -> str:
    """The words of an outcome."""
    return "".join(block["text"] for block in outcome.content)
