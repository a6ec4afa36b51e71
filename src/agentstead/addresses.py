"""Which network addresses the platform may connect to on behalf of somebody else.

Promises: the answer depends on the address alone, never on a name, so it is asked of the address that
a name was resolved to and that is then connected to. Everything that is not the public internet is
refused: loopback, private, link-local (with the metadata services of clouds), multicast, reserved,
and IPv6 forms that carry such an IPv4 address. Networks that an operator lists are allowed.
Pure, standard library only. The list is explicit: what Python counts as private changes between
its versions, and has holes.
"""

from collections.abc import Iterable, Sequence
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
        ("192.0.2.0/24", "documentation"),
        ("192.88.99.0/24", "reserved"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "benchmark"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
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
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "reserved"),
        ("3fff::/20", "documentation"),
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

    `allowed` goes before everything else. A text that is not an address is refused.
    """
    try:
        parsed = plain(ip_address(address.partition("%")[0]))
    except ValueError:
        return "unreadable"
    if any(parsed.version == network.version and parsed in network for network in allowed):
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
    return address
