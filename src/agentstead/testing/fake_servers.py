"""MCP servers without a network: they list and do what a test tells them, and count what they did.

Keeps the contract of `worker.world.Servers`: a connection per lease, `McpFault` by kind, a call goes
out at most once each time it is asked for. One object is all servers of a test; they outlive the
workers that call them, and what has been begun there goes on when its caller dies.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentstead.clock import Clock
from agentstead.errors import McpFault
from agentstead.harness.servers import ServerTool
from agentstead.log.log import Lease
from agentstead.sandbox.sandbox import Outcome


@dataclass(frozen=True, slots=True)
class ServerCall:
    """What a behaviour may look at."""

    server: str
    tool: str
    arguments: Mapping[str, Any]

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells one call from another: its server, its tool, its input."""
        return self.server, self.tool, json.dumps(self.arguments, sort_keys=True)


@dataclass(frozen=True, slots=True)
class Reaction:
    """How one call goes."""

    outcome: Outcome = field(default_factory=lambda: Outcome.text("ok"))
    seconds: float = 0.0
    fault: McpFault | None = None
    """Raised in the place of an answer, after it was done."""


React = Callable[[ServerCall], Reaction]
Listing = Callable[[Mapping[str, Any]], Sequence[ServerTool]]
"""A declared server → its tools; raises McpFault where it cannot be reached."""


def echo(call: ServerCall) -> Reaction:
    """Answer at once, telling the call."""
    return Reaction(Outcome.text(f"{call.tool} {dict(call.arguments)}"))


class FakeServers:
    """All servers of a test."""

    def __init__(
        self, clock: Clock, listing: Listing, react: React = echo, call_seconds: float = 10.0
    ) -> None:
        self.clock = clock
        self.listing = listing
        self.react = react
        self.call_seconds = call_seconds
        self.executed: Counter[tuple[str, str, str]] = Counter()
        """Call → how often it was begun."""
        self.open: dict[tuple[str, int, str, str], tuple[ServerTool, ...]] = {}
        """Lease and server → what it listed to this connection."""

    async def tools(self, lease: Lease, server: Mapping[str, Any]) -> Sequence[ServerTool]:
        """What the server listed when the lease connected."""
        await self.connect(lease, server)
        return self.open[place(lease, server)]

    async def connect(self, lease: Lease, server: Mapping[str, Any]) -> None:
        """Connect where there is no connection yet."""
        if place(lease, server) not in self.open:
            self.open[place(lease, server)] = tuple(self.listing(server))

    async def call(
        self,
        lease: Lease,
        server: Mapping[str, Any],
        tool: str,
        arguments: Mapping[str, Any],
        key: str,  # noqa: ARG002 - the protocol has none
    ) -> Outcome:
        """Do it, and answer in time or not at all."""
        await self.connect(lease, server)
        call = ServerCall(server["name"], tool, dict(arguments))
        self.executed[call.key] += 1
        reaction = self.react(call)
        await self.clock.sleep(min(reaction.seconds, self.call_seconds))
        if reaction.seconds > self.call_seconds:
            raise McpFault(f"It did not answer within {self.call_seconds:g} s.", kind="timeout")
        if reaction.fault is not None:
            raise reaction.fault
        return reaction.outcome

    def close(self, lease: Lease) -> None:
        """Forget the connections of a lease."""
        for key in [key for key in self.open if key[:2] == (lease.session_id, lease.fence)]:
            del self.open[key]


def place(lease: Lease, server: Mapping[str, Any]) -> tuple[str, int, str, str]:
    """The key of a connection."""
    return lease.session_id, lease.fence, server["name"], server["url"]
