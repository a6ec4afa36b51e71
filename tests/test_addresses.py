"""What is not the public internet is refused, in whatever form it is written."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentstead.addresses import networks, refusal

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
    if address.is_private or address.is_link_local or address.is_multicast:
        assert refusal(str(address))
