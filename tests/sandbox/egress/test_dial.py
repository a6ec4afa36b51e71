"""Connections: which answer of a name is connected to, and the proxy in front of the platform."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from agentstead.addresses import opening
from agentstead.sandbox.egress.dial import Upstream
from agentstead.sandbox.egress.policy import Policy
from tests.support.egress import OK, origin, proxied


async def test_what_cannot_be_resolved_or_connected_to_is_said() -> None:
    policy = Policy(openings=(opening("127.0.0.1:1"),), names={"gone.test": "127.0.0.1"})
    async with proxied(policy, {"none.test": []}) as proxy:
        unknown = await proxy.get("http://none.test/")
        gone = await proxy.get("http://gone.test:1/")
    assert unknown.startswith(b"HTTP/1.1 502 The name none.test cannot be resolved from here.")
    assert gone.startswith(b"HTTP/1.1 504 gone.test:1 cannot be connected to: ")
    assert proxy.decisions == [("failed", "unresolved"), ("failed", "unreachable")]


async def test_a_name_that_the_operator_wrote_down_is_not_looked_up() -> None:
    async with origin() as server:
        policy = Policy(
            openings=(opening(f"127.0.0.1:{server.port}"),), names={"shop.test": "127.0.0.1"}
        )
        async with proxied(policy) as proxy:
            assert (await proxy.get(f"http://shop.test:{server.port}/")).endswith(b"hello")
            assert proxy.asked == []
        # written down is not opened
        async with proxied(Policy(names={"shop.test": "127.0.0.1"})) as proxy:
            assert (await proxy.get("http://shop.test/")).startswith(b"HTTP/1.1 403 ")


async def test_the_next_address_is_tried() -> None:
    async with origin() as server:
        policy = Policy(openings=(opening(f"127.0.0.0/8:{server.port}"),))
        names = {"shop.test": [["127.0.0.9", "127.0.0.1"]]}
        async with proxied(policy, names) as proxy:
            assert (await proxy.get(f"http://shop.test:{server.port}/")).endswith(b"hello")
    assert proxy.records[0]["address"] == "127.0.0.1"


class Front:
    """A proxy of somebody else's."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.heads: list[bytes] = []
        self.port = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(self.answer)
        if self.heads[-1].startswith(b"CONNECT") and b" 200 " in self.answer:
            writer.write(await reader.read(100))
        writer.close()


@asynccontextmanager
async def front(answer: bytes) -> AsyncIterator[Front]:
    made = Front(answer)
    server = await asyncio.start_server(made.talk, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()


async def test_everything_public_goes_through_the_proxy_in_front() -> None:
    async with front(OK) as before:
        upstream = Upstream.of(f"http://me:s%40crt@127.0.0.1:{before.port}")
        async with proxied(resolve={"a.test": [["9.9.9.9"]]}, upstream=upstream) as proxy:
            assert (await proxy.get("http://a.test/x")).endswith(b"hello")
            # what only the proxy in front can resolve is its own to refuse
            assert (await proxy.get("http://b.test/y")).endswith(b"hello")
    assert before.heads[0] == (
        b"GET http://a.test/x HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n"
        b"Proxy-Authorization: Basic bWU6c0BjcnQ=\r\n\r\n"
    )
    assert before.heads[1].startswith(b"GET http://b.test/y ")


async def test_tunnels_go_through_the_proxy_in_front() -> None:
    async with front(b"HTTP/1.1 200 Fine\r\n\r\n") as before:
        upstream = Upstream.of(f"http://127.0.0.1:{before.port}")
        async with proxied(resolve={"a.test": [["9.9.9.9"]]}, upstream=upstream) as proxy:
            said = await proxy.tunnel("a.test:443", b"echo")
    assert said.endswith(b"\r\n\r\necho")
    assert before.heads == [b"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n"]


async def test_what_this_host_can_resolve_is_checked_all_the_same() -> None:
    async with front(OK) as before, origin() as server:
        upstream = Upstream.of(f"http://127.0.0.1:{before.port}")
        policy = Policy(openings=(opening(f"127.0.0.1:{server.port}"),))
        names = {"trap.test": [["10.0.0.1"]], "near.test": [["127.0.0.1"]]}
        async with proxied(policy, names, upstream=upstream) as proxy:
            assert (await proxy.get("http://trap.test/")).startswith(b"HTTP/1.1 403 ")
            assert (await proxy.get("http://169.254.169.254/")).startswith(b"HTTP/1.1 403 ")
            # what the operator opened is near: no need for the proxy in front
            assert (await proxy.get(f"http://near.test:{server.port}/")).endswith(b"hello")
    assert before.heads == []
    assert server.connections == 1


@pytest.mark.parametrize("answer", [b"HTTP/1.1 407 No\r\n\r\n", b"HTTP/1.1 4", b"x" * 20000])
async def test_a_proxy_in_front_that_refuses_is_said(answer: bytes) -> None:
    async with front(answer) as before:
        upstream = Upstream.of(f"http://127.0.0.1:{before.port}")
        async with proxied(resolve={"a.test": [["9.9.9.9"]]}, upstream=upstream) as proxy:
            said = await proxy.tunnel("a.test:443")
    assert said.startswith(b"HTTP/1.1 502 The proxy in front of this platform ")
    assert proxy.decisions == [("failed", "upstream")]


@pytest.mark.parametrize("url", ["", "127.0.0.1:3128", "https://a:1", "socks5://a:1", "http://", "http://a/x"])  # fmt: skip
def test_what_is_no_proxy_in_front(url: str) -> None:
    with pytest.raises(ValueError, match="must be http://host:port"):
        Upstream.of(url)
