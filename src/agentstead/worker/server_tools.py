"""Tools of MCP servers: which there are for a model request, and how one is called.

A server that cannot be reached does not stop the session: it is told once per running period, and the
model goes on without its tools. A call is made at most once, unless the server marks its tool as
harmless to repeat: its start is noted durably before it goes out, so a worker that finds a start
without a result knows that it must not call again.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentstead.errors import McpFault
from agentstead.harness import servers
from agentstead.harness.servers import NO_OFFER, Offer, ServerTool
from agentstead.harness.state import State
from agentstead.harness.steps import Call
from agentstead.harness.thread import Thread
from agentstead.log.log import Lease
from agentstead.prompt import context
from agentstead.sandbox.sandbox import Outcome
from agentstead.wire.events.stored import Draft
from agentstead.worker.load import tool_texts
from agentstead.worker.world import World

Server = Mapping[str, Any]

ERRORS = {"auth": "mcp_authentication_failed_error"}
"""Fault kind → `session.error.error.type`; everything else is `mcp_connection_failed_error`."""
NAMED_MAX = 5
"""Tools that a message names."""
LOST = (
    "Outcome unknown: the call was sent to the MCP server {server}, and the worker that waited for "
    "the answer was lost. It has not been called again. Look at what it may have changed before you "
    "repeat it."
)
NOT_HEARD = (
    "Outcome unknown: the call was sent to the MCP server {server}, and no answer came. {message} It "
    "has not been called again. Look at what it may have changed before you repeat it."
)


@dataclass(frozen=True, slots=True)
class Found:
    """What there is to offer, and what there is to tell about it."""

    offer: Offer = NO_OFFER
    troubles: tuple[Draft, ...] = ()


async def find(world: World, lease: Lease, state: State, thread: Thread) -> Found:
    """The tools of the servers of a thread's agent; connects to them where needed."""
    tools = thread.agent["tools"]
    wanted = [
        server
        for server in thread.agent.get("mcp_servers") or ()
        if wants(tools, server["name"]) and trouble_key(server) not in state.told
    ]
    if not wanted:
        return Found()
    answers = await asyncio.gather(*(ask(world, lease, server) for server in wanted))
    listed: list[ServerTool] = []
    troubles: list[Draft] = []
    for server, answer in zip(wanted, answers, strict=True):
        if isinstance(answer, McpFault):
            troubles.append(unreachable(thread, server, answer))
        else:
            listed += answer
    others = [one["name"] for one in context.offered_tools(tools, tool_texts(world))]
    offer = servers.offer(tools, listed, others)
    key = f"tools {thread.id}"
    if offer.left_out and key not in state.told:
        troubles.append(too_many(thread, offer, key))
    return Found(offer, tuple(troubles))


async def ask(world: World, lease: Lease, server: Server) -> Sequence[ServerTool] | McpFault:
    """What a server lists, or why it does not."""
    try:
        return await world.servers.tools(lease, server)
    except McpFault as fault:
        return fault


def wants(tools: Sequence[Mapping[str, Any]], server: str) -> bool:
    """Whether the agent has enabled anything of this server."""
    for tool in tools:
        if tool["type"] == servers.TOOLSET and tool["mcp_server_name"] == server:
            return any(one["enabled"] for one in (tool["default_config"], *tool["configs"]))
    return False


def trouble_key(server: Server) -> str:
    """Under which a server's trouble is remembered until the session is idle."""
    return f"mcp {server['name']} {server['url']}"


def unreachable(thread: Thread, server: Server, fault: McpFault) -> Draft:
    """`session.error` for a server without a connection; tried again in the next running period."""
    error = {
        "type": ERRORS.get(fault.kind, "mcp_connection_failed_error"),
        "mcp_server_name": server["name"],
        "message": f"{fault.message} The agent goes on without its tools until its next turn.",
        "retry_status": {"type": "retrying"},
    }
    private = {"told": trouble_key(server)}
    return Draft("session.error", thread.id, {"error": error}, private)


def too_many(thread: Thread, offer: Offer, key: str) -> Draft:
    """`session.error` for tools that do not fit into a request."""
    named = ", ".join(offer.left_out[:NAMED_MAX])
    more = len(offer.left_out) - NAMED_MAX
    error = {
        "type": "unknown_error",
        "message": (
            f"A model takes at most {servers.TOOLS_MAX} tools. Left out: {named}"
            f"{f' and {more} more' if more > 0 else ''}. Disable tools in the configs of the "
            "agent's mcp_toolset to choose which ones it gets."
        ),
        "retry_status": {"type": "retrying"},
    }
    return Draft("session.error", thread.id, {"error": error}, {"told": key})


async def run_server_tool(world: World, lease: Lease, state: State, call: Call) -> list[Draft]:
    """Run one call; its result. Raises LeaseLost and StoreFault, before anything has gone out."""
    outcome = await outcome_of(world, lease, state, call)
    fields = {
        "mcp_tool_use_id": call.id,
        "content": [dict(block) for block in outcome.content],
        "is_error": outcome.is_error,
    }
    primary = call.thread_id == state.primary_id
    return [Draft("agent.mcp_tool_result", call.thread_id, fields, primary=primary)]


async def outcome_of(world: World, lease: Lease, state: State, call: Call) -> Outcome:
    """Call the server, or say why not."""
    target = call.server
    assert target is not None
    fault: McpFault | None = None
    server = declared(state, call)
    if server is not None:
        try:
            await world.servers.connect(lease, server)
        except McpFault as found:
            fault = found
    # Noted even when nothing can be called: an earlier worker may have called already.
    if not target.repeatable and not await world.log.start_call(lease, call.id):
        return Outcome.text(LOST.format(server=target.name), is_error=True)
    if server is None:
        gone = f"The MCP server {target.name} is not a server of this session any more; nothing was called."
        return Outcome.text(gone, is_error=True)
    if fault is None:
        try:
            return await called(world, lease, server, call)
        except McpFault as found:
            fault = found
    return Outcome.text(explanation(target.name, fault), is_error=True)


async def called(world: World, lease: Lease, server: Server, call: Call) -> Outcome:
    """The server's answer; what may be repeated is, once, when the connection breaks."""
    try:
        return await world.servers.call(lease, server, call.name, call.input, call.id)
    except McpFault as fault:
        if fault.kind != "cut" or call.server is None or not call.server.repeatable:
            raise
        return await world.servers.call(lease, server, call.name, call.input, call.id)


def declared(state: State, call: Call) -> Server | None:
    """The call's server, unless the session has been given others since the model called."""
    target = call.server
    assert target is not None
    for server in state.threads[call.thread_id].agent.get("mcp_servers") or ():
        if (server["name"], server["url"]) == (target.name, target.url):
            found: Server = server
            return found
    return None


def explanation(server: str, fault: McpFault) -> str:
    """What the model is told of a call without a result."""
    if fault.kind in ("unreachable", "auth"):
        return f"The tool was not called. {fault.message}"
    if fault.kind in ("cut", "timeout"):
        return NOT_HEARD.format(server=server, message=fault.message)
    return f"The MCP server {server} answered with an error: {fault.message}"
