"""Bodies of `multipart/form-data`, read as they come.

Promises: nothing of a part is kept here, however large it is; a body that is malformed, cut off or
beyond its limit raises (`Invalid`, `TooLarge`) where it is read; a part without a file name is as
good as one with it, whoever reads it decides by its field.
"""

from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from agentstead.errors import Invalid, TooLarge

OVERHEAD_BYTES = 64 << 10
"""What a form may be larger than the file in it: boundaries, headers, short fields."""
HEADER_BYTES_MAX = 8 << 10
PARTS_MAX = 1000
TEXT_BYTES_MAX = 4 << 10
ESCAPED = (("%22", '"'), ("%0D", "\r"), ("%0A", "\n"))
"""What HTML forms, and clients that follow them, escape in the names of files."""

CUT = "The request body ends before the form in it does."


@dataclass(frozen=True, slots=True)
class Head:
    """What a part says of itself."""

    field: str
    file_name: str | None
    """As it was sent, folders included; None when there is none."""
    content_type: str | None


Piece = Head | bytes | None
"""The head of a part, some of its data, or its end."""


class Form:
    """The form of one request."""

    def __init__(self, request: Request, field: str, bytes_max: int) -> None:
        self.field = field
        """Which part of it is large."""
        self.bytes_max = bytes_max
        self.size = 0
        self.pieces: deque[Piece] = deque()
        self.ended = False
        self._source = request.stream()
        self._headers: dict[str, str] = {}
        self._name, self._value = b"", b""
        self._parts = 0
        self._parser = MultipartParser(
            boundary(request), self._callbacks(), max_header_size=HEADER_BYTES_MAX
        )
        length = request.headers.get("content-length", "")
        if length.isdigit() and int(length) > bytes_max + OVERHEAD_BYTES:
            raise too_large(field, bytes_max)

    async def __aiter__(self) -> AsyncIterator["Part"]:
        """The parts, in order; what is left unread of one is skipped."""
        while True:
            piece = await self._next()
            if isinstance(piece, Head):
                yield Part(piece, self)
            elif self.ended and not self.pieces:
                return

    async def data(self) -> AsyncIterator[bytes]:
        """The data of the part whose head came last."""
        while (piece := await self._next()) is not None:
            assert isinstance(piece, bytes), "a part has one head"
            yield piece

    async def _next(self) -> Piece:
        while not self.pieces and not self.ended:
            await self._read()
        return self.pieces.popleft() if self.pieces else None

    async def _read(self) -> None:
        try:
            chunk = await anext(self._source, None)
        except ClientDisconnect:
            raise Invalid(CUT) from None
        if chunk is None:
            raise Invalid(CUT)
        self.size += len(chunk)
        if self.size > self.bytes_max + OVERHEAD_BYTES:
            raise too_large(self.field, self.bytes_max)
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise Invalid(f"The request body is not a valid form: {error}.") from None

    def _callbacks(self) -> Any:
        return {
            "on_part_begin": self._part_begins,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_ends,
            "on_headers_finished": self._part_heads,
            "on_part_data": lambda data, start, end: self.pieces.append(data[start:end]),
            "on_part_end": lambda: self.pieces.append(None),
            "on_end": self._ends,
        }

    def _ends(self) -> None:
        self.ended = True

    def _part_begins(self) -> None:
        self._parts += 1
        if self._parts > PARTS_MAX:
            raise Invalid(f"A form has at most {PARTS_MAX} parts.")
        self._headers = {}

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_ends(self) -> None:
        name = self._name.decode("latin-1").lower()
        try:
            self._headers[name] = self._value.decode()
        except UnicodeDecodeError:
            raise Invalid("The headers of a form's part must be UTF-8.") from None
        self._name, self._value = b"", b""

    def _part_heads(self) -> None:
        kind, options = options_of(self._headers.get("content-disposition", ""))
        field = options.get("name")
        if kind != "form-data" or field is None:
            raise Invalid('Every part of a form needs Content-Disposition: form-data; name="…".')
        name = options.get("filename")
        for escaped, character in ESCAPED if name else ():
            assert name is not None
            name = name.replace(escaped, character)
        self.pieces.append(Head(field, name, self._headers.get("content-type")))


class Part:
    """One part of a form, to be read before the next."""

    def __init__(self, head: Head, form: Form) -> None:
        self.field = head.field
        self.file_name = head.file_name
        self.content_type = head.content_type
        self._form = form

    def data(self) -> AsyncIterator[bytes]:
        """What is in it, as it comes."""
        return self._form.data()

    async def text(self) -> str:
        """The whole of a short part; Invalid when it is long or not UTF-8."""
        whole = b""
        async for chunk in self.data():
            whole += chunk
            if len(whole) > TEXT_BYTES_MAX:
                raise Invalid(f"{self.field}: Should have at most {TEXT_BYTES_MAX} bytes.")
        try:
            return whole.decode()
        except UnicodeDecodeError:
            raise Invalid(f"{self.field}: Not valid UTF-8.") from None


def boundary(request: Request) -> str:
    """What separates the parts; Invalid when the request has no form."""
    kind, options = options_of(request.headers.get("content-type", ""))
    found = options.get("boundary", "")
    if kind != "multipart/form-data" or not 1 <= len(found) <= 200:
        raise Invalid("Content-Type: Expected multipart/form-data with a boundary.")
    return found


def options_of(header: str) -> tuple[str, dict[str, str]]:
    """The value of a header and its parameters."""
    # The parser keeps to Latin-1, as headers do; what is beyond it travels through escaped.
    value, options = parse_options_header(header.encode().decode("latin-1"))
    return value.decode(errors="replace"), {
        name.decode(errors="replace"): text.decode(errors="replace")
        for name, text in options.items()
    }


def too_large(field: str, bytes_max: int) -> TooLarge:
    """The refusal of what is uploaded in this field."""
    return TooLarge(f"{field}: At most {bytes_max} bytes are allowed.")
