"""Connections to real servers: how they are made, what breaks them, and what is said of it."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from agentstead.clock import SystemClock
from agentstead.errors import McpFault
from agentstead.log.log import Lease
from agentstead.settings import Settings
from agentstead.telemetry.metrics import Metrics
from agentstead.tools.mcp.servers import Credentials, McpServers
from tests.support.mcp_servers import Mcp, mcp_serving

LEASE = Lease("sesn_1", "wrkspc_1", 1, "worker_1")


class Place:
    """The port, and what it counts."""

    def __init__(self, credentials: Credentials | None = None, **settings: Any) -> None:
        self.metrics = Metrics()
        given = {"outgoing_private_networks": ["127.0.0.0/8"], "mcp_call_seconds": 2.0, **settings}
        self.servers = McpServers(Settings(**given), SystemClock(), self.metrics, credentials)

    def counted(self, name: str, outcome: str) -> float:
        sample = self.metrics.registry.get_sample_value(name, {"outcome": outcome})
        return sample or 0.0

    async def fault(self, work: Any) -> McpFault:
        with pytest.raises(McpFault) as found:
            await work
        return found.value


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    made = Place()
    yield made
    await made.servers.aclose()


def at(mcp: Mcp, name: str = "docs") -> dict[str, str]:
    return {"name": name, "url": mcp.url}


@pytest.mark.parametrize("options", [{}, {"old": True}, {"sse": True}, {"stateless": True}])
async def test_every_transport(place: Place, options: Mapping[str, Any]) -> None:
    async with mcp_serving(**options) as mcp:
        tools = {tool.name: tool for tool in await place.servers.tools(LEASE, at(mcp))}
        assert tools["look"].repeatable
        assert tools["put"].repeatable
        assert not tools["add"].repeatable
        assert tools["add"].url == mcp.url
        asked = mcp.requests["POST"]
        assert len(await place.servers.tools(LEASE, at(mcp))) == len(tools)
        assert mcp.requests["POST"] == asked  # asked once
        outcome = await place.servers.call(LEASE, at(mcp), "add", {"a": 1, "b": 2}, "call_1")
        assert outcome.content[0]["text"] == "3"
        assert mcp.calls == {"add": 1}
        place.servers.close(LEASE)
        await place.servers.aclose()
    assert place.counted("agentstead_mcp_connections_total", "ok") == 1
    assert place.counted("agentstead_mcp_calls_total", "ok") == 1


async def test_leases_have_connections_of_their_own_and_take_leave(place: Place) -> None:
    other = Lease(LEASE.session_id, LEASE.workspace_id, 2, "worker_2")
    async with mcp_serving(old=True) as mcp:
        await asyncio.gather(*(place.servers.connect(LEASE, at(mcp)) for _ in range(5)))
        await place.servers.connect(other, at(mcp))
        assert place.counted("agentstead_mcp_connections_total", "ok") == 2
        place.servers.close(LEASE)
        await asyncio.gather(*place.servers.closing)
        assert mcp.requests["DELETE"] == 1
        await place.servers.call(other, at(mcp), "add", {"a": 1, "b": 2}, "call_1")
        place.servers.close(other)
        assert place.servers.opening == {}
        await place.servers.aclose()
        assert mcp.requests["DELETE"] == 2


@pytest.mark.parametrize("options", [{"old": True}, {"sse": True}])
async def test_a_list_that_changes_is_asked_for_again(place: Place, options: Any) -> None:
    async with mcp_serving(**options) as mcp:
        before = await place.servers.tools(LEASE, at(mcp))
        await place.servers.call(LEASE, at(mcp), "grow", {}, "call_1")
        async with asyncio.timeout(10):
            while len(await place.servers.tools(LEASE, at(mcp))) == len(before):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert (await place.servers.call(LEASE, at(mcp), "grown", {}, "call_1")).content[0][
            "text"
        ] == "grown"
        await place.servers.aclose()


async def test_who_is_not_there_is_unreachable(place: Place) -> None:
    async with mcp_serving() as mcp:
        gone = at(mcp)
    for server in (gone, {"name": "docs", "url": "http://nowhere.invalid/mcp"}):
        fault = await place.fault(place.servers.connect(LEASE, server))
        assert fault.kind == "unreachable"
        assert fault.message.startswith('The MCP server "docs" cannot be reached: ')
    assert place.counted("agentstead_mcp_connections_total", "unreachable") == 2


async def test_what_is_no_mcp_server_is_unreachable(place: Place) -> None:
    async with mcp_serving() as mcp:
        wrong = {"name": "docs", "url": mcp.url.replace("/mcp", "/elsewhere")}
        fault = await place.fault(place.servers.tools(LEASE, wrong))
        assert (fault.kind, "404" in fault.message) == ("unreachable", True)
        mcp.status = 500
        fault = await place.fault(place.servers.tools(LEASE, at(mcp)))
        assert (fault.kind, "500" in fault.message) == ("unreachable", True)


async def test_a_server_that_hangs_is_given_up() -> None:
    place = Place(mcp_connect_seconds=0.3)
    listener = socket.create_server(("127.0.0.1", 0))  # connections wait in it for ever
    port = listener.getsockname()[1]
    server = {"name": "docs", "url": f"http://127.0.0.1:{port}/mcp"}
    fault = await place.fault(place.servers.connect(LEASE, server))
    assert fault.kind == "unreachable"
    assert "within 0.3 s" in fault.message
    await place.servers.aclose()
    listener.close()


class Tokens:
    """A token, and a newer one for who was refused."""

    def __init__(self, *tokens: str) -> None:
        self.tokens = list(tokens)
        self.refused: list[Any] = []

    async def headers(
        self, lease: Lease, url: str, refused: Mapping[str, str] | None = None
    ) -> Mapping[str, str]:
        if refused is not None:
            self.refused.append(refused)
            del self.tokens[0]
        return {"authorization": f"Bearer {self.tokens[0]}"}


async def test_a_refused_credential_is_renewed_also_in_the_middle() -> None:
    tokens = Tokens("stale", "good", "newer")
    place = Place(tokens)
    async with mcp_serving(token="good") as mcp:
        await place.servers.connect(LEASE, at(mcp))
        assert tokens.refused == [{"authorization": "Bearer stale"}]
        mcp.token = "newer"
        outcome = await place.servers.call(LEASE, at(mcp), "add", {"a": 1, "b": 2}, "call_1")
        assert outcome.content[0]["text"] == "3"
        assert mcp.calls == {"add": 1}
        mcp.token = "another"
        tokens.tokens.append("newer")
        fault = await place.fault(
            place.servers.call(LEASE, at(mcp), "add", {"a": 1, "b": 2}, "call_1")
        )
        assert fault.kind == "auth"
        assert "newer" not in fault.message
        await place.servers.aclose()


@pytest.mark.parametrize(
    ("status", "kind"), [(500, "cut"), (502, "cut"), (403, "auth"), (422, "refused")]
)
async def test_what_a_status_says_of_a_call(place: Place, status: int, kind: str) -> None:
    async with mcp_serving() as mcp:
        await place.servers.connect(LEASE, at(mcp))
        mcp.status = status
        fault = await place.fault(
            place.servers.call(LEASE, at(mcp), "add", {"a": 1, "b": 2}, "call_1")
        )
        assert fault.kind == kind
        await place.servers.aclose()


async def test_a_session_that_the_server_forgot_is_begun_anew(place: Place) -> None:
    async with mcp_serving(old=True) as mcp:
        await place.servers.connect(LEASE, at(mcp))
        port = int(mcp.url.split(":")[2].split("/")[0])
    async with mcp_serving(old=True, port=port) as mcp:
        outcome = await place.servers.call(LEASE, at(mcp), "add", {"a": 1, "b": 2}, "call_1")
        assert outcome.content[0]["text"] == "3"
        assert mcp.calls == {"add": 1}
        await place.servers.aclose()


@pytest.mark.parametrize("options", [{}, {"sse": True}])
async def test_a_call_whose_server_dies_has_no_known_outcome(place: Place, options: Any) -> None:
    async with mcp_serving(**options) as mcp:
        await place.servers.connect(LEASE, at(mcp))
        call = asyncio.ensure_future(place.servers.call(LEASE, at(mcp), "slow", {}, "call_1"))
        async with asyncio.timeout(10):
            while not mcp.calls["slow"]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    fault = await place.fault(call)
    assert fault.kind in ("cut", "timeout")
    # The next one finds nobody: then nothing was called.
    again = await place.fault(place.servers.call(LEASE, at(mcp), "add", {"a": 1, "b": 2}, "call_1"))
    assert again.kind in ("unreachable", "cut")


async def test_calls_at_once_do_not_wait_for_each_other(place: Place) -> None:
    async with mcp_serving() as mcp:
        await place.servers.connect(LEASE, at(mcp))
        slow = asyncio.ensure_future(place.servers.call(LEASE, at(mcp), "slow", {}, "call_1"))
        answers = await asyncio.gather(
            *(
                place.servers.call(LEASE, at(mcp), "add", {"a": n, "b": 1}, "call_1")
                for n in range(5)
            )
        )
        assert [one.content[0]["text"] for one in answers] == ["1", "2", "3", "4", "5"]
        assert not slow.done()
        mcp.release.set()
        assert (await slow).content[0]["text"] == "at last"
        await place.servers.aclose()


async def test_what_servers_say_of_errors_is_short_and_theirs(place: Place) -> None:
    async with mcp_serving() as mcp:
        outcome = await place.servers.call(LEASE, at(mcp), "nothing", {}, "call_1")
        assert outcome.is_error
        outcome = await place.servers.call(LEASE, at(mcp), "add", {"a": "x" * 5000}, "call_1")
        assert outcome.is_error
        assert json.dumps(outcome.content)
        await place.servers.aclose()


async def test_networks_that_nobody_listed_are_refused() -> None:
    place = Place(outgoing_private_networks=[])
    async with mcp_serving() as mcp:
        fault = await place.fault(place.servers.connect(LEASE, at(mcp)))
    assert fault.kind == "unreachable"
    assert "AGENTSTEAD_OUTGOING_PRIVATE_NETWORKS" in fault.message
    assert mcp.requests == {}
    await place.servers.aclose()
