"""What becomes of a message on its way: nothing, or secrets for placeholders and back.

In the headers of an answer a secret becomes its placeholder again, so that a cookie made of it can be
sent back; in a body it is overwritten with as many asterisks, so that no length changes. What is
packed is unpacked to be searched, though it is asked for as it is.
"""

import zlib
from collections.abc import Iterator, Sequence
from typing import Protocol

import h11

from agentstead.sandbox.egress.credential import (
    FILL,
    Credential,
    UnfitForHeader,
    body_words,
    echoes,
    in_header,
)
from agentstead.sandbox.egress.dial import Unreachable
from agentstead.sandbox.egress.headers import Headers, end_to_end, first, without
from agentstead.sandbox.egress.replacing import Replacer

ADDRESSING = (b"host", b"content-length")
"""Headers that say where a message goes and where it ends."""
UNPACKED_BYTES = 256 << 10
"""At once, however well it was packed."""
GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


class Change(Protocol):
    """What becomes of one request and its answer."""

    rewrites_body: bool
    """Whether the body that is sent may have another length than the one that came."""

    @property
    def names(self) -> str:
        """The credentials that were used so far, for the log."""
        ...

    def request(self, request: h11.Request) -> Headers:
        """The headers that are sent to the other end."""
        ...

    def body(self, data: bytes, *, last: bool = False) -> bytes:
        """The next bytes of the request's body."""
        ...

    def response(self, response: h11.Response | h11.InformationalResponse) -> Headers:
        """The headers of the answer; asked before any of its body."""
        ...

    def answer(self, data: bytes, *, last: bool = False) -> Iterator[bytes]:
        """The next bytes of the answer's body."""
        ...


class Unchanged:
    """Everything goes on as it came."""

    rewrites_body = False
    names = ""

    def request(self, request: h11.Request) -> Headers:
        """As they came."""
        return end_to_end(request)

    def body(self, data: bytes, *, last: bool = False) -> bytes:  # noqa: ARG002
        """As it came."""
        return data

    def response(self, response: h11.Response | h11.InformationalResponse) -> Headers:
        """As they came."""
        return end_to_end(response)

    def answer(self, data: bytes, *, last: bool = False) -> Iterator[bytes]:  # noqa: ARG002
        """As it came."""
        yield data


class Substitution:
    """Secrets for placeholders, under TLS, to a host that they are for; raises Unreachable."""

    def __init__(self, request: h11.Request, credentials: Sequence[Credential]) -> None:
        self._credentials = credentials
        self._used: dict[str, None] = {}
        self._sent: list[bytes] = []
        """What stands in a header and holds a secret in a form that is not searched for anyhow."""
        self._headers = [self._header(*pair) for pair in end_to_end(request)]
        words = body_words(credentials, first(request.headers, b"content-type"))
        self.rewrites_body = bool(words)
        self._outward = Replacer(words)
        forms = {form for one in credentials for form in echoes(one.secret)} | {*self._sent}
        self._masks = {form: FILL * len(form) for form in forms if form}
        self._inward = Replacer(self._masks)
        self._packed: zlib._Decompress | None = None

    @property
    def names(self) -> str:
        """The credentials that were used so far, for the log."""
        used = [one for one in self._credentials if one.placeholder in self._outward.found]
        return ",".join(dict.fromkeys([*self._used, *(one.name for one in used)]))

    def request(self, request: h11.Request) -> Headers:  # noqa: ARG002
        """With secrets; the answer is asked for in a form that can be searched."""
        return [*without(self._headers, b"accept-encoding"), (b"Accept-Encoding", b"identity")]

    def body(self, data: bytes, *, last: bool = False) -> bytes:
        """With secrets."""
        return self._outward.feed(data, last=last)

    def response(self, response: h11.Response | h11.InformationalResponse) -> Headers:
        """With placeholders."""
        headers = [(name, self._masked(value)) for name, value in end_to_end(response)]
        packing = first(headers, b"content-encoding").strip().lower()
        if packing in (b"", b"identity") or response.status_code < 200:
            return headers
        if packing not in (b"gzip", b"x-gzip", b"deflate"):
            raise Unreachable(
                "encoding",
                f"The server's answer is packed ({packing.decode('latin-1')}) though it was asked for"
                " as it is, so it cannot be searched for secrets.",
            )
        self._packed = zlib.decompressobj(GZIP_OR_ZLIB)
        return without(headers, b"content-encoding", b"content-length")

    def answer(self, data: bytes, *, last: bool = False) -> Iterator[bytes]:
        """Without secrets."""
        for piece in self._unpacked(data):
            yield self._inward.feed(piece)
        if last:
            yield self._inward.feed(b"", last=True)

    def _header(self, name: bytes, value: bytes) -> tuple[bytes, bytes]:
        if name.lower() in ADDRESSING:
            return name, value
        try:
            changed, used = in_header(value, self._credentials)
        except UnfitForHeader as error:
            raise Unreachable(
                "credential", f"The secret of {error} has characters that no header can have."
            ) from None
        for one in used:
            self._used[one.name] = None
        if used and changed.lower().startswith(b"basic "):
            self._sent.append(changed[6:])
        return name, changed

    def _masked(self, value: bytes) -> bytes:
        for one in self._credentials:
            if one.masked:
                value = value.replace(one.secret, one.placeholder)
        return Replacer(self._masks).feed(value, last=True)

    def _unpacked(self, data: bytes) -> Iterator[bytes]:
        if self._packed is None:
            yield data
            return
        try:
            yield from self._unpack(self._packed, data)
        except zlib.error:
            raise ConnectionResetError from None

    def _unpack(self, packed: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
        if packed.eof and data:
            packed = self._packed = zlib.decompressobj(GZIP_OR_ZLIB)  # another one behind it
        while data:
            yield packed.decompress(data, UNPACKED_BYTES)
            data = packed.unconsumed_tail
        while rest := packed.decompress(b"", UNPACKED_BYTES):
            yield rest
        if packed.unused_data:
            yield from self._unpack(packed, packed.unused_data)
