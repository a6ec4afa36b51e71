"""Which headers of a message go on to the other end, and what a few of them say. Pure."""

from collections.abc import Iterable

import h11

HOP = {
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection",
    b"te", b"trailer", b"transfer-encoding", b"upgrade", b"http2-settings",
}  # fmt: skip
Headers = list[tuple[bytes, bytes]]
Message = h11.Request | h11.Response | h11.InformationalResponse


def end_to_end(message: Message) -> Headers:
    """The headers that are meant for the other end, spelled as they came."""
    named = words(message.headers, b"connection")
    return [pair for pair in message.headers.raw_items() if pair[0].lower() not in HOP | named]


def words(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> set[bytes]:
    """The words of a header that is a list, in lower case."""
    return {
        word.strip().lower() for key, value in headers if key == name for word in value.split(b",")
    }


def first(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes:
    """A header's value; nothing when it is not there. `name` in lower case."""
    return next((value for key, value in headers if key.lower() == name), b"")


def without(headers: Headers, *names: bytes) -> Headers:
    """The headers but these, named in lower case."""
    return [pair for pair in headers if pair[0].lower() not in names]


def chunked(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether the message comes in chunks."""
    return any(name == b"transfer-encoding" for name, _ in headers)
