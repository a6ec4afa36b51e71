"""A credential at the edge: where its secret goes in place of its placeholder, and every way in which
a server may say the secret back. Pure; lives as long as one request.

A secret is written as the program would have written it: escaped in a JSON body, percent-encoded in
a form, base64 inside Basic authorization. Secrets under 8 characters are put in like others and not
looked for in answers: they are too much like words.
"""

import base64
import binascii
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, quote_plus

MASKED_MIN = 8
FILL = b"*"


@dataclass(frozen=True, slots=True)
class Credential:
    """One of a session's credentials, for a host that it is for."""

    name: str
    placeholder: bytes
    secret: bytes
    header: bool
    body: bool

    def __repr__(self) -> str:  # type: ignore[explicit-override]
        """Without the secret: nothing that shows an object may show it."""
        return f"Credential({self.name})"

    @property
    def masked(self) -> bool:
        """Whether answers are searched for it."""
        return len(self.secret.decode()) >= MASKED_MIN

    @staticmethod
    def of(told: dict[str, Any]) -> "Credential":
        """As the platform tells it."""
        return Credential(
            name=str(told["name"]),
            placeholder=str(told["placeholder"]).encode(),
            secret=str(told["secret"]).encode(),
            header=bool(told["header"]),
            body=bool(told["body"]),
        )


class UnfitForHeader(Exception):
    """This secret cannot stand in a header."""


def in_header(value: bytes, credentials: Iterable[Credential]) -> tuple[bytes, list[Credential]]:
    """A header's value with secrets for placeholders, and which; raises UnfitForHeader."""
    given = [one for one in credentials if one.header]
    scheme, space, rest = value.partition(b" ")
    if space and scheme.lower() == b"basic":
        plain = decoded(rest.strip())
        changed, used = _replaced(plain, given)
        return (scheme + b" " + base64.b64encode(changed), used) if used else (value, [])
    changed, used = _replaced(value, given)
    for one in used:
        if any(byte < 0x20 or byte == 0x7F for byte in one.secret):
            raise UnfitForHeader(one.name)
    return changed.strip(), used


def decoded(text: bytes) -> bytes:
    """What base64 stands for; nothing when it is none."""
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        return b""


def _replaced(value: bytes, credentials: list[Credential]) -> tuple[bytes, list[Credential]]:
    used = [one for one in credentials if one.placeholder in value]
    for one in used:
        value = value.replace(one.placeholder, one.secret)
    return value, used


def body_words(credentials: Iterable[Credential], content_type: bytes) -> dict[bytes, bytes]:
    """What goes in place of what in a body of this type."""
    kind = content_type.partition(b";")[0].strip().lower()
    return {one.placeholder: _written(one.secret, kind) for one in credentials if one.body}


def _written(secret: bytes, kind: bytes) -> bytes:
    if kind == b"application/x-www-form-urlencoded":
        return quote_plus(secret).encode()
    if kind == b"application/json" or kind.endswith(b"+json"):
        return json.dumps(secret.decode())[1:-1].encode()
    return secret


def echoes(secret: bytes) -> Iterator[bytes]:
    """Every form in which an answer is searched for a secret."""
    text = secret.decode()
    if len(text) < MASKED_MIN:
        return
    # some servers read a header's bytes as Latin-1
    for read in {text, secret.decode("latin-1")}:
        # what is inside of JSON is said in base64 or in a URL too
        for inside in {read, json.dumps(read)[1:-1], json.dumps(read, ensure_ascii=False)[1:-1]}:
            yield from _forms(inside)


def _forms(text: str) -> Iterator[bytes]:
    raw = text.encode()
    yield raw
    for written in (quote(text, safe=""), quote_plus(text), quote(text)):
        yield written.encode()
        yield _lower_escapes(written).encode()
    yield raw.hex().encode()
    yield raw.hex().upper().encode()
    for shift in range(3):
        inner = _inner_base64(raw, shift)
        yield inner
        yield inner.replace(b"+", b"-").replace(b"/", b"_")


def _lower_escapes(text: str) -> str:
    """The same with `%2f` instead of `%2F`."""
    first, *rest = text.split("%")
    return "%".join([first, *(part[:2].lower() + part[2:] for part in rest)])


def _inner_base64(secret: bytes, shift: int) -> bytes:
    """The characters that base64 gives of a secret whatever stands around it, `shift` bytes before it."""
    text = base64.b64encode(b"\0" * shift + secret)
    begin = (0, 2, 3)[shift]
    odd = (shift + len(secret)) % 3
    end = len(text) - (0, 3, 2)[odd]
    return text[begin:end]
