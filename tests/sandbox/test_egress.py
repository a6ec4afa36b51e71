"""The network of real sandboxes: ordinary programs through the proxy, and the ways past it closed."""

import asyncio
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from agentstead.clock import SystemClock
from agentstead.sandbox.bubblewrap import Bubblewrap
from agentstead.sandbox.decisions import Decision, Traffic, take
from agentstead.sandbox.managers import SYSTEM_PATH, PackageHosts
from agentstead.sandbox.network import Bounds, Egress
from agentstead.sandbox.sandbox import Mount, Network
from tests.support.egress import Origin, certificate, origin
from tests.support.sandboxes import SPEC, gone, needed, real_sandboxes, supervisor_pid, text

LIMITED = Network("limited", ("shop.test", "*.shop.test", "trap.test"))
NAMES = {"shop.test": "127.0.0.1", "www.shop.test": "127.0.0.1", "trap.test": "169.254.169.254"}


@dataclass
class Place:
    """Sandboxes with a network, a server they may reach and one they may not."""

    sandboxes: Bubblewrap
    server: Origin
    other: Origin
    calls: int = 0

    async def bash(
        self, command: str, sandbox_id: str = "sesn_net", network: Network = LIMITED, **more: Any
    ) -> str:
        """What a command prints."""
        self.calls += 1
        spec = replace(SPEC, network=network, **more)
        given = {"command": command}
        outcome = await self.sandboxes.call(sandbox_id, spec, f"call_{self.calls}", "bash", given)
        return text(outcome)

    def taken(self) -> list[Decision | Traffic]:
        """What was decided."""
        return list(take(self.sandboxes.root, SystemClock()))

    @property
    def url(self) -> str:
        """Of the server."""
        return f"http://shop.test:{self.server.port}"


@asynccontextmanager
async def placed(**more: Any) -> AsyncIterator[Place]:
    await needed()
    async with origin() as server, origin() as other:
        openings = (f"127.0.0.1:{server.port}",)
        egress = Egress(openings=openings, names=NAMES, **more)
        async with real_sandboxes(egress=egress) as sandboxes:
            yield Place(sandboxes, server, other)


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with placed() as made:
        yield made


async def test_ordinary_programs_reach_what_is_allowed(place: Place) -> None:
    assert await place.bash(f"curl -sS {place.url}/") == "hello"
    program = f"import urllib.request as u; print(u.urlopen('{place.url}/x').read().decode())"
    assert await place.bash(f'/usr/bin/python3 -c "{program}"') == "hello"
    assert b"GET /x HTTP/1.1\r\n" in place.server.seen[1]
    assert await place.bash(f"curl -sS http://www.shop.test:{place.server.port}/") == "hello"
    named = [
        (one.call_id, one.decision, one.host) for one in place.taken() if isinstance(one, Decision)
    ]
    assert named == [
        ("call_1", "allowed", "shop.test"),
        ("call_2", "allowed", "shop.test"),
        ("call_3", "allowed", "www.shop.test"),
    ]


async def test_what_is_denied_is_the_programs_to_tell(place: Place) -> None:
    said = await place.bash("curl -sS http://evil.test/; echo status $?")
    assert said.startswith(
        "evil.test is not an allowed host. Allowed hosts of this environment: shop.test,"
    )
    assert said.endswith("status 0")
    said = await place.bash("curl -sS https://evil.test/")
    assert "403" in said
    assert "[exit code 56]" in said
    said = await place.bash("curl -sS http://trap.test/")
    assert "leads to an address that is not public (link-local)" in said
    decisions = [one for one in place.taken() if isinstance(one, Decision)]
    assert [(one.session_id, one.call_id, one.decision, one.reason, one.method, one.host) for one in decisions] == [
        ("sesn_net", "call_1", "denied", "host", "GET", "evil.test"),
        ("sesn_net", "call_2", "denied", "host", "CONNECT", "evil.test"),
        ("sesn_net", "call_3", "denied", "address", "GET", "trap.test"),
    ]  # fmt: skip
    assert place.taken() == []


async def test_tls_goes_through_untouched(place: Place, tmp_path: Path) -> None:
    tls, authority = certificate(tmp_path, "shop.test")
    async with origin(tls=tls) as server:
        place.sandboxes.egress = Egress(openings=(f"127.0.0.1:{server.port}",), names=NAMES)
        mounts = (Mount(str(authority), "/mnt/session/uploads/authority.pem"),)
        command = (
            f"curl -sS --cacert /mnt/session/uploads/authority.pem https://shop.test:{server.port}/"
        )
        assert await place.bash(command, mounts=mounts) == "hello"
        # what the certificate is not for is refused by the program, not by us
        assert "60" in await place.bash(command.replace("shop.test:", "www.shop.test:"))


async def test_there_is_no_way_past_the_proxy(place: Place) -> None:
    ports = json.dumps([place.server.port, place.other.port])
    hidden = place.sandboxes.root / "sesn_other"
    script = f"""
import json, os, socket
results = {{}}
def attempt(name, action):
    try:
        action()
        results[name] = "open"
    except OSError as error:
        results[name] = type(error).__name__
for port in {ports}:
    attempt(f"host {{port}}", lambda: socket.create_connection(("127.0.0.1", port), 1))
    attempt(f"host six {{port}}", lambda: socket.create_connection(("::1", port), 1))
for address in ("1.1.1.1", "169.254.169.254", "10.0.0.1", "203.0.113.1"):
    attempt(address, lambda: socket.create_connection((address, 443), 1))
attempt("six", lambda: socket.create_connection(("2606:4700::1111", 443), 1))
attempt("udp", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("1.1.1.1", 53)))
attempt("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
attempt("packet", lambda: socket.socket(17, socket.SOCK_RAW))
attempt("vsock", lambda: socket.socket(40, socket.SOCK_STREAM))
attempt("names", lambda: socket.gethostbyname("shop.test"))
for path in ({str(hidden)!r}, {str(hidden / "ctl.sock")!r}, {str(place.sandboxes.root)!r}, "/run/agentstead/proxy.sock"):
    attempt(path, lambda: os.stat(path))
sockets = [line.split()[-1] for line in open("/proc/net/unix").read().splitlines()[1:] if "/" in line]
listening = [line.split()[1] for line in open("/proc/net/tcp").read().splitlines()[1:] if line.split()[3] == "0A"]
descriptors = [os.readlink(f"/proc/self/fd/{{n}}") for n in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{{n}}")]
print(json.dumps([results, sockets, listening, [d for d in descriptors if "socket" in d]]))
"""
    await place.bash("true", "sesn_other")
    said = await place.bash(f"/usr/bin/python3 -I - <<'END'\n{script}\nEND")
    results, sockets, listening, descriptors = json.loads(said)
    assert {name: result for name, result in results.items() if result == "open"} == {}
    assert len(results) == 18
    assert (sockets, descriptors) == ([], [])
    assert listening == ["0100007F:0C38"]  # 127.0.0.1:3128, and nobody inside holds it
    assert (place.server.connections, place.other.connections) == (0, 0)


async def test_another_sandbox_has_its_own_proxy_and_its_own_list(place: Place) -> None:
    free = Network("unrestricted")
    closed = Network("limited", ("other.test",))
    assert await place.bash(f"curl -sS {place.url}/", "sesn_free", free) == "hello"
    assert "is not an allowed host" in await place.bash(
        f"curl -sS {place.url}/", "sesn_closed", closed
    )
    taken = [one for one in place.taken() if isinstance(one, Decision)]
    assert {(one.session_id, one.decision) for one in taken} == {
        ("sesn_free", "allowed"),
        ("sesn_closed", "denied"),
    }


async def test_without_a_network_it_is_said_as_before(place: Place) -> None:
    said = await place.bash(f"curl -sS {place.url}/", "sesn_none", Network())
    assert said == "This sandbox has no network access; nothing outside of it can be reached."
    place.sandboxes.egress = None
    said = await place.bash(f"curl -sS {place.url}/", "sesn_off", Network("unrestricted"))
    assert said == "This sandbox has no network access; nothing outside of it can be reached."


async def test_a_running_sandbox_keeps_its_network(place: Place) -> None:
    """Also when another worker, or a newer configuration, uses it."""
    assert await place.bash(f"curl -sS {place.url}/") == "hello"
    second = Bubblewrap(place.sandboxes.root, clock=SystemClock(), egress=None)
    spec = replace(SPEC, network=Network("limited", ("nothing.test",)))
    command = {"command": f"curl -sS {place.url}/"}
    assert text(await second.call("sesn_net", spec, "call_x", "bash", command)) == "hello"


def proxies(sandboxes: Bubblewrap, sandbox_id: str) -> list[int]:
    """The proxy's process: the child of the supervisor that is not the sandbox."""
    supervisor = supervisor_pid(sandboxes, sandbox_id)
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    return [
        int(child)
        for child in children
        if b"egress/__main__.py" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


def status_of(pid: int) -> str:
    return Path(f"/proc/{pid}/status").read_text()


async def test_the_proxy_starts_with_its_first_use_and_again_after_it_was_killed(
    place: Place,
) -> None:
    await place.bash("true")
    assert proxies(place.sandboxes, "sesn_net") == []
    assert await place.bash(f"curl -sS {place.url}/") == "hello"
    (pid,) = proxies(place.sandboxes, "sesn_net")
    status = status_of(pid)
    uids = next(line.split()[1:] for line in status.splitlines() if line.startswith("Uid:"))
    meta = json.loads((place.sandboxes.root / "sesn_net" / "meta.json").read_text())
    assert set(uids) == {str(meta["uid"])}
    assert meta["uid"] != 0
    assert "NoNewPrivs:\t1" in status
    os.kill(pid, signal.SIGKILL)
    assert (
        await place.bash(f"curl -sS --retry 3 --retry-all-errors --retry-delay 1 {place.url}/")
        == "hello"
    )
    (again,) = proxies(place.sandboxes, "sesn_net")
    assert again != pid


async def test_the_proxy_ends_with_its_sandbox(place: Place) -> None:
    assert await place.bash(f"curl -sS {place.url}/") == "hello"
    (pid,) = proxies(place.sandboxes, "sesn_net")
    os.kill(supervisor_pid(place.sandboxes, "sesn_net"), signal.SIGKILL)
    await gone(pid)
    # and comes back with it
    assert (await place.bash(f"curl -sS {place.url}/")).endswith("hello")


async def test_a_greedy_sandbox_is_held_and_its_neighbour_is_not() -> None:
    async with placed(bounds=Bounds(connections_max=8)) as place:
        await place.bash("true", "sesn_calm")
        hold = """
import socket, time
held = []
for n in range(40):
    one = socket.create_connection(("127.0.0.1", 3128))
    one.sendall(b"GET http://shop")
    held.append(one)
print("held", flush=True)
time.sleep(60)
"""
        started = await place.bash(f"/usr/bin/python3 - > /tmp/said 2>&1 <<'END' &\n{hold}\nEND\nwhile ! grep -qs held /tmp/said; do sleep 0.05; done; cat /tmp/said", "sesn_greedy")  # fmt: skip
        assert started == "held"
        said = await place.bash(f"curl -sS {place.url}/", "sesn_greedy")
        assert said == "This sandbox has 8 connections open, the most it may."
        assert await place.bash(f"curl -sS {place.url}/", "sesn_calm") == "hello"


async def test_decisions_of_a_background_process_are_its_sessions(place: Place) -> None:
    command = f"(sleep 0.3; curl -s {place.url}/ > /tmp/late) > /dev/null 2>&1 & echo started"
    assert await place.bash(command) == "started"
    taken: list[Decision | Traffic] = []
    async with asyncio.timeout(20):
        while not any(isinstance(one, Decision) for one in taken):
            await asyncio.sleep(0.1)
            taken += place.taken()
    (one,) = [one for one in taken if isinstance(one, Decision)]
    assert (one.session_id, one.call_id, one.decision) == ("sesn_net", "", "allowed")


async def test_alike_decisions_are_counted(place: Place) -> None:
    await place.bash("for n in 1 2 3 4 5; do curl -s http://evil.test/; done")
    taken = [one for one in place.taken() if isinstance(one, Decision)]
    assert {(one.host, one.reason) for one in taken} == {("evil.test", "host")}
    assert sum(one.count for one in taken) == 5


async def reachable(host: str) -> bool:
    """Whether this machine reaches a host at all."""
    try:
        async with asyncio.timeout(5):
            _, writer = await asyncio.open_connection(host, 443)
    except OSError:
        return False
    writer.close()
    return True


@pytest.mark.slow
@pytest.mark.timeout(150)
@pytest.mark.parametrize(
    ("program", "install", "look"),
    [
        ("pip3", "pip3 install -q h11", "/usr/bin/python3 -c 'import h11; print(h11.__file__)'"),
        ("npm", "npm install -g --no-fund --no-audit is-number", "ls -d /workspace/.local/lib/node_modules/*"),
    ],
)  # fmt: skip
async def test_packages_are_installed_through_the_proxy(
    place: Place, program: str, install: str, look: str
) -> None:
    if shutil.which(program, path=SYSTEM_PATH) is None:
        pytest.skip(f"needs {program}")
    hosts = await PackageHosts().hosts()
    if not hosts or not all([await reachable(host) for host in hosts[:3]]):
        pytest.skip("needs package indexes that this machine reaches")
    only = Network("limited", package_managers=True)
    denied = await place.bash(f"{install}; {look}", "sesn_denied", Network("limited"))
    assert "exit code" in denied
    said = await place.bash(f"{install} && {look}", network=only)
    assert "/workspace/.local/lib/" in said.splitlines()[-1], said
    assert "is not an allowed host" in await place.bash("curl -sS http://evil.test/")
