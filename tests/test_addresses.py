"""What is not the public internet is refused, in whatever form it is written; which spellings are hosts."""

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentstead.addresses import (
    METADATA,
    host_of,
    is_of_this_host,
    literal,
    networks,
    port_of,
    refusal,
)

DOCUMENTATION = networks(
    ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20"]
)
"""Python counts them as private; some networks run public services there."""
REFUSED = {
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "::1": "loopback",
    "::ffff:127.0.0.1": "loopback",
    "::127.0.0.1": "loopback",
    "64:ff9b::7f00:1": "loopback",
    "::ffff:0:127.0.0.1": "loopback",
    "0.0.0.0": "unspecified",
    "::": "unspecified",
    "10.1.2.3": "private",
    "172.31.255.255": "private",
    "192.168.0.1": "private",
    "fd00:ec2::254": "private",
    "100.100.100.200": "shared",
    "169.254.169.254": "link-local",
    "::ffff:169.254.169.254": "link-local",
    "fe80::1%eth0": "link-local",
    "168.63.129.16": "metadata",
    "2002:7f00:1::": "reserved",
    "2600::5efe:10.0.0.1": "private",
    "2600::200:5efe:127.0.0.1": "loopback",
    "192.0.0.192": "reserved",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2": "reserved",
    "224.0.0.1": "multicast",
    "ff02::1": "multicast",
    "255.255.255.255": "reserved",
    "4000::1": "reserved",
    "localhost": "unreadable",
    "0x7f.1": "unreadable",
    "": "unreadable",
}


@pytest.mark.parametrize(("address", "kind"), REFUSED.items())
def test_refused(address: str, kind: str) -> None:
    assert refusal(address) == kind


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "172.32.0.1", "2606:4700::1111", "64:ff9b::101:101"]
)
def test_the_public_internet_is_reached(address: str) -> None:
    assert refusal(address) is None


def test_what_an_operator_lists_is_allowed_and_nothing_beside_it() -> None:
    listed = networks(["127.0.0.0/8", " ::1 ", "10.1.2.3"])
    assert refusal("127.0.0.1", listed) is None
    assert refusal("::ffff:127.0.0.1", listed) is None
    assert refusal("::1", listed) is None
    assert refusal("10.1.2.3", listed) is None
    assert refusal("10.1.2.4", listed) == "private"
    assert refusal("169.254.169.254", listed) == "link-local"


def test_what_is_no_network_is_named() -> None:
    with pytest.raises(ValueError, match="localhost"):
        networks(["10.0.0.0/8", "localhost"])


@given(st.ip_addresses())
def test_nothing_that_python_counts_as_local_passes(address: ipaddress.IPv4Address) -> None:
    """Python's own properties are a second opinion: what they hold for local, we refuse too."""
    if any(address in network for network in DOCUMENTATION):
        return
    if address.is_private or address.is_link_local or address.is_multicast:
        assert refusal(str(address))


@pytest.mark.parametrize("address", sorted(METADATA, key=str))
def test_no_listed_network_opens_a_metadata_service(address: object) -> None:
    assert refusal(str(address), networks(["0.0.0.0/0", "::/0", str(address)]))


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("Example.COM", "example.com"),
        ("example.com.", "example.com"),
        ("localhost", "localhost"),
        ("_dns.example", "_dns.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("1.1.1.1", "1.1.1.1"),
        ("1.1.1.1.", "1.1.1.1"),
        ("[2606:4700:0:0::1111]", "2606:4700::1111"),
        ("2606:4700::1111", "2606:4700::1111"),
        ("[::FFFF:127.0.0.1]", str(ipaddress.ip_address("::ffff:127.0.0.1"))),
        ("3com.example", "3com.example"),
    ],
)
def test_spellings_of_a_host(text: str, host: str) -> None:
    assert host_of(text) == host
    assert host_of(host) == host


@pytest.mark.parametrize(
    "text",
    [
        "", ".", "..", "a..b", ".a", "a b", "a/b", "a:80", "user@a", "a?b", "a#b", "a\\b", "a\nb", "a\0b", "a%62",
        "-a.example", "a-.example", "a" * 64 + ".example", "a." * 127 + "example", "*.example",
        "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "017700000001", "127.0.0.1.1",
        "127.0.0.01", "127.0.0.256", "127.0.0.0x1", "a.0x", "example.1", "1.2.3.4..",
        "[127.0.0.1]", "[::1", "::1]", "[fe80::1%eth0]", "fe80::1%1", "[::1%]", "[]", "[v1.x]", "::12345",
        "\N{FULLWIDTH DIGIT ONE}27.0.0.1", "b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example",
        "127\N{IDEOGRAPHIC FULL STOP}0.0.1", "\N{CIRCLED LATIN SMALL LETTER L}ocalhost",
        "example.com\N{FULLWIDTH FULL STOP}",
    ],
)  # fmt: skip
def test_what_is_no_host(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        host_of(text)


@given(st.text(max_size=40))
def test_a_host_is_an_address_to_us_or_to_nobody(text: str) -> None:
    """The C library reads many spellings of an address; none of them passes as a name."""
    try:
        host = host_of(text)
    except ValueError:
        return
    if literal(host) is None:
        with pytest.raises(OSError, match=r"."):
            socket.inet_aton(host)
        assert host_of(host.upper() + ".") == host


@pytest.mark.parametrize("text", ["", "0", "-1", "65536", "8o", " 80", "+80", "\N{SUPERSCRIPT TWO}"])  # fmt: skip
def test_what_is_no_port(text: str) -> None:
    with pytest.raises(ValueError, match="is no port"):
        port_of(text)


def test_an_address_of_this_host_is_known() -> None:
    assert is_of_this_host(ipaddress.ip_address("127.0.0.1"))
    assert not is_of_this_host(ipaddress.ip_address("203.0.113.77"))
