"""The headers of an archive, as `tar` has them: written, and read again.

A name, a link or a size that does not fit a plain header is said in a pax record before it. What is
read may be anybody's: whatever is not as it is written here is Damaged.
"""

import zlib

BLOCK = 512
FILE, TWIN, LINK, FOLDER, PIPE = b"0", b"1", b"2", b"5", b"6"
"""Kinds; a twin is another name of a file that came before."""
RECORDS = b"x"
RECORDS_MAX = 1 << 20
OWNER = 1000
"""Whom files belong to inside."""
NAME_BYTES = 100
DIGITS_MAX = 20
NUMBER_MAX = 8**11 - 1
MODES = 0o1777
"""Of a mode; nothing is ever run with its owner's rights."""
MAGIC = b"ustar\x0000" + bytes(247)
SPACES = 8 * 32
"""What stands for the sum of a header while it is taken."""
BINARY = b"21 hdrcharset=BINARY\n"
NAME = b"GNU.sparse.name"
SIZE = b"GNU.sparse.realsize"


class Damaged(Exception):
    """The archive is not what was written."""


class Header:
    """What is said of one entry."""

    __slots__ = ("kind", "mode", "path", "size", "sparse", "target", "time")

    def __init__(
        self, path: bytes, kind: bytes, mode: int, time: int, size: int = 0, target: bytes = b""
    ) -> None:
        self.path = path
        """Relative, from the name of the tree on."""
        self.kind = kind
        self.mode = mode
        self.time = time
        """When it was last written, seconds since the epoch."""
        self.size = size
        """Bytes in the archive, without what fills the last block."""
        self.target = target
        self.sparse: int | None = None
        """The length of a file whose parts are listed before they come; None: it has no holes."""

    def blocks(self) -> bytes:
        """As it stands in the archive."""
        records: dict[bytes, bytes] = {}
        name = self.path
        if self.sparse is not None:
            sparse = {b"GNU.sparse.major": b"1", b"GNU.sparse.minor": b"0"}
            records = {**sparse, NAME: name, SIZE: b"%d" % self.sparse}
            name = b"sparse"
        elif len(name) > NAME_BYTES:
            records[b"path"] = name
        if len(self.target) > NAME_BYTES:
            records[b"linkpath"] = self.target
        size = self.size
        if size > NUMBER_MAX:
            records[b"size"] = b"%d" % size
            size = 0
        plain = _plain(name, self.kind, self.mode, self.time, size, self.target)
        if not records:
            return plain
        said = b"".join(_record(key, value) for key, value in records.items())
        if not all(_readable(value) for value in records.values()):
            said = BINARY + said
        first = _plain(b"././@PaxHeader", RECORDS, 0, 0, len(said), b"")
        return first + said + bytes(-len(said) % BLOCK) + plain

    def learn(self, records: dict[bytes, bytes]) -> None:
        """Take in what a record says that came before."""
        self.path = records.get(b"path", self.path)
        self.target = records.get(b"linkpath", self.target)
        self.size = _number(records.get(b"size", b"%d" % self.size), 10)
        if NAME in records:
            self.path = records[NAME]
            self.sparse = _number(records.get(SIZE, b""), 10)


def read_plain(block: bytes) -> Header:
    """What a plain header says."""
    said = _number(block[148:156].rstrip(b"\0 "), 8)
    if said != _sum(block[:148]) + SPACES + _sum(block[156:]):
        raise Damaged("the sum of a header is wrong")
    return Header(
        block[:100].partition(b"\0")[0],
        block[156:157],
        _number(block[100:108].rstrip(b"\0 "), 8) & MODES,
        _number(block[136:148].rstrip(b"\0 "), 8),
        _number(block[124:136].rstrip(b"\0 "), 8),
        block[157:257].partition(b"\0")[0],
    )


def read_records(data: bytes) -> dict[bytes, bytes]:
    """Pax records."""
    records, at = {}, 0
    while at < len(data):
        blank = data.find(b" ", at, at + DIGITS_MAX)
        length = _number(data[at:blank], 10) if blank > 0 else 0
        key, between, value = data[blank + 1 : at + length].partition(b"=")
        if not between or not value.endswith(b"\n"):
            raise Damaged("a record is none")
        records[key] = value[:-1]
        at += length
    return records


def _number(digits: bytes, base: int) -> int:
    # int() takes a sign, and lines between digits
    if not digits.isdigit():
        raise Damaged("a number is none")
    try:
        return int(digits, base)
    except ValueError:
        raise Damaged("a number is none") from None


def _plain(name: bytes, kind: bytes, mode: int, time: int, size: int, target: bytes) -> bytes:
    numbers = b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (mode & MODES, OWNER, OWNER, size, time)
    first = name[:NAME_BYTES].ljust(NAME_BYTES, b"\0") + numbers
    last = kind + target[:NAME_BYTES].ljust(NAME_BYTES, b"\0") + MAGIC
    return b"%b%06o\0 %b" % (first, _sum(first) + SPACES + _sum(last), last)


def _sum(data: bytes) -> int:
    """Of its bytes, fast: Adler's sum wraps at a number that two whole names do not reach."""
    return (zlib.adler32(data) - 1) & 0xFFFF


def _record(key: bytes, value: bytes) -> bytes:
    """A record; its length counts the digits of the length too."""
    rest = len(key) + len(value) + len(b" =\n")
    length = rest
    while length != rest + len(str(length)):
        length = rest + len(str(length))
    return b"%d %b=%b\n" % (length, key, value)


def _readable(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
