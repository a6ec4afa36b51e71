"""The server name of a TLS hello: read as real clients write it, and not read at all where it is odd."""

import ssl
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentstead.sandbox.egress.hello import Incomplete, NoHello, server_name


def hello(name: str | None) -> bytes:
    """What OpenSSL sends first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def records(message: bytes, size: int) -> bytes:
    """The same message in several records."""
    parts = [message[at : at + size] for at in range(0, len(message), size)]
    return b"".join(b"\x16\x03\x01" + struct.pack(">H", len(part)) + part for part in parts)


def test_a_name_is_read() -> None:
    assert server_name(hello("shop.example")) == "shop.example"
    assert server_name(hello(None)) is None


def test_it_may_come_in_pieces() -> None:
    data = hello("shop.example")
    for end in range(len(data)):
        with pytest.raises(Incomplete):
            server_name(data[:end])
    cut = records(data[5:], 100)
    assert server_name(cut) == "shop.example"
    with pytest.raises(Incomplete):
        server_name(cut[:-1])


def changed(edit: str) -> bytes:
    data = hello("shop.example")
    body = data[9:]
    at = body.index(b"\x00\x00\x00\x11\x00\x0f\x00\x00\x0cshop.example")
    extension = body[at : at + 21]
    if edit == "twice":
        lengths = at - 2
        # the block of extensions begins right before the first one
        start = next(
            n for n in range(at, 0, -1) if struct.unpack(">H", body[n - 2 : n])[0] == len(body) - n
        )
        total = struct.pack(">H", len(body) - start + len(extension))
        body = body[: start - 2] + total + body[start:] + extension
        assert lengths
    elif edit == "two names":
        two = b"\x00\x00\x00\x20\x00\x1e\x00\x00\x0cshop.example\x00\x00\x0cevil.example"
        start = next(
            n for n in range(at, 0, -1) if struct.unpack(">H", body[n - 2 : n])[0] == len(body) - n
        )
        total = struct.pack(">H", len(body) - start + len(two) - len(extension))
        body = body[: start - 2] + total + body[start:at] + two + body[at + 21 :]
    elif edit == "not ascii":
        body = body.replace(b"shop.example", b"sh\xffp.example")
    elif edit == "tail":
        body += b"x"
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    if edit == "second message":
        message += b"\x01\x00\x00\x00"
    return records(message, 1 << 14)


@pytest.mark.parametrize("edit", ["twice", "two names", "not ascii", "tail", "second message"])
def test_what_two_readers_could_read_differently_is_refused(edit: str) -> None:
    with pytest.raises(NoHello):
        server_name(changed(edit))
    assert server_name(changed("nothing")) == "shop.example"


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"\x80\x2e\x01\x00\x02",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\xff\xff",
        b"\x16\x02\x01\x00\x05",
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",
        b"\x16\x03\x01\x00\x04\x01\xff\xff\xff",
        b"\x17\x03\x01\x00\x04\x01\x00\x00\x00",
    ],
)
def test_what_is_no_hello(data: bytes) -> None:
    with pytest.raises(NoHello):
        server_name(data)


@given(st.binary(max_size=300), st.integers(0, 2000))
def test_no_bytes_break_it(noise: bytes, at: int) -> None:
    data = bytearray(hello("shop.example"))
    data[at : at + len(noise)] = noise
    try:
        name = server_name(bytes(data))
    except (Incomplete, NoHello):
        return
    assert name is None or name.isascii()
