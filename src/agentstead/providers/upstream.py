"""Where the models' upstreams are; one that is this server itself is refused at start.

It happens easily: `ANTHROPIC_BASE_URL` points clients at Agentstead, and the server inherits it.
"""

import ipaddress
import socket
from urllib.parse import urlsplit

from agentstead.errors import Misconfigured
from agentstead.settings import Settings

ANYWHERE = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - compared with, not bound to


def refuse_self(settings: Settings) -> None:
    """Raise Misconfigured when a model upstream is the address this server listens on."""
    upstreams = {
        "AGENTSTEAD_ANTHROPIC_BASE_URL (or ANTHROPIC_BASE_URL)": settings.anthropic_base_url,
        "AGENTSTEAD_OPENAI_BASE_URL": settings.openai_base_url,
    }
    for setting, url in upstreams.items():
        if url is not None and is_self(url, settings.host, settings.port):
            raise Misconfigured(
                f"{setting} is {url}, which is this server itself: models would call it for ever. "
                "Unset it, or point it at the model's own API."
            )


def is_self(url: str, host: str, port: int) -> bool:
    """Whether a URL leads to a server that listens on `host` and `port`."""
    parts = urlsplit(url if "//" in url else f"//{url}")
    target_port = parts.port or {"http": 80}.get(parts.scheme, 443)
    if target_port != port or parts.hostname is None:
        return False
    theirs = addresses(parts.hostname)
    if host in ANYWHERE:
        return any(is_local(address) for address in theirs)
    ours = addresses(host)
    both_loopback = any(a.is_loopback for a in ours) and any(a.is_loopback for a in theirs)
    return both_loopback or bool(ours & theirs)


Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def addresses(host: str) -> set[Address]:
    """What a host name stands for; empty when nobody knows it."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return set()
    return {ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found}


def is_local(address: Address) -> bool:
    """Whether an address is one of this machine's: only those can be bound to."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return False
    return True
