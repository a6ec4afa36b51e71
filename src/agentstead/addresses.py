"""Which network addresses the platform may connect to on behalf of somebody else.

Promises: the answer depends on the address alone, never on a name, so it is asked of the address that
a name was resolved to and that is then connected to. Everything that is not the public internet is
refused: loopback, private, link-local (with the metadata services of clouds), multicast, reserved,
and IPv6 forms that carry such an IPv4 address. Networks that an operator lists are allowed.
Pure but for `is_of_this_host`, standard library only. The list is explicit: what Python counts as
private changes between its versions, has holes, and holds the ranges that were set aside for
documentation, in which some networks run public services.
"""

import re
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

REFUSED_4: tuple[tuple[IPv4Network, str], ...] = tuple(
    (IPv4Network(network), kind)
    for network, kind in (
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "metadata"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.88.99.0/24", "reserved"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "benchmark"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)
REFUSED_6: tuple[tuple[IPv6Network, str], ...] = tuple(
    (IPv6Network(network), kind)
    for network, kind in (
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "private"),
        ("ff00::/8", "multicast"),
        ("2001::/23", "reserved"),
        ("2002::/16", "reserved"),
    )
)
PUBLIC_6 = IPv6Network("2000::/3")
"""The rest of the address space has not been given out."""
CARRIERS = (
    IPv6Network("::ffff:0:0/96"),  # mapped
    IPv6Network("::/96"),  # compatible
    IPv6Network("::ffff:0:0:0/96"),  # translated
    IPv6Network("64:ff9b::/96"),  # NAT64
)
"""IPv6 addresses whose last 32 bits are an IPv4 address."""
ISATAP = (0x00005EFE, 0x02005EFE)
"""Third quarter of an IPv6 address whose last quarter is an IPv4 address."""
METADATA: frozenset[Address] = frozenset(
    ip_address(text)
    for text in (
        "169.254.169.254", "169.254.170.2", "169.254.170.23", "100.100.100.200", "168.63.129.16",
        "192.0.0.192", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254",
    )
)  # fmt: skip
"""Where clouds hand out the credentials of a machine; no network that an operator lists opens them."""
NAME_MAX = 253
NAME = re.compile(
    r"([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
)
NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
OPENING = re.compile(
    r"(?:\[(?P<inside>.+)\]|(?P<bare>[0-9.]+(?:/[0-9]+)?|(?=.*:.*:)[0-9a-fA-F:./]+))(?::(?P<port>.*))?"
)
PORT_MAX = 65535


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Networks or single addresses as an operator lists them; ValueError names the first that is none."""
    found = []
    for text in texts:
        try:
            found.append(ip_network(text.strip(), strict=False))
        except ValueError:
            raise ValueError(
                f'"{text}" is not an address or a network, e.g. 10.0.0.0/8 or ::1'
            ) from None
    return tuple(found)


def refusal(address: str, allowed: Sequence[Network] = ()) -> str | None:
    """Why this address is not connected to (`loopback`, `private`, …); None: it may be.

    `allowed` goes before everything but metadata services. A text that is not an address is refused.
    """
    try:
        parsed = plain(ip_address(address.partition("%")[0]))
    except ValueError:
        return "unreadable"
    listed = any(parsed.version == network.version and parsed in network for network in allowed)
    if listed and parsed not in METADATA:
        return None
    if isinstance(parsed, IPv4Address):
        return next((kind for network, kind in REFUSED_4 if parsed in network), None)
    for network, kind in REFUSED_6:
        if parsed in network:
            return kind
    return None if parsed in PUBLIC_6 else "reserved"


def plain(address: Address) -> Address:
    """The IPv4 address that an IPv6 address carries, where it does."""
    if isinstance(address, IPv6Address) and int(address) > 1:
        for carrier in CARRIERS:
            if address in carrier:
                return IPv4Address(int(address) & 0xFFFFFFFF)
        if (int(address) >> 32 & 0xFFFFFFFF) in ISATAP:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def port_of(text: str) -> int:
    """The number of a port; ValueError when it is none."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= PORT_MAX):
        raise ValueError(f"{text!r} is no port: ports go from 1 to {PORT_MAX}")
    return int(text)


@dataclass(frozen=True, slots=True)
class Opening:
    """Addresses that the operator opens although they are not public, at one port or at all (None)."""

    network: Network
    port: int | None = None

    def covers(self, address: str, port: int) -> bool:
        """Whether it opens this address and port."""
        return self.port in (None, port) and plain(ip_address(address)) in self.network


def opening(text: str) -> Opening:
    """An opening as operators write it: `10.1.0.0/16`, `127.0.0.1:9000`, `[fd00::/8]:443`.

    ValueError says what is wrong with it.
    """
    form = OPENING.fullmatch(text)
    try:
        network = ip_network((form["inside"] or form["bare"]) if form else "")
    except ValueError:
        raise ValueError(
            f'"{text}" is no network: write 10.1.0.0/16, 127.0.0.1:9000 or [fd00::/8]:443'
        ) from None
    port = form["port"] if form else None
    return Opening(network, None if port is None else port_of(port))


def host_of(text: str) -> str:
    """A host as it is compared: lower case, without the final dot, addresses in one spelling.

    ValueError for what is no host in its usual spelling: other ways to write an address (`127.1`,
    `0x7f000001`, `017700000001`, `fe80::1%eth0`), a user or port beside it, characters outside of
    ASCII (a name of other letters is written `xn--…`), names that end in a number.
    """
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if bare != text or ":" in bare:
        if "%" in bare:
            raise ValueError(f"{text!r} is no host: an address may name no interface")
        return str(IPv6Address(bare))
    host = text.lower().removesuffix(".")
    if NUMBER.fullmatch(host.rpartition(".")[2]):
        # whatever ends in a number is an address to somebody; only one spelling is one to us
        return str(IPv4Address(host))
    if len(host) > NAME_MAX or not NAME.fullmatch(host):
        raise ValueError(f"{text!r} is no host name")
    return host


def literal(host: str) -> Address | None:
    """The address that a host (from `host_of`) is; None for a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def is_of_this_host(address: Address) -> bool:
    """Whether it is this machine's own, whatever range it is from; sends nothing."""
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            # the kernel reaches an address of its own from that very address
            probe.connect((str(address), 9))
            return ip_address(probe.getsockname()[0]) == address
    except OSError:
        return False


def listed(hosts: Iterable[str], host: str) -> bool:
    """Whether a list of hosts holds this one; `*.x` stands for every name below x, not for x."""
    for one in hosts:
        allowed = one.lower()
        if host == allowed or (allowed.startswith("*.") and host.endswith(allowed[1:])):
            return True
    return False
