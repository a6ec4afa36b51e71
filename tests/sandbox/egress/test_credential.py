"""How a secret is written where its placeholder stood, and every way it is recognised."""

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentstead.sandbox.egress.credential import (
    Credential,
    UnfitForHeader,
    body_words,
    echoes,
    in_header,
)
from agentstead.sandbox.egress.replacing import Replacer

PLACEHOLDER = b"ph_0123456789"


def credential(secret: str, *, header: bool = True, body: bool = True) -> Credential:
    """One of API_KEY."""
    return Credential("API_KEY", PLACEHOLDER, secret.encode(), header, body)


def header(value: bytes, secret: str, **more: bool) -> bytes:
    """What becomes of a header's value."""
    return in_header(value, [credential(secret, **more)])[0]


def test_a_header() -> None:
    assert header(b"Bearer ph_0123456789", "s&%") == b"Bearer s&%"
    assert header(b"a ph_0123456789, ph_0123456789", "s") == b"a s, s"
    assert header(b"Bearer ph_012345678", "s") == b"Bearer ph_012345678"
    assert header(b"Bearer ph_0123456789", "s", header=False) == b"Bearer ph_0123456789"


def test_basic_authorization() -> None:
    sent = b"Basic " + base64.b64encode(b"me:ph_0123456789")
    assert header(sent, "s") == b"Basic " + base64.b64encode(b"me:s")
    assert header(sent.rstrip(b"="), "s") == b"Basic " + base64.b64encode(b"me:s")
    assert header(b"Basic !!", "s") == b"Basic !!"
    assert header(sent, "line\nbreak") == b"Basic " + base64.b64encode(b"me:line\nbreak")


def test_a_secret_that_no_header_can_have() -> None:
    with pytest.raises(UnfitForHeader, match="API_KEY"):
        header(b"Bearer ph_0123456789", "a\r\nEvil: yes")


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        (b"application/json; charset=utf-8", b'a\\"b\\n&\\u00e4'),
        (b"application/vnd.api+json", b'a\\"b\\n&\\u00e4'),
        (b"Application/X-www-form-urlencoded", b"a%22b%0A%26%C3%A4"),
        (b"text/plain", b'a"b\n&\xc3\xa4'),
        (b"", b'a"b\n&\xc3\xa4'),
    ],
)
def test_a_body_is_written_as_its_type_is(kind: bytes, written: bytes) -> None:
    secret = 'a"b\n&ä'
    assert body_words([credential(secret)], kind) == {PLACEHOLDER: written}
    assert body_words([credential(secret, body=False)], kind) == {}


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8"), min_size=8, max_size=60), st.binary(max_size=4))
def test_every_usual_form_of_a_secret_is_recognised(secret: str, before: bytes) -> None:
    raw = secret.encode()
    masks = {form: b"*" * len(form) for form in echoes(raw)}
    forms = [
        raw,
        json.dumps(secret).encode(),
        quote(secret, safe="").encode(),
        quote_plus(secret).encode(),
        quote(secret, safe="").lower().encode() if secret.islower() else raw,
        raw.hex().encode(),
        base64.b64encode(before + raw + b"\n"),
        base64.urlsafe_b64encode(before + raw),
    ]
    for form in forms:
        shown = Replacer(masks).feed(b"<" + form + b">", last=True)
        assert raw not in shown
        assert b"*" * 8 in shown
        if form is forms[-1]:
            # not more than a byte at either end of it can be read back
            assert len(shown.replace(b"*", b"").strip(b"<>=")) <= len(base64.b64encode(before)) + 4


def test_short_secrets_are_like_words() -> None:
    assert list(echoes(b"1234567")) == []
    assert not credential("1234567").masked


def test_nothing_that_shows_a_credential_shows_its_secret() -> None:
    assert "hidden" not in repr(credential("hidden-value")) + str([credential("hidden-value")])
