"""Connects for a sandbox: looks a name up once, checks every address that comes back, and connects
to one of those very addresses. A second look-up could answer differently.

With an upstream proxy the last word on addresses is its own, where this host cannot resolve a name;
what this host can resolve is checked all the same. Addresses that the operator opened are near, so
they are reached without it.
"""

import asyncio
import base64
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

from agentstead.addresses import is_of_this_host, literal
from agentstead.sandbox.egress.policy import Denial, Policy
from agentstead.sandbox.egress.stream import Sink, Source
from agentstead.sandbox.egress.target import Target

RESOLVE_SECONDS = 10.0
CONNECT_SECONDS = 10.0
"""For one address."""
ADDRESSES_MAX = 4
"""Tried of one name."""
STREAM_BYTES = 256 << 10
REPLY_BYTES_MAX = 16 << 10

LookUp = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a name; OSError when there are none."""


class Denied(Exception):
    """The policy refuses."""

    def __init__(self, denial: Denial) -> None:
        super().__init__(denial.sentence)
        self.denial = denial


class Unreachable(Exception):
    """It is allowed, and cannot be reached."""

    def __init__(self, reason: str, sentence: str, status: int = 502) -> None:
        super().__init__(sentence)
        self.denial = Denial(reason, sentence, status, failed=True)


@dataclass(frozen=True, slots=True)
class Upstream:
    """A proxy that everything public goes through."""

    host: str
    port: int
    authorization: str = ""
    """The value of a Proxy-Authorization header."""

    @staticmethod
    def of(url: str) -> "Upstream":
        """From `http://user:password@host:port`; ValueError when it is no such URL."""
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname or parts.path not in ("", "/"):
            raise ValueError("must be http://host:port, with user:password@ where it needs them")
        words = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
        basic = "Basic " + base64.b64encode(words.encode()).decode() if parts.username else ""
        return Upstream(parts.hostname, parts.port or 80, basic)


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection to where a request goes."""

    reader: Source
    writer: Sink
    address: str | None
    """None: an upstream proxy resolves the name."""
    upstream: Upstream | None = None
    """A plain request has to be written for this proxy."""


async def look_up(host: str, port: int) -> Sequence[str]:
    """What this host's resolver says."""
    found = await asyncio.get_running_loop().getaddrinfo(
        host.encode("ascii"), port, type=socket.SOCK_STREAM
    )
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Dialer:
    """Connects under one policy."""

    def __init__(
        self,
        policy: Policy,
        upstream: Upstream | None = None,
        look: LookUp = look_up,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._tls = tls
        """Set: every connection is TLS from here on."""
        self._policy = policy
        self._upstream = upstream
        self._look_up = look

    async def connect(self, target: Target) -> Connected:
        """A connection to an allowed target; raises Denied and Unreachable."""
        denial = self._policy.denial(target.host, target.port)
        if denial:
            raise Denied(denial)
        addresses = await self._addresses(target)
        for address in addresses:
            denial = self._policy.address_denial(
                target.host, target.port, address, own=is_of_this_host(ip_address(address))
            )
            if denial:
                raise Denied(denial)
        near = any(self._policy.opened(address, target.port) for address in addresses)
        if self._upstream is not None and not near:
            return await self._through(self._upstream, target)
        return await self._direct(target, addresses)

    async def _addresses(self, target: Target) -> Sequence[str]:
        written = self._policy.names.get(target.host)
        if written is not None:
            return [written]
        if literal(target.host) is not None:
            return [target.host]
        try:
            async with asyncio.timeout(RESOLVE_SECONDS):
                return await self._look_up(target.host, target.port)
        except (OSError, UnicodeError):  # the former is also a timeout
            if self._upstream is not None:
                return []
            raise Unreachable(
                "unresolved", f"The name {target.host} cannot be resolved from here."
            ) from None

    async def _direct(self, target: Target, addresses: Sequence[str]) -> Connected:
        problem = "no address"
        for address in addresses[:ADDRESSES_MAX]:
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    reader, writer = await asyncio.open_connection(
                        address,
                        target.port,
                        limit=STREAM_BYTES,
                        ssl=self._tls,
                        server_hostname=target.host if self._tls else None,
                    )
                return Connected(reader, writer, address)
            except TimeoutError:
                problem = f"no answer within {CONNECT_SECONDS:g} s"
            except OSError as error:
                problem = error.strerror or str(error)
        raise Unreachable(
            "unreachable", f"{target.host}:{target.port} cannot be connected to: {problem}.", 504
        )

    async def _through(self, upstream: Upstream, target: Target) -> Connected:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                reader, writer = await asyncio.open_connection(
                    upstream.host, upstream.port, limit=STREAM_BYTES
                )
        except OSError:
            raise Unreachable(
                "upstream", "The proxy in front of this platform cannot be reached."
            ) from None
        if target.path and self._tls is None:
            return Connected(reader, writer, None, upstream)
        try:
            async with asyncio.timeout(RESOLVE_SECONDS + CONNECT_SECONDS):
                await self._ask_for_tunnel(upstream, target, reader, writer)
                if self._tls is not None:
                    await writer.start_tls(self._tls, server_hostname=target.host)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            writer.transport.abort()
            raise Unreachable("upstream", "The proxy in front of this platform hung up.") from error
        except BaseException:
            writer.transport.abort()
            raise
        return Connected(reader, writer, None)

    async def _ask_for_tunnel(
        self,
        upstream: Upstream,
        target: Target,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        host = f"[{target.host}]" if ":" in target.host else target.host
        authority = f"{host}:{target.port}"
        lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
        if upstream.authorization:
            lines.append(f"Proxy-Authorization: {upstream.authorization}")
        writer.write("\r\n".join([*lines, "", ""]).encode("ascii"))
        head = await reader.readuntil(b"\r\n\r\n")
        status = head.split(b"\r\n", 1)[0].split(b" ", 2)[1:2]
        if not status or not status[0].startswith(b"2"):
            said = status[0].decode("latin-1") if status else "nonsense"
            raise Unreachable(
                "upstream",
                f"The proxy in front of this platform answered {said} for {target.authority}.",
            )
