"""The way of a secret: from whoever knows it to the proxy that uses it, whoever comes and goes meanwhile."""

import asyncio
import gc
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from agentstead.clock import SystemClock
from agentstead.errors import StoreFault
from agentstead.sandbox.decisions import Decision, take
from agentstead.sandbox.desk import Secret, desk
from agentstead.sandbox.network import Egress
from agentstead.sandbox.sandbox import Network
from agentstead.sandbox.supervisor.way import FOLDER, way_to_platform
from tests.support.egress import certificate
from tests.support.reflecting import reflecting
from tests.support.sandboxes import SPEC, needed, real_sandboxes, text

PLACEHOLDER = "ph_0123456789abcdef"
FOUND = Secret("API_KEY", PLACEHOLDER, "canary-value", header=True, body=True)


@dataclass
class Known:
    """Who knows secrets: of one session and host."""

    secret: str = "canary-value"
    asked: list[tuple[str, str]] = field(default_factory=list)
    broken: bool = False

    async def for_host(self, session_id: str, host: str) -> Sequence[Secret]:
        """What it knows."""
        self.asked.append((session_id, host))
        if self.broken:
            raise StoreFault("The database is away.", kind="unavailable", retryable=True)
        known = (session_id, host) == ("sesn_a", "shop.test")
        return [replace(FOUND, secret=self.secret)] if known else []


def ask(way: socket.socket, line: bytes) -> bytes:
    """What comes back."""
    way.setblocking(True)
    way.settimeout(5)
    way.sendall(line)
    return way.recv(1 << 16)


async def test_it_tells_what_is_for_the_sandbox_that_asks(tmp_path: Path) -> None:
    known = Known()
    async with desk(tmp_path, known, "wrkr_1", SystemClock()):
        for sandbox_id, told in (("sesn_a", True), ("sesn_b", False)):
            way = await asyncio.to_thread(way_to_platform, tmp_path, sandbox_id)
            assert way is not None
            with way:
                said = await asyncio.to_thread(ask, way, b'{"host": "shop.test"}\n')
                assert (b"canary-value" in said) == told
                assert said.endswith(b"\n")
                assert await asyncio.to_thread(ask, way, b"nonsense\n") == b""
    assert known.asked == [("sesn_a", "shop.test"), ("sesn_b", "shop.test")]
    assert (tmp_path / FOLDER).stat().st_mode & 0o777 == 0o700
    assert "canary" not in repr(FOUND)


async def test_who_cannot_tell_hangs_up(tmp_path: Path) -> None:
    async with desk(tmp_path, Known(broken=True), "wrkr_1", SystemClock()):
        way = await asyncio.to_thread(way_to_platform, tmp_path, "sesn_a")
        assert way is not None
        with way:
            assert await asyncio.to_thread(ask, way, b'{"host": "shop.test"}\n') == b""


async def test_the_dead_are_passed_over(tmp_path: Path) -> None:
    assert way_to_platform(tmp_path, "sesn_a") is None
    async with desk(tmp_path, Known(), "wrkr_1", SystemClock()):
        dead = socket.socket(socket.AF_UNIX)
        dead.bind(str(tmp_path / FOLDER / "wrkr_2.sock"))
        dead.close()
        way = await asyncio.to_thread(way_to_platform, tmp_path, "sesn_a")
        assert way is not None
        way.close()
        assert [path.name for path in (tmp_path / FOLDER).iterdir()] == ["wrkr_1.sock"]
    assert way_to_platform(tmp_path, "sesn_a") is None


@pytest.mark.parametrize("steps", range(6))
async def test_who_comes_as_it_closes_is_hung_up_on(tmp_path: Path, steps: int) -> None:
    async with desk(tmp_path, Known(), "wrkr_1", SystemClock()):
        await asyncio.sleep(0.01)  # it waits by now
        way = way_to_platform(tmp_path, "sesn_a")
        for _ in range(steps):
            await asyncio.sleep(0)
    gc.collect()  # a connection left open is a warning here, and so a failure
    assert way is not None
    with way, suppress(ConnectionResetError):
        way.settimeout(5)
        assert way.recv(1) == b""


@pytest.mark.timeout(60)
async def test_a_proxy_goes_on_with_whoever_is_there(tmp_path: Path) -> None:
    await needed()
    tls, authority = certificate(tmp_path, "shop.test")
    async with reflecting(tls) as mirror:
        egress = Egress(
            openings=(f"127.0.0.1:{mirror.port}",),
            names={"shop.test": "127.0.0.1"},
            authorities=authority.read_text(),
        )
        spec = replace(
            SPEC, env={"API_KEY": PLACEHOLDER}, network=Network("unrestricted", credentials=True)
        )
        async with real_sandboxes(egress=egress) as sandboxes:

            async def curl(call_id: str) -> str:
                command = f'curl -sS -H "X-Key: $API_KEY" {mirror.url("shop.test")}'
                given = {"command": command}
                return text(await sandboxes.call("sesn_a", spec, call_id, "bash", given))

            for number, secret in enumerate(("first-value", "second-value")):
                async with desk(sandboxes.root, Known(secret), f"wrkr_{number}", SystemClock()):
                    await curl(f"call_{number}")
            said = await curl("call_2")
            assert "503" in said
            assert [one.headers["x-key"] for one in mirror.seen] == ["first-value", "second-value"]
            decisions = [
                one for one in take(sandboxes.root, SystemClock()) if isinstance(one, Decision)
            ]
            assert [
                (one.method, one.decision, one.reason, one.credentials) for one in decisions
            ] == [
                ("CONNECT", "allowed", "", None),
                ("GET", "allowed", "", "API_KEY"),
                ("CONNECT", "allowed", "", None),
                ("GET", "allowed", "", "API_KEY"),
                ("CONNECT", "failed", "credentials", None),
            ]
