"""What a request asks for, read strictly: one spelling of a host, one host in a request. Pure."""

from dataclasses import dataclass

from agentstead.addresses import host_of, port_of

HTTP_PORT, TLS_PORT = 80, 443


class BadTarget(Exception):
    """The request names no host, or names it in a way that two programs could read differently."""

    def __init__(self, sentence: str, status: int = 400) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes."""

    host: str
    """As it is compared: lower case, no final dot, an address in its one spelling."""
    port: int
    path: str = ""
    """With its query; empty for a tunnel."""
    secure: bool = False
    """A request that goes on under TLS."""

    @property
    def authority(self) -> str:
        """As a `Host` header and a proxy's CONNECT write it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = TLS_PORT if self.secure else HTTP_PORT
        return host if self.path and self.port == default else f"{host}:{self.port}"


def tunnel_target(target: bytes) -> Target:
    """Of `CONNECT host:port`."""
    host, port = _authority(target)
    if port is None:
        raise BadTarget("CONNECT needs a host and a port, for example example.com:443.")
    return Target(host, port)


def plain_target(target: bytes, host_header: bytes | None) -> Target:
    """Of a request with a whole URL, whose Host header must agree with it."""
    scheme, mark, rest = target.partition(b"://")
    if not mark or scheme.lower() != b"http":
        raise BadTarget(
            "This is a proxy: it takes requests for whole http:// URLs, and CONNECT for others."
        )
    end = min((at for at in map(rest.find, (b"/", b"?", b"#")) if at >= 0), default=len(rest))
    host, port = _authority(rest[:end])
    path = rest[end:].partition(b"#")[0]
    if not path.startswith(b"/"):
        path = b"/" + path
    found = Target(host, port or HTTP_PORT, path.decode("ascii"))
    if host_header is not None:
        named, named_port = _authority(host_header)
        if (named, named_port or HTTP_PORT) != (found.host, found.port):
            raise BadTarget(
                f"The Host header names {named}, and the URL {found.host}: they must agree."
            )
    return found


def inner_target(target: bytes, host_header: bytes | None, tunnel: Target) -> Target:
    """Of a request inside a tunnel whose TLS ended here; it must be for the tunnel's host."""
    if not target.startswith(b"/") and target != b"*":
        raise BadTarget("Inside a tunnel a request names a path, for example /v1/things.")
    if host_header is not None:
        named, port = _authority(host_header)
        if (named, port or TLS_PORT) != (tunnel.host, tunnel.port):
            raise BadTarget(
                f"The Host header names {named}, and the tunnel is for {tunnel.authority}: they must"
                " agree.",
                421,
            )
    return Target(tunnel.host, tunnel.port, target.decode("ascii"), secure=True)


def _authority(text: bytes) -> tuple[str, int | None]:
    """Host and port; a user beside them would be read as the host by some."""
    if b"@" in text:
        raise BadTarget("A URL with a user name in it is not understood here.")
    bare, mark, port = text.rpartition(b":")
    if b":" in bare and not bare.startswith(b"["):
        raise BadTarget("An IPv6 address is written in brackets.")
    try:
        if not mark or text.endswith(b"]"):
            return host_of(text.decode("ascii")), None
        return host_of(bare.decode("ascii")), port_of(port.decode("ascii"))
    except ValueError as error:
        raise BadTarget(f"The host of this request cannot be read: {error}") from None
