"""What a request asks for: one host, in one spelling, or nothing."""

import pytest

from agentstead.sandbox.egress.target import BadTarget, Target, plain_target, tunnel_target


@pytest.mark.parametrize(
    ("given", "target", "authority"),
    [
        (b"Shop.Example.:443", Target("shop.example", 443), "shop.example:443"),
        (b"1.1.1.1:443", Target("1.1.1.1", 443), "1.1.1.1:443"),
        (b"[2606::1]:443", Target("2606::1", 443), "[2606::1]:443"),
    ],
)
def test_tunnels(given: bytes, target: Target, authority: str) -> None:
    assert tunnel_target(given) == target
    assert tunnel_target(given).authority == authority


@pytest.mark.parametrize(
    "given",
    [
        b"", b"shop.example", b":443", b"shop.example:", b"shop.example:https", b"shop.example:443:443",
        b"user@shop.example:443", b"2606::1:443", b"[::1]", b"[127.0.0.1]:443", b"[fe80::1%25eth0]:443",
        b"127.1:443", b"2130706433:443", b"0x7f.1:443", b"0177.0.0.1:443", b"http://shop.example:443",
        b"shop.example:443/", b"shop.example:0", b"shop.example:65536", b"shop.example:-1",
        b"sh\xc3\xb6p.example:443", b"shop.example%00.evil:443", b"*.example:443",
    ],
)  # fmt: skip
def test_what_is_no_tunnel(given: bytes) -> None:
    with pytest.raises(BadTarget):
        tunnel_target(given)


@pytest.mark.parametrize(
    ("url", "host", "target", "authority"),
    [
        (b"http://a.example", b"a.example", Target("a.example", 80, "/"), "a.example"),
        (b"HTTP://A.Example./x?y=1", b"a.example", Target("a.example", 80, "/x?y=1"), "a.example"),
        (b"http://a.example:8080/", b"A.EXAMPLE:8080", Target("a.example", 8080, "/"), "a.example:8080"),
        (b"http://a.example?x", None, Target("a.example", 80, "/?x"), "a.example"),
        (b"http://a.example/x#part", b"a.example:80", Target("a.example", 80, "/x"), "a.example"),
        (b"http://[2606::1]/", b"[2606::1]", Target("2606::1", 80, "/"), "[2606::1]"),
        (b"http://a.example/@b", b"a.example", Target("a.example", 80, "/@b"), "a.example"),
    ],
)  # fmt: skip
def test_plain_requests(url: bytes, host: bytes | None, target: Target, authority: str) -> None:
    found = plain_target(url, host)
    assert (found, found.authority) == (target, authority)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        (b"/", b"a.example"),
        (b"*", b"a.example"),
        (b"a.example", b"a.example"),
        (b"https://a.example/", b"a.example"),
        (b"ftp://a.example/", b"a.example"),
        (b"http:///x", b"a.example"),
        (b"http://", b"a.example"),
        (b"http://user@a.example/", b"a.example"),
        (b"http://a.example@169.254.169.254/", b"a.example"),
        (b"http://a.example\\@b.example/", b"a.example"),
        (b"http://a.example:80:80/", b"a.example"),
        (b"http://a.example/", b"b.example"),
        (b"http://a.example/", b"a.example:81"),
        (b"http://a.example/", b"a.example, b.example"),
        (b"http://a.example/", b""),
        (b"http://a.example\x00.b/", b"a.example"),
        (b"http://0x7f000001/", b"0x7f000001"),
        (b"http://127.0.0.1.nip.example:x/", b"127.0.0.1.nip.example"),
    ],
)
def test_what_is_no_plain_request(url: bytes, host: bytes) -> None:
    with pytest.raises(BadTarget):
        plain_target(url, host)
