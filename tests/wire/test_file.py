"""Names and types of files."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentstead.errors import Invalid
from agentstead.wire.file import FORBIDDEN, HEAD_BYTES, NAME_MAX, file_name, mime_type, unnamed


@given(st.text(max_size=300))
def test_a_stored_name_is_one_plain_component(sent: str) -> None:
    try:
        name = file_name(sent)
    except Invalid:
        return
    if name is not None:
        assert 1 <= len(name) <= NAME_MAX
        assert not FORBIDDEN.search(name)
        assert name not in (".", "..")


@pytest.mark.parametrize(
    ("declared", "name", "head", "found"),
    [
        ("Text/CSV; charset=x", "a.md", b"", "text/csv"),
        ("nonsense", "a.md", b"", "text/markdown"),
        ("a/b/c", None, b"GIF89a", "image/gif"),
        ("application/octet-stream", "a.PDF", b"", "application/pdf"),
        (None, "a.none", b"\xff\xd8\xff\xe0", "image/jpeg"),
        (None, None, b"PK\x03\x04", "application/zip"),
        (None, None, "grün".encode(), "text/plain"),
        (None, None, "grün".encode()[:-2], "application/octet-stream"),
        (None, None, b"x" * (HEAD_BYTES - 1) + b"\xc3", "text/plain"),
        (None, None, b"\xc3" + b"x" * (HEAD_BYTES - 1), "application/octet-stream"),
        (None, None, b"bell \x07", "application/octet-stream"),
        (None, None, b"", "application/octet-stream"),
    ],
)
def test_a_type_is_found(declared: str | None, name: str | None, head: bytes, found: str) -> None:
    assert mime_type(declared, name, head) == found


def test_a_file_without_a_name_gets_one() -> None:
    assert unnamed("image/png") == "unnamed.png"
    assert unnamed("application/octet-stream") == "unnamed"
    assert unnamed("x/none-such") == "unnamed"
