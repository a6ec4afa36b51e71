"""The network of sandboxes on engines: the same filter, reached over the relay's line."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentstead.clock import SystemClock
from agentstead.sandbox.decisions import Decision, Traffic, take
from agentstead.sandbox.engines.hands import EngineSandbox
from agentstead.sandbox.network import Egress
from agentstead.sandbox.sandbox import Network
from tests.support.egress import Origin, origin
from tests.support.engines import ENGINES
from tests.support.sandboxes import SPEC, text

BIG = b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\nConnection: close\r\n\r\n" + b"x" * 3_000_000
ID = "sesn_net"
LIMITED = Network("limited", ("shop.test",))


@pytest.fixture(params=["docker", "kubernetes"])
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    if os.geteuid() != 0:
        pytest.skip("a network namespace that two containers share is made by root here")
    async with ENGINES[request.param]() as subject:
        yield subject


def networked(engine: Any, server: Origin, folder: Path) -> EngineSandbox:
    """A provider whose sandboxes may reach a server of the test's."""
    egress = Egress(
        ports=(80, 443, server.port),
        openings=(f"127.0.0.1:{server.port}",),
        names={"shop.test": "127.0.0.1", "other.test": "127.0.0.1"},
    )
    sandbox: EngineSandbox = engine.another(egress=egress, decisions=folder)
    assert sandbox.networked
    return sandbox


async def bash(
    sandbox: EngineSandbox,
    call_id: str,
    command: str,
    network: Network = LIMITED,
) -> str:
    spec = replace(SPEC, network=network)
    return text(await sandbox.call(ID, spec, call_id, "bash", {"command": command}))


async def test_programs_reach_what_is_allowed_and_nothing_else(engine: Any, tmp_path: Path) -> None:
    async with origin() as server:
        sandbox = networked(engine, server, tmp_path)
        url = f"http://shop.test:{server.port}/"
        assert await bash(sandbox, "call_1", f"curl -sS {url}") == "hello"
        denied = f"curl -sS -o /dev/null -w '%{{http_code}}' http://other.test:{server.port}/"
        assert await bash(sandbox, "call_2", denied) == "403"
        past = await bash(
            sandbox,
            "call_3",
            f"curl -sS --noproxy '*' -m 2 http://127.0.0.1:{server.port}/ 2>&1; echo; ls /sys/class/net",
        )
        assert "hello" not in past
        assert len(server.seen) == 1
        another = networked(engine, server, tmp_path)  # the next worker serves it as well
        assert await bash(another, "call_4", f"curl -sS {url}") == "hello"
        engine.sandboxes.remove(another)
        await another.close()
        assert await bash(sandbox, "call_5", f"curl -sS {url}") == "hello"
        async with asyncio.timeout(5):
            found: list[Decision | Traffic] = []
            while sum(isinstance(one, Decision) for one in found) < 4:
                found += take(tmp_path, SystemClock())
                await asyncio.sleep(0.05)
        said = [
            (one.session_id, one.call_id, one.decision, one.host)
            for one in found
            if isinstance(one, Decision)
        ]
        assert sorted(said) == [
            (ID, "call_1", "allowed", "shop.test"),
            (ID, "call_2", "denied", "other.test"),
            (ID, "call_4", "allowed", "shop.test"),
            (ID, "call_5", "allowed", "shop.test"),
        ]


async def test_much_goes_through_in_both_directions(engine: Any, tmp_path: Path) -> None:
    async with origin(BIG) as server:
        sandbox = networked(engine, server, tmp_path)
        url = f"http://shop.test:{server.port}/"
        many = f"for n in 1 2 3; do curl -sS {url} | wc -c & done; wait"
        assert await bash(sandbox, "call_1", many) == "3000000\n3000000\n3000000"
        # who hangs up in the middle disturbs nobody
        assert await bash(sandbox, "call_3", f"curl -sS {url} | head -c 10") == "x" * 10
        assert await bash(sandbox, "call_4", f"curl -sS {url} | wc -c") == "3000000"
    async with origin() as server:
        second = networked(engine, server, tmp_path)
        await second.destroy(ID)
        url = f"http://shop.test:{server.port}/"
        up = f"head -c 2000000 /dev/zero | curl -sS -H 'Expect:' --data-binary @- {url}"
        assert await bash(second, "call_1", up) == "hello"
        assert server.seen[0].count(b"\0") == 2_000_000


async def test_an_environment_without_a_network_is_told_so(engine: Any, tmp_path: Path) -> None:
    async with origin() as server:
        sandbox = networked(engine, server, tmp_path)
        said = await bash(
            sandbox, "call_1", f"curl -s -i http://shop.test:{server.port}/", Network("none")
        )
        assert "HTTP/1.1 403 This sandbox has no network access" in said
        assert server.connections == 0
