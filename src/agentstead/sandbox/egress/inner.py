"""HTTP inside a tunnel whose TLS ends here: only to hosts that credentials are for.

Each request asks for the credentials anew, so that a rotated or archived one counts at once, and gets
a connection of its own to a server that proved who it is. A WebSocket goes through as it is; with a
placeholder in its first words it is refused, since its answers could not be searched.
"""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import h11

from agentstead.sandbox.egress import tunnel
from agentstead.sandbox.egress.authority import Authority
from agentstead.sandbox.egress.change import Change, Substitution, Unchanged
from agentstead.sandbox.egress.conversation import Conversation
from agentstead.sandbox.egress.credential import Credential, UnfitForHeader, in_header
from agentstead.sandbox.egress.dial import Connected, Denied, Dialer, Unreachable
from agentstead.sandbox.egress.exchange import Exchange
from agentstead.sandbox.egress.headers import end_to_end, first, words
from agentstead.sandbox.egress.policy import Denial
from agentstead.sandbox.egress.secure import Secure
from agentstead.sandbox.egress.stream import Sink, Stream
from agentstead.sandbox.egress.target import Target, inner_target

HANDSHAKE_SECONDS = 15.0
BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
"""Where systems keep the authorities they trust; the interpreter may have been built for another one."""


class Keeps(Protocol):
    """Who knows the credentials."""

    async def credentials(self, host: str) -> Sequence[Credential]:
        """Those for a host, now; raises Unreachable."""
        ...


class Within(Stream):
    """What a client says under TLS, on the connection it says it on."""

    def __init__(self, outer: Stream, secure: Secure) -> None:
        super().__init__(secure, secure, outer.meter, outer.idle_seconds)
        self._outer = outer

    def patience(self, seconds: float) -> None:  # type: ignore[explicit-override]
        """The connection's."""
        self._outer.patience(seconds)

    def toward(self, far: Sink | None) -> None:  # type: ignore[explicit-override]
        """The connection's."""
        self._outer.toward(far)


@dataclass(frozen=True, slots=True)
class Edge:
    """What it takes to end a client's TLS, and to begin another one."""

    authority: Authority
    keeper: Keeps
    trust: ssl.SSLContext
    """What servers must prove themselves to."""
    dialer: Dialer
    say: Callable[[dict[str, Any]], None]
    head_bytes: int

    async def concerns(self, host: str) -> bool:
        """Whether a credential is for this host; raises Unreachable."""
        return bool(await self.keeper.credentials(host))

    async def talk(self, stream: Stream, hello: bytes, target: Target, far: Connected) -> None:
        """Be that host to the client, from its hello on."""
        near = Secure(
            stream.reader, stream.writer, self.authority.context(target.host), first=hello
        )
        stream.patience(HANDSHAKE_SECONDS)
        try:
            await near.handshake()
        except (ssl.SSLError, EOFError):
            self.say(
                {"decision": "failed", "reason": "trust", "method": "CONNECT", "host": target.host,
                 "port": target.port, "address": None}
            )  # fmt: skip
            return
        await Inner(self, Within(stream, near), target, far).run()
        near.write_eof()
        await near.drain()


class Inner(Conversation):
    """The requests of one tunnel."""

    def __init__(self, edge: Edge, stream: Within, tunnel_to: Target, far: Connected) -> None:
        super().__init__(stream, edge.dialer, edge.say, limited=False, head_bytes=edge.head_bytes)
        self._edge = edge
        self._tunnel_to = tunnel_to
        self._spare: Connected | None = far
        self._change: Change = Unchanged()

    def _target(self, request: h11.Request) -> Target:  # type: ignore[explicit-override]
        host = first(request.headers, b"host")
        return inner_target(request.target, host or None, self._tunnel_to)

    async def _reach(  # type: ignore[explicit-override]
        self, request: h11.Request, target: Target
    ) -> Connected:
        credentials = await self._edge.keeper.credentials(target.host)
        self._change = Unchanged()
        if _upgrades(request):
            _check_bare(request, credentials)
        elif credentials:
            self._change = Substitution(request, credentials)
        spare, self._spare = self._spare, None
        if spare is not None:
            try:
                return await self._proven(target, spare)
            except ConnectionError:
                pass  # it grew old while the client thought
        try:
            bare = Target(target.host, target.port)
            return await self._proven(target, await self._dialer.connect(bare))
        except ConnectionError as error:
            raise Unreachable("tls", f"{target.host} does not speak TLS here: {error}.") from None

    async def _proven(self, target: Target, far: Connected) -> Connected:
        """The same under TLS; ConnectionError when that does not come about."""
        secure = Secure(far.reader, far.writer, self._edge.trust, host=target.host)
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                await secure.handshake()
        except ssl.SSLCertVerificationError as error:
            far.writer.transport.abort()
            raise Unreachable(
                "certificate",
                f"{target.host} does not prove to be {target.host} ({error.verify_message}), so it"
                " gets no credential. The operator of this platform can add the authority that"
                " vouches for it.",
            ) from None
        except (OSError, EOFError) as error:
            far.writer.transport.abort()
            reason = getattr(error, "reason", "") or "it hung up"
            raise ConnectionResetError(reason.lower().replace("_", " ")) from None
        return Connected(secure, secure, far.address)

    async def _carry_out(  # type: ignore[explicit-override]
        self, request: h11.Request, target: Target, far: Connected
    ) -> bool:
        self._stream.toward(far.writer)
        try:
            if _upgrades(request):
                await self._upgrade(request, target, far)
                return False
            exchange = Exchange(self._stream, self._http, far, self._head_bytes, self._change)
            return await self._guarded(exchange, exchange.run(request, target), target)
        finally:
            self._report(
                request.method.decode("ascii"), target, far=far, credentials=self._change.names
            )
            self._stream.toward(None)
            far.writer.transport.abort()

    async def _upgrade(self, request: h11.Request, target: Target, far: Connected) -> None:
        lines = [f"{request.method.decode('ascii')} {target.path} HTTP/1.1".encode("ascii")]
        lines += [name + b": " + value for name, value in end_to_end(request)]
        upgrade = first(request.headers, b"upgrade")
        lines += [b"Upgrade: " + upgrade, b"Connection: Upgrade", b"", b""]
        after, _ = self._http.trailing_data
        await tunnel.pump(self._stream, b"\r\n".join(lines) + after, far)


def _upgrades(request: h11.Request) -> bool:
    return b"websocket" in words(request.headers, b"upgrade")


def _check_bare(request: h11.Request, credentials: Sequence[Credential]) -> None:
    """Denied when the request would need a secret."""
    for _, value in request.headers:
        try:
            _, used = in_header(value, credentials)
        except UnfitForHeader as error:
            raise Denied(_unsearchable(str(error))) from None
        if used:
            raise Denied(_unsearchable(used[0].name))


def _unsearchable(name: str) -> Denial:
    return Denial(
        "upgrade",
        f"The credential {name} does not go into WebSockets, whose answers cannot be searched for it.",
        501,
    )


def trust(authorities: str) -> ssl.SSLContext:
    """What servers must prove themselves to: the system's authorities, and these (PEM)."""
    context = ssl.create_default_context()
    for bundle in BUNDLES:
        try:
            context.load_verify_locations(bundle)
        except OSError:
            continue
    if authorities:
        context.load_verify_locations(cadata=authorities)
    context.set_alpn_protocols(["http/1.1"])
    return context
