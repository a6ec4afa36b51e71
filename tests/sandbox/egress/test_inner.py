"""Tunnels to hosts that credentials are for: what goes out, what comes back, and what stays shut."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from agentstead.addresses import opening
from agentstead.sandbox.egress.credential import Credential
from agentstead.sandbox.egress.exchange import WHOLE_BYTES_MAX
from agentstead.sandbox.egress.policy import Policy
from tests.support.egress import Edged, Running, certificate, origin, proxied
from tests.support.reflecting import Reflecting, reflecting

SECRET = "canary-s3cret/value+1"
PLACEHOLDER = "ph_0123456789abcdef"
KEY = Credential("API_KEY", PLACEHOLDER.encode(), SECRET.encode(), header=True, body=True)


@dataclass
class Stage:
    """A proxy in front of a server that says everything back."""

    proxy: Running
    mirror: Reflecting
    edge: Edged

    @property
    def target(self) -> str:
        """Of a tunnel to it."""
        return f"shop.test:{self.mirror.port}"

    async def ask(self, *lines: str, body: bytes = b"") -> bytes:
        """A request of a program that trusts the sandbox's authority."""
        return await self.proxy.ask(self.target, self.edge.client(), *lines, body=body)


@asynccontextmanager
async def staged(
    folder: Path, *credentials: Credential, names: tuple[str, ...] = ("shop.test",)
) -> AsyncIterator[Stage]:
    tls, authority = certificate(folder, *names)
    edge = Edged(authority.read_text(), {"shop.test": list(credentials)})
    async with reflecting(tls) as mirror:
        policy = Policy(openings=(opening(f"127.0.0.1:{mirror.port}"),))
        near = {"shop.test": [["127.0.0.1"]], "other.test": [["127.0.0.1"]]}
        async with proxied(policy, near, edge=edge) as proxy:
            yield Stage(proxy, mirror, edge)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(tmp_path, KEY) as made:
        yield made


async def test_headers_get_secrets_and_give_placeholders_back(stage: Stage) -> None:
    said = await stage.ask("GET /raw HTTP/1.1", f"Authorization: Bearer {PLACEHOLDER}")
    (seen,) = stage.mirror.seen
    assert seen.headers["authorization"] == f"Bearer {SECRET}"
    assert seen.headers["accept-encoding"] == "identity"
    assert seen.headers["host"] == stage.target
    assert b"canary" not in said
    head, _, body = said.partition(b"\r\n\r\n")
    assert f"X-Token: Bearer {PLACEHOLDER}".encode() in head
    # a cookie made of it can be sent back
    assert f"token=Bearer {PLACEHOLDER};".encode() in head
    assert b"*" * len(SECRET) in body
    assert f"Content-Length: {len(body)}".encode() in head
    assert stage.proxy.decisions == [("allowed", ""), ("allowed", "")]
    assert [one.get("credentials") for one in stage.proxy.records[:2]] == [None, "API_KEY"]
    assert "canary" not in str(stage.proxy.records)


@pytest.mark.parametrize("kind", ["base64", "url", "gzip", "drip"])
async def test_answers_that_say_it_in_another_form(stage: Stage, kind: str) -> None:
    basic = base64.b64encode(f"user:{PLACEHOLDER}".encode()).decode()
    said = await stage.ask(f"POST /{kind} HTTP/1.1", f"Authorization: Basic {basic}",
                           "Content-Length: 19", body=PLACEHOLDER.encode())  # fmt: skip
    (seen,) = stage.mirror.seen
    sent = base64.b64encode(f"user:{SECRET}".encode())
    assert seen.headers["authorization"] == f"Basic {sent.decode()}"
    assert seen.body == SECRET.encode()
    assert b"HTTP/1.1 200" in said
    assert b"*" * 20 in said
    plain = said + b"".join(
        base64.b64decode(word + b"==") for word in said.split() if word.isalnum() and len(word) > 40
    )
    for form in (
        SECRET.encode(),
        sent,
        base64.b64encode(SECRET.encode())[:-4],
        b"canary-s3cret%2F",
    ):
        assert form not in plain
    assert b"Content-Encoding" not in said


async def test_an_answer_packed_in_a_way_that_cannot_be_searched_is_refused(stage: Stage) -> None:
    said = await stage.ask("GET /brotli HTTP/1.1", f"X-Key: {PLACEHOLDER}")
    assert said.startswith(b"HTTP/1.1 502 ")
    assert b"X-Agentstead-Denied: encoding" in said


async def test_a_body_with_a_length_is_sent_with_its_new_length(stage: Stage) -> None:
    body = f'{{"key": "{PLACEHOLDER}"}}'.encode()
    await stage.ask("POST /raw HTTP/1.1", "Content-Type: application/json", "Expect: 100-continue",
                    f"Content-Length: {len(body)}", body=body)  # fmt: skip
    (seen,) = stage.mirror.seen
    assert seen.body == f'{{"key": "{SECRET}"}}'.encode()
    assert seen.headers["content-length"] == str(len(seen.body))
    assert "expect" not in seen.headers


async def test_no_body_stays_none(stage: Stage) -> None:
    await stage.ask("POST /raw HTTP/1.1", "Content-Length: 0")
    await stage.ask("GET /raw HTTP/1.1")
    posted, got = stage.mirror.seen
    assert (posted.headers["content-length"], posted.chunked) == ("0", False)
    assert ("content-length" in got.headers, got.chunked) == (False, False)


async def test_a_placeholder_cut_by_chunks_is_found(stage: Stage) -> None:
    pieces = [f"a{PLACEHOLDER[:5]}", PLACEHOLDER[5:], PLACEHOLDER[:3], "x"]
    body = b"".join(f"{len(one):x}\r\n{one}\r\n".encode() for one in pieces) + b"0\r\n\r\n"
    await stage.ask("POST /raw HTTP/1.1", "Transfer-Encoding: chunked", body=body)
    (seen,) = stage.mirror.seen
    assert seen.body == f"a{SECRET}ph_x".encode()
    assert seen.chunked


async def test_a_large_body_goes_on_in_chunks_and_is_not_kept(stage: Stage) -> None:
    body = b"a" * (WHOLE_BYTES_MAX - 3) + PLACEHOLDER.encode()
    await stage.ask("POST /sink HTTP/1.1", f"Content-Length: {len(body)}", body=body)
    (seen,) = stage.mirror.seen
    assert seen.chunked
    assert "content-length" not in seen.headers
    assert seen.body.endswith(b"aaa" + SECRET.encode())


@pytest.mark.parametrize(("header", "body"), [(True, False), (False, True)])
async def test_only_where_a_credential_says(tmp_path: Path, header: bool, body: bool) -> None:
    one = Credential("API_KEY", PLACEHOLDER.encode(), SECRET.encode(), header=header, body=body)
    async with staged(tmp_path, one) as stage:
        await stage.ask("POST /raw HTTP/1.1", f"X-Key: {PLACEHOLDER}", "Content-Length: 19",
                        body=PLACEHOLDER.encode())  # fmt: skip
        (seen,) = stage.mirror.seen
    assert (seen.headers["x-key"] == SECRET, seen.body == SECRET.encode()) == (header, body)
    assert seen.headers["content-length"] == str(len(seen.body))


async def test_a_change_of_the_credential_counts_for_the_next_request(stage: Stage) -> None:
    async with stage.proxy.secure(stage.target, stage.edge.client()) as (reader, writer):
        for secret in ("first-value", "second-value", None):
            told = Credential("API_KEY", KEY.placeholder, (secret or "").encode(), True, True)
            stage.edge.told["shop.test"] = [told] if secret else []
            writer.write(
                f"HEAD /raw HTTP/1.1\r\nHost: {stage.target}\r\nX-Key: {PLACEHOLDER}\r\n\r\n".encode()
            )
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    assert [one.headers["x-key"] for one in stage.mirror.seen] == [
        "first-value", "second-value", PLACEHOLDER,
    ]  # fmt: skip


async def test_other_hosts_are_not_touched(stage: Stage, tmp_path: Path) -> None:
    tls, authority = certificate(tmp_path, "other.test")
    async with reflecting(tls) as other:
        target = f"other.test:{other.port}"
        policy = Policy(openings=(opening(f"127.0.0.1:{other.port}"),))
        async with proxied(policy, {"other.test": [["127.0.0.1"]]}, edge=stage.edge) as proxy:
            client = ssl.create_default_context(cadata=authority.read_text())
            said = await proxy.ask(target, client, "GET /raw HTTP/1.1", f"X-Key: {PLACEHOLDER}")
    assert PLACEHOLDER.encode() in said
    assert other.seen[0].headers["x-key"] == PLACEHOLDER


async def test_a_redirect_takes_no_secret_along(stage: Stage) -> None:
    said = await stage.ask(
        "GET /redirect?https://evil.test/ HTTP/1.1", f"Authorization: {PLACEHOLDER}"
    )
    assert b"Location: https://evil.test/?token=****" in said
    assert b"canary" not in said


async def test_a_server_that_cannot_prove_itself_gets_nothing(tmp_path: Path) -> None:
    async with staged(tmp_path, KEY, names=("another.test",)) as stage:
        said = await stage.ask("GET /raw HTTP/1.1", f"X-Key: {PLACEHOLDER}")
        assert said.startswith(b"HTTP/1.1 502 ")
        assert b"X-Agentstead-Denied: certificate" in said
        assert stage.mirror.seen == []


async def test_a_server_without_tls_gets_nothing() -> None:
    edge = Edged("", {"shop.test": [KEY]})
    async with reflecting(None) as server:
        policy = Policy(openings=(opening(f"127.0.0.1:{server.port}"),))
        async with proxied(policy, {"shop.test": [["127.0.0.1"]]}, edge=edge) as proxy:
            target = f"shop.test:{server.port}"
            said = await proxy.ask(target, edge.client(), "GET / HTTP/1.1", f"X-Key: {PLACEHOLDER}")
            plain = await proxy.get(f"http://{target}/", f"X-Key: {PLACEHOLDER}")
    assert b"X-Agentstead-Denied: tls" in said
    assert PLACEHOLDER.encode() in plain
    assert [seen.headers["x-key"] for seen in server.seen] == [PLACEHOLDER]


@pytest.mark.parametrize(
    ("lines", "status", "reason"),
    [
        (["GET /raw HTTP/1.1", "Host: evil.test"], b"421", b"malformed"),
        (["GET https://evil.test/raw HTTP/1.1", "Host: {target}"], b"400", b"malformed"),
        (["GET /raw HTTP/1.1", "Host: {target}", "Upgrade: websocket", "Connection: upgrade",
          f"Authorization: {PLACEHOLDER}"], b"501", b"upgrade"),
    ],
)  # fmt: skip
async def test_what_would_take_a_secret_elsewhere_is_refused(
    stage: Stage, lines: list[str], status: bytes, reason: bytes
) -> None:
    async with stage.proxy.secure(stage.target, stage.edge.client()) as (reader, writer):
        text = "\r\n".join([*lines, f"X-Key: {PLACEHOLDER}", "", ""])
        writer.write(text.format(target=stage.target).encode())
        said = await reader.read()
    assert said.startswith(b"HTTP/1.1 " + status)
    assert b"X-Agentstead-Denied: " + reason in said
    assert stage.mirror.seen == []


async def test_a_secret_that_no_header_can_have_is_told(tmp_path: Path) -> None:
    one = Credential("PEM", PLACEHOLDER.encode(), b"line\r\nX-Evil: yes", header=True, body=True)
    async with staged(tmp_path, one) as stage:
        said = await stage.ask("GET /raw HTTP/1.1", f"X-Key: {PLACEHOLDER}")
        assert b"X-Agentstead-Denied: credential" in said
        assert b"The secret of PEM has characters that no header can have." in said
        assert stage.mirror.seen == []


async def test_a_websocket_without_a_secret_goes_through(tmp_path: Path) -> None:
    tls, authority = certificate(tmp_path, "shop.test")
    answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x02hi"
    edge = Edged(authority.read_text(), {"shop.test": [KEY]})
    async with origin(answer, tls=tls) as server:
        policy = Policy(openings=(opening(f"127.0.0.1:{server.port}"),))
        async with proxied(policy, {"shop.test": [["127.0.0.1"]]}, edge=edge) as proxy:
            target = f"shop.test:{server.port}"
            async with proxy.secure(target, edge.client()) as (reader, writer):
                head = f"GET /ws HTTP/1.1\r\nHost: {target}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
                writer.write(head.encode())
                assert (await reader.readuntil(b"hi")).startswith(b"HTTP/1.1 101 ")
                writer.write(b"\x81\x82frame")
                while not server.seen[0].endswith(b"frame"):  # noqa: ASYNC110 - the server has no event
                    await asyncio.sleep(0.01)
    assert server.seen[0].startswith(head.encode()[:-4])


async def test_a_program_that_does_not_trust_the_sandbox_is_told_of(stage: Stage) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        async with stage.proxy.secure(stage.target, ssl.create_default_context()):
            pass
    async with asyncio.timeout(5):
        while stage.proxy.decisions != [("allowed", ""), ("failed", "trust")]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert stage.mirror.seen == []


async def test_nothing_goes_out_while_nobody_can_tell(stage: Stage) -> None:
    stage.edge.broken = True
    with pytest.raises(ConnectionRefusedError, match="503 Nobody can tell"):
        async with stage.proxy.secure(stage.target, stage.edge.client()):
            pass
    assert stage.proxy.decisions == [("failed", "credentials")]


async def test_a_tunnel_in_which_the_server_speaks_first() -> None:
    edge = Edged("", {"shop.test": [KEY]})

    async def banner(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        writer.write(await reader.readline())
        writer.close()

    server = await asyncio.start_server(banner, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    policy = Policy(openings=(opening(f"127.0.0.1:{port}"),))
    async with proxied(policy, {"shop.test": [["127.0.0.1"]]}, edge=edge) as proxy:
        said = await proxy.tunnel(f"shop.test:{port}")
    assert said.endswith(b"220 ready\r\n")
    server.close()
