"""The first words of TLS: which server name a client asks for. Pure, strict: what is odd is no hello."""

import struct

HANDSHAKE, CLIENT_HELLO, SERVER_NAME, HOST_NAME = 22, 1, 0, 0
HELLO_BYTES_MAX = 32 << 10
RECORD_BYTES_MAX = (16 << 10) + 256
UNRECOGNIZED_NAME = b"\x15\x03\x01\x00\x02\x02\x70"
"""The alert that refuses a server name."""


class NoHello(Exception):
    """These bytes do not begin a TLS connection in the usual way."""


class Incomplete(Exception):
    """More bytes are needed."""


class Reader:
    """Bytes taken from the front."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def rest(self) -> int:
        """How many bytes are left."""
        return len(self._data) - self._at

    def take(self, count: int) -> bytes:
        """The next bytes."""
        if count > self.rest:
            raise NoHello("it ends too early")
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self, size: int) -> int:
        """The next number."""
        return int.from_bytes(self.take(size), "big")

    def block(self, size: int) -> "Reader":
        """What a length of `size` bytes announces."""
        return Reader(self.take(self.number(size)))


def server_name(data: bytes) -> str | None:
    """The name in a client's hello, None when it gives none; raises Incomplete and NoHello."""
    hello = _handshake(data)
    hello.take(2 + 32)
    hello.block(1)
    hello.block(2)
    hello.block(1)
    found: str | None = None
    seen = set()
    extensions = hello.block(2) if hello.rest else Reader(b"")
    while extensions.rest:
        kind, content = extensions.number(2), extensions.block(2)
        if kind in seen:
            raise NoHello("an extension comes twice")
        seen.add(kind)
        if kind == SERVER_NAME:
            found = _name(content)
    if hello.rest:
        raise NoHello("something follows it")
    return found


def _handshake(data: bytes) -> Reader:
    """The hello's body, put together from the records it came in."""
    message, at = b"", 0
    while True:
        header = data[at : at + 5]
        if header[:1] not in (b"", bytes([HANDSHAKE])) or header[1:2] not in (b"", b"\x03"):
            raise NoHello("it is not TLS")
        if len(header) < 5:
            raise Incomplete
        (length,) = struct.unpack(">H", header[3:5])
        if not 0 < length <= RECORD_BYTES_MAX:
            raise NoHello("a record has an impossible length")
        message += data[at + 5 : at + 5 + length]
        at += 5 + length
        if len(message) >= 4:
            size = int.from_bytes(message[1:4], "big")
            if message[0] != CLIENT_HELLO or size > HELLO_BYTES_MAX:
                raise NoHello("it begins with something else")
            if len(message) == 4 + size:
                return Reader(message[4:])
            if len(message) > 4 + size:
                raise NoHello("something follows it")
        if len(data) < at:
            raise Incomplete


def _name(content: Reader) -> str:
    names = content.block(2)
    if content.rest or names.number(1) != HOST_NAME:
        raise NoHello("its server name cannot be read")
    name = names.block(2)
    if names.rest:
        raise NoHello("it gives two server names")
    try:
        return name.take(name.rest).decode("ascii")
    except UnicodeDecodeError:
        raise NoHello("its server name cannot be read") from None
