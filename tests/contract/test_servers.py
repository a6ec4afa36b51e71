"""What every kind of MCP port promises workers: the real one on a real server, and the double."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agentstead.clock import SystemClock
from agentstead.errors import McpFault
from agentstead.harness.servers import ServerTool
from agentstead.log.log import Lease
from agentstead.sandbox.sandbox import Outcome
from agentstead.settings import Settings
from agentstead.telemetry.metrics import Metrics
from agentstead.testing.fake_servers import FakeServers, Reaction, ServerCall
from agentstead.tools.mcp.servers import McpServers
from tests.support.mcp_servers import mcp_serving

LEASE = Lease("sesn_1", "wrkspc_1", 1, "worker_1")
CALL_SECONDS = 0.5


class Scene:
    """A port, a server that is there and one that is not."""

    def __init__(self, port: Any, up: dict[str, str], calls: Any) -> None:
        self.port = port
        self.up = up
        self.down = {"name": "down", "url": "http://127.0.0.1:1/mcp"}
        self.calls = calls


def listing(server: Any) -> list[ServerTool]:
    if server["name"] == "down":
        raise McpFault("It is down.", kind="unreachable")
    names = {"add": False, "look": True, "slow": False, "fail": False}
    return [
        ServerTool(server["name"], name, "d", {"type": "object"}, repeatable, server["url"])
        for name, repeatable in names.items()
    ]


def react(call: ServerCall) -> Reaction:
    match call.tool:
        case "add":
            return Reaction(Outcome.text(str(call.arguments["a"] + call.arguments["b"])))
        case "fail":
            return Reaction(Outcome.text("no", is_error=True))
        case "slow":
            return Reaction(seconds=60)
    return Reaction()


@pytest.fixture(params=["real", "double"])
async def scene(request: pytest.FixtureRequest) -> AsyncIterator[Scene]:
    clock = SystemClock()
    if request.param == "double":
        double = FakeServers(clock, listing, react, call_seconds=CALL_SECONDS)
        yield Scene(
            double,
            {"name": "docs", "url": "https://docs.example.com/"},
            lambda tool: sum(n for key, n in double.executed.items() if key[1] == tool),
        )
        return
    settings = Settings(outgoing_private_networks=["127.0.0.0/8"], mcp_call_seconds=CALL_SECONDS)
    async with mcp_serving() as mcp:
        real = McpServers(settings, clock, Metrics())
        yield Scene(real, {"name": "docs", "url": mcp.url}, lambda tool: mcp.calls[tool])
        await real.aclose()


async def test_tools_are_listed_with_what_is_needed_to_call_them(scene: Scene) -> None:
    tools = {tool.name: tool for tool in await scene.port.tools(LEASE, scene.up)}
    assert tools["look"].repeatable
    assert not tools["add"].repeatable
    assert (tools["add"].server, tools["add"].url) == ("docs", scene.up["url"])
    assert tools["add"].input_schema["type"] == "object"


async def test_a_call_is_made_once_and_answered(scene: Scene) -> None:
    await scene.port.connect(LEASE, scene.up)
    outcome = await scene.port.call(LEASE, scene.up, "add", {"a": 1, "b": 2}, "call_1")
    assert (outcome.content, outcome.is_error) == (({"type": "text", "text": "3"},), False)
    assert (await scene.port.call(LEASE, scene.up, "fail", {}, "call_1")).is_error
    assert (scene.calls("add"), scene.calls("fail")) == (1, 1)


async def test_who_is_not_there_is_unreachable(scene: Scene) -> None:
    for work in (
        scene.port.tools(LEASE, scene.down),
        scene.port.connect(LEASE, scene.down),
        scene.port.call(LEASE, scene.down, "add", {}, "call_1"),
    ):
        with pytest.raises(McpFault) as found:
            await work
        assert found.value.kind == "unreachable"


async def test_no_answer_in_time_is_a_fault_of_its_own(scene: Scene) -> None:
    with pytest.raises(McpFault) as found:
        await scene.port.call(LEASE, scene.up, "slow", {}, "call_1")
    assert found.value.kind == "timeout"
    assert scene.calls("slow") == 1


async def test_a_call_can_be_cancelled_and_others_go_on(scene: Scene) -> None:
    await scene.port.connect(LEASE, scene.up)
    slow = asyncio.ensure_future(scene.port.call(LEASE, scene.up, "slow", {}, "call_1"))
    await asyncio.sleep(0.05)
    slow.cancel()
    outcome = await scene.port.call(LEASE, scene.up, "add", {"a": 1, "b": 2}, "call_1")
    assert outcome.content[0]["text"] == "3"
    with pytest.raises(asyncio.CancelledError):
        await slow


async def test_a_closed_lease_is_no_obstacle(scene: Scene) -> None:
    await scene.port.connect(LEASE, scene.up)
    scene.port.close(LEASE)
    scene.port.close(LEASE)
    assert await scene.port.tools(Lease("sesn_1", "wrkspc_1", 2, "worker_2"), scene.up)
