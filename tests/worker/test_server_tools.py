"""How a call to an MCP server goes, whatever became of the server or of who called before."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from agentstead.errors import LeaseLost, McpFault
from agentstead.harness.evolve import evolve
from agentstead.harness.state import State
from agentstead.harness.steps import Call, ServerCall
from agentstead.log.log import Lease
from agentstead.testing.fake_servers import FakeServers, Reaction
from agentstead.testing.script import in_turn, say
from agentstead.worker.load import load
from agentstead.worker.server_tools import find, run_server_tool
from agentstead.worker.world import NO_SERVERS
from tests.simulation.scenarios import MAIN, SERVERS, agent, server_tools
from tests.worker.support import PRIMARY, Place

DOCS = SERVERS[0]


class Scene:
    """A claimed session whose agent has servers."""

    def __init__(self, reactions: list[Reaction], listing: Any = server_tools) -> None:
        self.place = Place(in_turn((say("Hello."),)))
        self.place.config = agent(MAIN, servers=True)
        self.reactions = reactions
        self.servers = FakeServers(
            self.place.clock, listing, lambda _: self.reactions.pop(0), call_seconds=0.2
        )
        self.world = replace(self.place.world, servers=self.servers)

    async def begin(self) -> tuple[Lease, State]:
        await self.place.session("begin")
        (lease,) = await self.place.log.claim("w1", 1)
        return lease, await load(self.world, lease)


def call(tool: str = "put", *, repeatable: bool = False, url: str = DOCS["url"]) -> Call:
    return Call(
        "sevt_1", PRIMARY, "mcp", tool, {"n": 1}, "toolu_1",
        server=ServerCall("docs", url, "mcp__docs__put", repeatable),
    )  # fmt: skip


async def result(scene: Scene, lease: Lease, state: State, wanted: Call) -> Mapping[str, Any]:
    (draft,) = await run_server_tool(scene.world, lease, state, wanted)
    assert draft.type == "agent.mcp_tool_result"
    assert draft.fields["mcp_tool_use_id"] == wanted.id
    return draft.fields


def text(fields: Mapping[str, Any]) -> str:
    return str(fields["content"][0]["text"])


async def test_an_answer_becomes_the_result() -> None:
    scene = Scene([Reaction()])
    fields = await result(scene, *await scene.begin(), call())
    assert (text(fields), fields["is_error"]) == ("ok", False)


async def test_a_call_that_may_have_gone_out_is_not_made_again() -> None:
    scene = Scene([Reaction(), Reaction()])
    lease, state = await scene.begin()
    assert await scene.place.log.start_call(lease, "sevt_1")
    fields = await result(scene, lease, state, call())
    assert fields["is_error"]
    assert text(fields).startswith("Outcome unknown")
    assert not scene.servers.executed
    fields = await result(scene, lease, state, call("look", repeatable=True))
    assert (text(fields), fields["is_error"]) == ("ok", False)


async def test_nothing_goes_out_without_the_lease() -> None:
    scene = Scene([Reaction()])
    lease, state = await scene.begin()
    with pytest.raises(LeaseLost):
        await result(scene, replace(lease, fence=lease.fence - 1), state, call())
    assert not scene.servers.executed


@pytest.mark.parametrize("kind", ["cut", "timeout"])
async def test_no_answer_is_an_unknown_outcome(kind: str) -> None:
    scene = Scene([Reaction(fault=McpFault("It broke.", kind=kind))])
    fields = await result(scene, *await scene.begin(), call())
    assert text(fields).startswith("Outcome unknown")
    assert "It broke." in text(fields)
    assert sum(scene.servers.executed.values()) == 1


async def test_a_slow_answer_is_not_waited_for() -> None:
    scene = Scene([Reaction(seconds=60)])
    fields = await result(scene, *await scene.begin(), call())
    assert "did not answer within 0.2 s" in text(fields)


async def test_what_may_be_repeated_is_repeated_once_when_the_connection_breaks() -> None:
    cut = Reaction(fault=McpFault("It broke.", kind="cut"))
    scene = Scene([cut, Reaction(), cut, cut])
    lease, state = await scene.begin()
    assert text(await result(scene, lease, state, call("look", repeatable=True))) == "ok"
    again = await result(scene, lease, state, call("look", repeatable=True))
    assert text(again).startswith("Outcome unknown")
    assert scene.reactions == []


async def test_a_servers_error_is_its_own() -> None:
    scene = Scene([Reaction(fault=McpFault("Bad input.", kind="refused"))])
    fields = await result(scene, *await scene.begin(), call())
    assert text(fields) == "The MCP server docs answered with an error: Bad input."


def down(_: Any) -> Any:
    raise McpFault("It is down.", kind="unreachable")


async def test_a_server_that_is_down_was_not_called_unless_somebody_called_before() -> None:
    scene = Scene([], down)
    lease, state = await scene.begin()
    fields = await result(scene, lease, state, call())
    assert text(fields) == "The tool was not called. It is down."
    fields = await result(scene, lease, state, call())
    assert text(fields).startswith("Outcome unknown")


async def test_another_server_of_the_same_name_is_not_called() -> None:
    scene = Scene([Reaction()])
    fields = await result(scene, *await scene.begin(), call(url="https://old.example.com/"))
    assert "not a server of this session any more" in text(fields)
    assert not scene.servers.executed


async def test_a_server_is_told_and_tried_once_per_running_period() -> None:
    tried = []

    def listing(server: Any) -> Any:
        tried.append(server["name"])
        raise McpFault("No.", kind="auth" if server["name"] == "more" else "unreachable")

    scene = Scene([], listing)
    lease, state = await scene.begin()
    found = await find(scene.world, lease, state, state.primary)
    assert found.offer.definitions == ()
    errors = [draft.fields["error"] for draft in found.troubles]
    assert [(error["type"], error["mcp_server_name"]) for error in errors] == [
        ("mcp_connection_failed_error", "docs"),
        ("mcp_authentication_failed_error", "more"),
    ]
    told = frozenset(draft.private["told"] for draft in found.troubles if draft.private)
    again = await find(scene.world, lease, evolve(state, told=told), state.primary)
    assert again.troubles == ()
    assert tried == ["docs", "more"]


async def test_a_worker_without_servers_says_so() -> None:
    scene = Scene([])
    lease, state = await scene.begin()
    world = replace(scene.world, servers=NO_SERVERS)
    found = await find(world, lease, state, state.primary)
    assert len(found.troubles) == 2
    (draft,) = await run_server_tool(world, lease, state, call())
    assert "connects to no MCP servers" in text(draft.fields)


async def test_an_agent_without_enabled_tools_connects_to_nobody() -> None:
    scene = Scene([], down)
    scene.place.config = {
        **scene.place.config,
        "tools": [
            {**tool, "default_config": {"enabled": False}, "configs": []}
            for tool in scene.place.config["tools"]
            if tool["type"] == "mcp_toolset"
        ],
    }
    lease, state = await scene.begin()
    assert (await find(scene.world, lease, state, state.primary)).troubles == ()
