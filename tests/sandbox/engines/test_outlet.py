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
GROUPS = Path("/sys/fs/cgroup")
ID = "sesn_net"
LIMITED = Network("limited", ("shop.test",))


@pytest.fixture
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """Docker's, unless a test asks for both."""
    if os.geteuid() != 0:
        pytest.skip("a network namespace that two containers share is made by root here")
    async with ENGINES[getattr(request, "param", "docker")]() as subject:
        yield subject


def proxies() -> list[Path]:
    """The control groups of this process's proxies, where there can be any."""
    return [group for group in GROUPS.rglob(f"*egress-{ID}-{os.getpid()}-*") if group.is_dir()]


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


@pytest.mark.parametrize("engine", ["docker", "kubernetes"], indirect=True)
async def test_programs_reach_what_is_allowed_and_nothing_else(engine: Any, tmp_path: Path) -> None:
    async with origin() as server:
        sandbox = networked(engine, server, tmp_path)
        url = f"http://shop.test:{server.port}/"
        assert await bash(sandbox, "call_1", f"curl -sS {url}") == "hello"
        groups = proxies()
        assert all((group / "cgroup.procs").read_text().strip() for group in groups)
        denied = f"curl -sS -o /dev/null -w '%{{http_code}}' http://other.test:{server.port}/"
        assert await bash(sandbox, "call_2", denied) == "403"
        past = await bash(
            sandbox,
            "call_3",
            f"curl -sS --noproxy '*' -m 2 http://127.0.0.1:{server.port}/ 2>&1; echo; ls /sys/class/net",
        )
        assert "hello" not in past
        assert len(server.seen) == 1
        another = networked(engine, server, tmp_path)  # the next worker, once this one is gone
        engine.sandboxes.remove(sandbox)
        await sandbox.close()
        assert await bash(another, "call_4", f"curl -sS {url}") == "hello"
        async with asyncio.timeout(5):
            found: list[Decision | Traffic] = []
            while sum(isinstance(one, Decision) for one in found) < 3:
                found += take(tmp_path, SystemClock())
                await asyncio.sleep(0.05)
        engine.sandboxes.remove(another)
        await another.close()
        engine.another()
        assert proxies() == []
        said = [
            (one.session_id, one.call_id, one.decision, one.host)
            for one in found
            if isinstance(one, Decision)
        ]
        assert sorted(said) == [
            (ID, "call_1", "allowed", "shop.test"),
            (ID, "call_2", "denied", "other.test"),
            (ID, "call_4", "allowed", "shop.test"),
        ]


async def test_much_goes_through_in_both_directions(engine: Any, tmp_path: Path) -> None:
    async with origin(BIG) as server:
        sandbox = networked(engine, server, tmp_path)
        url = f"http://shop.test:{server.port}/"
        many = f"for n in 1 2 3; do curl -sS {url} | wc -c & done; wait"
        assert await bash(sandbox, "call_1", many) == "3000000\n3000000\n3000000"
        # who hangs up in the middle disturbs nobody
        assert await bash(sandbox, "call_3", f"curl -sS {url} 2>/dev/null | head -c 10") == "x" * 10
        assert await bash(sandbox, "call_4", f"curl -sS {url} | wc -c") == "3000000"


async def test_a_long_upload_arrives_whole(engine: Any, tmp_path: Path) -> None:
    arrived = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal arrived
        await reader.readuntil(b"\r\n\r\n")
        arrived = len(await reader.readexactly(2_000_000))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    sandbox = networked(engine, Origin(port), tmp_path)
    up = "head -c 2000000 /dev/zero | curl -sS -H Expect: --data-binary @-"
    assert await bash(sandbox, "call_1", f"{up} http://shop.test:{port}/") == "hello"
    assert arrived == 2_000_000
    server.close()


async def test_an_environment_without_a_network_is_told_so(engine: Any, tmp_path: Path) -> None:
    async with origin() as server:
        sandbox = networked(engine, server, tmp_path)
        said = await bash(
            sandbox, "call_1", f"curl -s -i http://shop.test:{server.port}/", Network("none")
        )
        assert "HTTP/1.1 403 This sandbox has no network access" in said
        assert server.connections == 0
