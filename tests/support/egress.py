"""An egress proxy in this process, the servers it may or may not reach, and bytes to throw at it."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentstead.sandbox.egress.authority import Authority, Made, made
from agentstead.sandbox.egress.credential import Credential
from agentstead.sandbox.egress.dial import Dialer, Unreachable, Upstream
from agentstead.sandbox.egress.inner import Edge, trust
from agentstead.sandbox.egress.meter import Meter
from agentstead.sandbox.egress.policy import Policy
from agentstead.sandbox.egress.proxy import Bounds, Proxy

Answer = Callable[[bytes], bytes]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
WAIT_SECONDS = 5.0


@dataclass
class Origin:
    """A server that writes down what reaches it, byte by byte."""

    port: int = 0
    seen: list[bytes] = field(default_factory=list)
    connections: int = 0


@asynccontextmanager
async def origin(
    answer: Answer | bytes = OK, *, tls: ssl.SSLContext | None = None, address: str = "127.0.0.1"
) -> AsyncIterator[Origin]:
    """Answers every head of a request; what follows a head is written down too."""
    found = Origin()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found.connections += 1
        number = len(found.seen)
        found.seen.append(b"")
        answered = False
        try:
            while data := await reader.read(65536):
                found.seen[number] += data
                if not answered and b"\r\n\r\n" in found.seen[number]:
                    answered = True
                    said = answer(found.seen[number]) if callable(answer) else answer
                    writer.write(said)
                    await writer.drain()
                    if b"close" in said or not said:
                        break
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(talk, address, 0, ssl=tls)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()


@dataclass
class Running:
    """A proxy, and what it said."""

    port: int
    records: list[dict[str, Any]]
    asked: list[str]
    """Names that were looked up."""

    @property
    def decisions(self) -> list[tuple[str, str]]:
        """What was decided, and why."""
        return [(one["decision"], one["reason"]) for one in self.records if "decision" in one]

    async def send(self, *parts: bytes, end: bool = True) -> bytes:
        """Everything that comes back for these bytes, until it hangs up."""
        async with asyncio.timeout(WAIT_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                for part in parts:
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(0)
                if end:
                    writer.write_eof()
                return await reader.read(-1)
            except OSError:
                return b""
            finally:
                writer.close()

    @asynccontextmanager
    async def secure(
        self, target: str, tls: ssl.SSLContext, name: str | None = None
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """TLS through a tunnel, as a program speaks it."""
        async with asyncio.timeout(WAIT_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                writer.write(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
                head = await reader.readuntil(b"\r\n\r\n")
                if b" 200 " not in head:
                    raise ConnectionRefusedError(head + await reader.read())
                await writer.start_tls(tls, server_hostname=name or target.rpartition(":")[0])
                yield reader, writer
            finally:
                writer.transport.abort()

    async def ask(self, target: str, tls: ssl.SSLContext, *lines: str, body: bytes = b"") -> bytes:
        """One request inside a tunnel; everything that comes back."""
        async with self.secure(target, tls) as (reader, writer):
            head = [*lines, f"Host: {target}", "Connection: close", "", ""]
            writer.write("\r\n".join(head).encode() + body)
            return await reader.read()

    async def get(self, url: str, *lines: str) -> bytes:
        """A plain request for a whole URL."""
        host = url.split("//")[1].partition("/")[0]
        head = [f"GET {url} HTTP/1.1", f"Host: {host}", *lines, "Connection: close", "", ""]
        return await self.send("\r\n".join(head).encode())

    async def tunnel(self, target: str, *parts: bytes) -> bytes:
        """What a tunnel gives."""
        return await self.send(
            f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode(), *parts
        )


@dataclass
class Edged:
    """Credentials of a proxy, as the platform tells them: host → credentials; KeyError for none."""

    trusted: str
    told: dict[str, list[Credential]]
    own: Made = field(default_factory=made)
    questions: list[str] = field(default_factory=list)
    broken: bool = False

    async def credentials(self, host: str) -> list[Credential]:
        """The platform's answer."""
        self.questions.append(host)
        if self.broken:
            raise Unreachable("credentials", "Nobody can tell.", 503)
        return self.told.get(host, [])

    def opened(self, dialer: Dialer, say: Callable[[dict[str, Any]], None], head: int) -> Edge:
        """What ends TLS."""
        return Edge(Authority(self.own), self, trust(self.trusted), dialer, say, head)

    def client(self) -> ssl.SSLContext:
        """What a program inside trusts."""
        context = ssl.create_default_context(cadata=self.own.certificate)
        context.set_alpn_protocols(["h2", "http/1.1"])
        return context


LookUp = Callable[[str], Awaitable[Sequence[str]]]


@asynccontextmanager
async def proxied(
    policy: Policy | None = None,
    resolve: dict[str, list[list[str]]] | None = None,
    *,
    bounds: Bounds | None = None,
    bytes_max: int = 1 << 40,
    upstream: Upstream | None = None,
    edge: "Edged | None" = None,
    now: Callable[[], float] = lambda: 1e9,
) -> AsyncIterator[Running]:
    """A proxy. `resolve`: name → what its first, second, … look-up gives."""
    answers = {name: list(each) for name, each in (resolve or {}).items()}
    listener = socket.create_server(("127.0.0.1", 0))
    found = Running(listener.getsockname()[1], [], [])

    async def look_up(host: str, port: int) -> Sequence[str]:
        found.asked.append(host)
        if not answers.get(host):
            raise OSError("no such name")
        return answers[host].pop(0) if len(answers[host]) > 1 else answers[host][0]

    policy = policy or Policy()
    bounds = bounds or Bounds(rest_seconds=60)
    dialer = Dialer(policy, upstream, look_up)
    opener = edge and edge.opened(dialer, found.records.append, bounds.head_bytes_max)
    meter = Meter(bytes_max, now=now)
    proxy = Proxy(policy, dialer, meter, found.records.append, bounds, opener)
    task = asyncio.create_task(proxy.serve(listener, lambda: None))
    try:
        yield found
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def certificate(folder: Path, *names: str) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS for these names, and the file of the authority that vouches for it."""
    import datetime as dt

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test authority")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    file, authority = folder / "server.pem", folder / "authority.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = made.public_bytes(serialization.Encoding.PEM)
    file.write_bytes(private + public)
    authority.write_bytes(public)
    authority.chmod(0o644)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context, authority
