"""The proxy as a hostile program inside sees it: raw bytes in, bytes out, and what reaches a server."""

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path

import pytest

from agentstead.addresses import opening
from agentstead.sandbox.egress.policy import Policy
from agentstead.sandbox.egress.proxy import Bounds
from tests.support.egress import OK, Origin, certificate, origin, proxied


def near(*servers: Origin, **more: object) -> Policy:
    """A policy under which these servers of the loopback can be reached as shop.test."""
    given = {
        "mode": "limited",
        "hosts": ("shop.test", "*.shop.test"),
        "openings": tuple(opening(f"127.0.0.1:{server.port}") for server in servers),
        **more,
    }
    return Policy(**given)  # type: ignore[arg-type]


LOCAL = {"shop.test": [["127.0.0.1"]]}


async def test_a_plain_request_goes_through_and_is_written_anew() -> None:
    async with origin() as server, proxied(near(server), LOCAL) as proxy:
        said = await proxy.get(
            f"http://Shop.TEST.:{server.port}/a?b=1",
            "X-Kept: yes",
            "Proxy-Authorization: Basic eA==",
            "Proxy-Connection: keep-alive",
            "TE: trailers",
            "Upgrade: websocket",
        )
    assert said.startswith(b"HTTP/1.1 200 OK\r\n")
    assert said.endswith(b"\r\n\r\nhello")
    (seen,) = server.seen
    assert (
        seen
        == (
            f"GET /a?b=1 HTTP/1.1\r\nHost: shop.test:{server.port}\r\nX-Kept: yes\r\nConnection: close\r\n\r\n"
        ).encode()
    )
    assert proxy.decisions == [("allowed", "")]
    assert proxy.records[0] == {
        "decision": "allowed", "reason": "", "method": "GET", "host": "shop.test", "port": server.port,
        "address": "127.0.0.1",
    }  # fmt: skip


async def test_headers_that_are_named_as_of_one_connection_stay_on_it() -> None:
    answer = b"HTTP/1.1 200 OK\r\nConnection: X-Hop, close\r\nX-Hop: 1\r\nX-End: 2\r\nContent-Length: 0\r\n\r\n"
    async with origin(answer) as server, proxied(near(server), LOCAL) as proxy:
        url = f"http://shop.test:{server.port}/"
        said = await proxy.get(url, "X-One: 1", "X-Two: 2", "Connection: x-one")
    assert b"X-One" not in server.seen[0]
    assert b"X-Two: 2" in server.seen[0]
    assert b"X-Hop" not in said
    assert b"X-End: 2" in said


async def test_a_connection_takes_several_requests_each_decided() -> None:
    async with origin() as server, proxied(near(server), LOCAL) as proxy:
        one = f"GET http://shop.test:{server.port}/ HTTP/1.1\r\nHost: shop.test:{server.port}\r\n\r\n".encode()
        other = b"GET http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n"
        said = await proxy.send(one + one + other + one)
    assert said.count(b"200 OK") == 2
    assert said.count(b"HTTP/1.1 403 ") == 1
    assert proxy.decisions == [("allowed", ""), ("allowed", ""), ("denied", "host")]


async def test_bodies_go_both_ways() -> None:
    def answer(seen: bytes) -> bytes:
        return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"

    async with origin(answer) as server, proxied(near(server), LOCAL) as proxy:
        head = f"POST http://shop.test:{server.port}/ HTTP/1.1\r\nHost: shop.test:{server.port}\r\n"
        length = await proxy.send(f"{head}Content-Length: 3\r\n\r\nabc".encode())
        chunks = await proxy.send(
            f"{head}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n".encode(),
            b"0\r\nX-Trailer: 1\r\n\r\n",
        )
    for said in (length, chunks):
        assert b"Transfer-Encoding: chunked" in said
        assert b"5\r\nhello\r\n0\r\n\r\n" in said
    assert server.seen[0].endswith(b"\r\n\r\nabc")
    assert server.seen[1].endswith(b"\r\n\r\n3\r\nabc\r\n0\r\n\r\n")


async def test_a_server_that_ends_by_hanging_up_is_read_to_the_end() -> None:
    answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it"
    async with origin(answer) as server, proxied(near(server), LOCAL) as proxy:
        said = await proxy.get(f"http://shop.test:{server.port}/")
    assert said.endswith(b"all of it") or b"9\r\nall of it\r\n0\r\n\r\n" in said


@pytest.mark.parametrize(
    "answer",
    [
        b"nonsense\r\n\r\n",
        b"",
        b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 20 x\r\n\r\nclose",
    ],
)
async def test_a_server_that_answers_nonsense(answer: bytes) -> None:
    async with origin(answer or (lambda _: b"")) as server, proxied(near(server), LOCAL) as proxy:
        said = await proxy.get(f"http://shop.test:{server.port}/")
    assert said.startswith(b"HTTP/1.1 502 ")
    assert proxy.decisions == [("allowed", ""), ("failed", "nonsense")]


# --- what is refused


ESCAPES = {
    "another host": (b"GET http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n", "host"),
    "a metadata service": (b"GET http://169.254.169.254/ HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n", "host"),
    "its number": (b"GET http://2852039166/ HTTP/1.1\r\nHost: 2852039166\r\n\r\n", "malformed"),
    "its octal": (b"GET http://0251.0376.0251.0376/ HTTP/1.1\r\nHost: 0251.0376.0251.0376\r\n\r\n", "malformed"),
    "its hex": (b"CONNECT 0xa9fea9fe:80 HTTP/1.1\r\nHost: x\r\n\r\n", "malformed"),
    "short loopback": (b"CONNECT 127.1:443 HTTP/1.1\r\nHost: x\r\n\r\n", "malformed"),
    "zero": (b"CONNECT 0:443 HTTP/1.1\r\nHost: x\r\n\r\n", "malformed"),
    "a wide digit": ("CONNECT \N{FULLWIDTH DIGIT ONE}27.0.0.1:443 HTTP/1.1\r\nHost: x\r\n\r\n".encode(), "malformed"),
    "a user in front": (b"GET http://shop.test@evil.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n", "malformed"),
    "a user in a tunnel": (b"CONNECT shop.test:443@evil.test:443 HTTP/1.1\r\nHost: x\r\n\r\n", "malformed"),
    "a backslash": (b"GET http://evil.test\\.shop.test/ HTTP/1.1\r\nHost: shop.test\r\n\r\n", "malformed"),
    "the Host of another": (b"GET http://shop.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n", "malformed"),
    "two Hosts": (b"GET http://shop.test/ HTTP/1.1\r\nHost: shop.test\r\nHost: evil.test\r\n\r\n", "malformed"),
    "no Host": (b"GET http://shop.test/ HTTP/1.1\r\n\r\n", "malformed"),
    "a path only": (b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n", "malformed"),
    "https in clear": (b"GET https://shop.test/ HTTP/1.1\r\nHost: shop.test\r\n\r\n", "malformed"),
    "another scheme": (b"GET ftp://shop.test/ HTTP/1.1\r\nHost: shop.test\r\n\r\n", "malformed"),
    "ssh": (b"CONNECT shop.test:22 HTTP/1.1\r\nHost: x\r\n\r\n", "port"),
    "smtp": (b"GET http://shop.test:25/ HTTP/1.1\r\nHost: shop.test:25\r\n\r\n", "port"),
    "no port": (b"CONNECT shop.test HTTP/1.1\r\nHost: x\r\n\r\n", "malformed"),
    "the wildcard's own": (b"CONNECT xshop.test:443 HTTP/1.1\r\nHost: x\r\n\r\n", "host"),
    "a longer name": (b"CONNECT shop.test.evil.test:443 HTTP/1.1\r\nHost: x\r\n\r\n", "host"),
    "a name with a zero": (b"CONNECT shop.test%00.evil.test:443 HTTP/1.1\r\nHost: x\r\n\r\n", "malformed"),
    "other letters": ("CONNECT sh\N{CYRILLIC SMALL LETTER O}p.test:443 HTTP/1.1\r\nHost: x\r\n\r\n".encode(), "malformed"),
    "IPv6 loopback": (b"CONNECT [::1]:443 HTTP/1.1\r\nHost: x\r\n\r\n", "host"),
    "mapped": (b"CONNECT [::ffff:127.0.0.1]:443 HTTP/1.1\r\nHost: x\r\n\r\n", "host"),
    "a zone": (b"CONNECT [fe80::1%25lo]:443 HTTP/1.1\r\nHost: x\r\n\r\n", "malformed"),
    "length and chunks": (
        b"POST http://shop.test/ HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n", "malformed"),
    "two lengths": (
        b"POST http://shop.test/ HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        "malformed"),
    "a signed length": (
        b"POST http://shop.test/ HTTP/1.1\r\nHost: shop.test\r\nContent-Length: +5\r\n\r\nhello", "malformed"),
    "another coding": (
        b"POST http://shop.test/ HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "malformed"),
    "a disguised coding": (
        b"POST http://shop.test/ HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding : chunked\r\n\r\n", "malformed"),
    "old chunks": (
        b"POST http://shop.test/ HTTP/1.0\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "malformed"),
    "a line in a name": (b"GET http://shop.test/ HTTP/1.1\r\nHost: shop.test\r\nX\x00Y: 1\r\n\r\n", "malformed"),
    "a line in the path": (b"GET http://shop.test/\r\nHost: evil.test\r\n\r\n", "malformed"),
    "spaces in the path": (b"GET http://shop.test/ HTTP/1.1 HTTP/1.1\r\nHost: shop.test\r\n\r\n", "malformed"),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "malformed"),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "malformed"),
}  # fmt: skip


@pytest.mark.parametrize("name", ESCAPES)
async def test_ways_around_the_list(name: str) -> None:
    request, reason = ESCAPES[name]
    async with proxied(Policy("limited", ("shop.test", "*.shop.test"))) as proxy:
        said = await proxy.send(request)
    status = {"malformed": (b"400", b"501")}.get(reason, (b"403",))
    assert said[9:12] in status, said
    assert f"X-Agentstead-Denied: {reason}".encode() in said
    assert proxy.decisions == [("denied", reason)]
    assert proxy.asked == []


LITERALS = [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
    "255.255.255.255", "168.63.129.16", "[::1]", "[::]", "[fe80::1]", "[fc00::1]", "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[::127.0.0.1]", "[fd00:ec2::254]", "[ff02::1]",
]  # fmt: skip


@pytest.mark.parametrize("address", LITERALS)
async def test_an_address_that_is_not_public_is_refused_as_such(address: str) -> None:
    async with proxied() as proxy:
        plain = await proxy.get(f"http://{address}/")
        tunnel = await proxy.tunnel(f"{address}:443")
    for said in (plain, tunnel):
        assert said.startswith(b"HTTP/1.1 403 "), said
    assert proxy.decisions == [("denied", "address")] * 2


@pytest.mark.parametrize("address", LITERALS)
async def test_a_name_that_leads_to_one_is_refused(address: str) -> None:
    names = {"trap.test": [["9.9.9.9", address.strip("[]")]]}
    async with proxied(resolve=names) as proxy:
        said = await proxy.get("http://trap.test/")
    assert b"trap.test leads to an address that is not public" in said
    assert proxy.decisions == [("denied", "address")]


async def test_a_name_is_looked_up_once_and_that_answer_connected_to() -> None:
    """Rebinding: the check would see a public address, the connection another one."""
    async with origin() as server, origin(address="127.0.0.2") as inside:
        policy = near(server)
        names = {"shop.test": [["127.0.0.1"], ["127.0.0.2"]]}
        async with proxied(policy, names) as proxy:
            said = await proxy.get(f"http://shop.test:{server.port}/")
            assert b"200 OK" in said
            assert proxy.asked == ["shop.test"]
            # the next request looks again, and is checked again
            denied = await proxy.get(f"http://shop.test:{server.port}/")
    assert denied.startswith(b"HTTP/1.1 403 ")
    assert inside.connections == 0


async def test_a_redirect_is_a_request_like_any_other() -> None:
    answer = b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n"
    async with origin(answer) as server, proxied(near(server), LOCAL) as proxy:
        said = await proxy.get(f"http://shop.test:{server.port}/")
        assert b"Location: http://169.254.169.254/" in said  # passed on, not followed
        followed = await proxy.get("http://169.254.169.254/")
    assert followed.startswith(b"HTTP/1.1 403 ")
    assert server.connections == 1


async def test_this_machines_own_addresses_are_refused_whatever_they_are() -> None:
    async with origin() as server:
        policy = near(server, openings=(opening("127.0.0.1:1"),), ports=(server.port,))
        async with proxied(policy, LOCAL) as proxy:
            assert (await proxy.get(f"http://shop.test:{server.port}/")).startswith(
                b"HTTP/1.1 403 "
            )
    assert server.connections == 0


async def test_a_smuggled_second_request_reaches_nobody_unseen() -> None:
    hidden = b"GET /admin HTTP/1.1\r\nHost: evil.test\r\n\r\n"
    async with origin() as server, proxied(near(server), LOCAL) as proxy:
        head = f"POST http://shop.test:{server.port}/ HTTP/1.1\r\nHost: shop.test:{server.port}\r\n".encode()
        await proxy.send(head + b"Content-Length: 0\r\n\r\n" + hidden)
        await proxy.send(head + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden)
        await proxy.send(head + b"Content-Length: %d\r\n\r\n" % len(hidden) + hidden)
        await proxy.send(head + b"X: y\r\n Folded: z\r\nContent-Length: 0\r\n\r\n")
    assert [seen.count(b"/admin") for seen in server.seen[:3]] == [0, 0, 1]
    assert server.seen[2].endswith(b"\r\n\r\n" + hidden)  # as the body it was announced to be
    assert all(b"\r\n " not in seen for seen in server.seen)
    assert proxy.decisions.count(("denied", "malformed")) == 2


async def test_a_request_that_breaks_off_ends_the_exchange() -> None:
    async with origin(b"") as server, proxied(near(server), LOCAL) as proxy:
        head = f"POST http://shop.test:{server.port}/ HTTP/1.1\r\nHost: shop.test:{server.port}\r\n"
        said = await proxy.send(f"{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n".encode())
    assert said.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 502 "))


# --- tunnels


async def test_a_tunnel_to_a_listed_host_carries_tls(tmp_path: Path) -> None:
    tls, authority = certificate(tmp_path, "shop.test")
    async with origin(tls=tls) as server:
        policy = near(server)
        async with proxied(policy, LOCAL) as proxy:
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            target = f"shop.test:{server.port}"
            writer.write(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
            assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
            context = ssl.create_default_context(cafile=str(authority))
            await writer.start_tls(context, server_hostname="shop.test")
            writer.write(b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
            assert await reader.readexactly(len(OK)) == OK
            writer.close()
    assert proxy.decisions == [("allowed", "")]


@pytest.mark.parametrize("name", ["evil.test", None, "x.shop.test"])
async def test_a_tunnel_is_for_the_host_it_was_asked_for(name: str | None) -> None:
    """Else a listed host of a large hoster would open all that is hosted there."""
    from tests.sandbox.egress.test_hello import hello

    async with origin() as server:
        # the check is for the port of TLS, which a test cannot listen on: send what would arrive
        from agentstead.sandbox.egress import conversation

        policy = near(server)
        before, conversation.TLS_PORT = conversation.TLS_PORT, server.port
        try:
            async with proxied(policy, LOCAL) as proxy:
                said = await proxy.tunnel(f"shop.test:{server.port}", hello(name))
                good = await proxy.tunnel(f"shop.test:{server.port}", hello("Shop.Test"))
                clear = await proxy.tunnel(f"shop.test:{server.port}", b"GET / HTTP/1.1\r\n\r\n")
        finally:
            conversation.TLS_PORT = before
    assert said.endswith(b"\x15\x03\x01\x00\x02\x02\x70")
    assert b"\x15\x03\x01" not in good
    assert clear.endswith(b"\x15\x03\x01\x00\x02\x02\x70")
    assert proxy.decisions == [
        ("allowed", ""), ("denied", "name"), ("allowed", ""), ("allowed", ""), ("denied", "name"),
    ]  # fmt: skip
    assert [bool(seen) for seen in server.seen] == [False, True, False]


async def test_a_tunnel_of_an_unrestricted_sandbox_may_carry_anything() -> None:
    async with origin() as server:
        policy = near(server, mode="unrestricted", hosts=())
        async with proxied(policy, LOCAL) as proxy:
            target = f"shop.test:{server.port}"
            said = await proxy.send(
                f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\nearly\r\n\r\n".encode()
            )
    assert said.endswith(OK)
    assert server.seen == [b"early\r\n\r\n"]


# --- limits


async def test_more_connections_than_allowed_are_told_so() -> None:
    async with proxied(bounds=Bounds(connections_max=3)) as proxy:
        held = [await asyncio.open_connection("127.0.0.1", proxy.port) for _ in range(3)]
        await asyncio.sleep(0.05)
        said = await proxy.get("http://a.test/")
        assert said.startswith(b"HTTP/1.1 503 This sandbox has 3 connections open")
        for _, writer in held:
            writer.close()
        await asyncio.sleep(0.05)
        assert (await proxy.get("http://a.test/")).startswith(b"HTTP/1.1 502 ")
    assert proxy.decisions[0] == ("denied", "connections")


async def test_a_head_without_end_is_refused() -> None:
    async with proxied(bounds=Bounds(head_bytes_max=4096)) as proxy:
        said = await proxy.send(b"GET http://a.test/ HTTP/1.1\r\nX: " + b"x" * 5000)
    assert said.startswith(b"HTTP/1.1 431 ")


async def test_who_sends_byte_by_byte_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    from agentstead.sandbox.egress import conversation
    from agentstead.sandbox.egress import proxy as proxies

    monkeypatch.setattr(conversation, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(proxies, "SWEEP_SECONDS", 0.05)
    async with proxied() as proxy, asyncio.timeout(5):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        sent = 0
        try:
            while not reader.at_eof():
                writer.write(b"G")
                await writer.drain()
                sent += 1
                await asyncio.sleep(0.02)
        except ConnectionError:
            pass
        writer.close()
    assert sent > 3


async def test_an_idle_tunnel_is_cut_and_a_busy_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    from agentstead.sandbox.egress import proxy as proxies

    monkeypatch.setattr(proxies, "SWEEP_SECONDS", 0.05)
    async with origin(lambda seen: seen) as server:
        policy = near(server)
        async with proxied(policy, LOCAL, bounds=Bounds(idle_seconds=0.4)) as proxy:
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            target = f"shop.test:{server.port}"
            writer.write(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
            await reader.readuntil(b"\r\n\r\n")
            for _ in range(4):
                writer.write(b"x")
                await asyncio.sleep(0.2)
            assert not reader.at_eof()
            async with asyncio.timeout(3):
                with suppress(ConnectionError):
                    while await reader.read(100):
                        pass
            writer.close()


async def test_the_bytes_of_an_hour_run_out_and_come_back() -> None:
    time = [1e9]
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100000
    async with origin(answer) as server:
        policy = near(server)
        async with proxied(policy, LOCAL, bytes_max=150_000, now=lambda: time[0]) as proxy:
            url = f"http://shop.test:{server.port}/"
            assert len(await proxy.get(url)) > 100_000
            assert len(await proxy.get(url)) < 100_000
            said = await proxy.get(url)
            assert said.startswith(b"HTTP/1.1 403 This sandbox has moved the 0 MiB")
            assert b"in about 60 min" in said
            time[0] += 3600
            assert len(await proxy.get(url)) > 100_000
    assert ("denied", "bytes") in proxy.decisions


async def test_it_ends_when_nobody_has_come_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    from agentstead.sandbox.egress import proxy as proxies
    from agentstead.sandbox.egress.dial import Dialer
    from agentstead.sandbox.egress.meter import Meter

    monkeypatch.setattr(proxies, "SWEEP_SECONDS", 0.02)
    listener = socket.create_server(("127.0.0.1", 0))
    made = proxies.Proxy(
        Policy(), Dialer(Policy()), Meter(1), lambda _: None, Bounds(rest_seconds=0.1)
    )
    async with asyncio.timeout(3):
        await made.serve(listener, lambda: None)
