"""Cursors: opaque, and bound to their list and order."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentstead.api.paging import Cursor, cursor, limit, page
from agentstead.api.query import Query
from agentstead.errors import Invalid


def read(
    text: str, kind: str = "k", order: str = "asc", key: tuple[type, ...] = (str, int)
) -> Cursor | None:
    return cursor(Query(f"page={text}".encode()), kind, order, key)


@given(
    st.text(alphabet=st.characters(exclude_characters="\x00", codec="utf-8")),
    st.integers(-(2**61), 2**61),
    st.booleans(),
)
def test_a_cursor_comes_back_as_it_was(word: str, number: int, backwards: bool) -> None:
    made = Cursor("k", "asc", (word, number), backwards)
    assert made.text().startswith("page_")
    assert read(made.text()) == made


# wire §1.8: it encodes the order that produced it.
def test_a_cursor_is_refused_elsewhere() -> None:
    text = Cursor("k", "asc", ("a", 1)).text()
    with pytest.raises(Invalid, match=r"^page: This cursor was made with order=asc"):
        read(text, order="desc")
    for wrong in (
        lambda: read(text, kind="other"),
        lambda: read(text, key=(int, int)),
        lambda: read(text, key=(str,)),
    ):
        with pytest.raises(Invalid, match=r"^page: This is not a cursor of this list"):
            wrong()


def packed(value: object) -> str:
    return "page_" + base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


# Bad input: unknown cursor.
@pytest.mark.parametrize(
    "text",
    ["x", "page_", "page_!!!", "page_e30", packed(1), packed(["k", "asc"]), packed(["k", "up", 0, "a", 1]),
     packed(["k", "asc", 2, "a", 1]), packed(["k", "asc", 0, "a\x00", 1]), packed(["k", "asc", 0, "a", 2**70]),
     packed(["k", "asc", 0, "a", True]), packed([[], "asc", 0, "a", 1]), packed(["k", [], 0, "a", 1])],
)  # fmt: skip
def test_a_malformed_cursor_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match=r"^page: This is not a cursor of this list"):
        read(text)


def test_no_cursor_is_the_first_page() -> None:
    assert cursor(Query(b""), "k", "asc", (str,)) is None
    assert cursor(Query(b"page="), "k", "asc", (str,)) is None
    assert limit(Query(b""), 20, 100) == 20
    assert limit(Query(b"limit=3"), 20, 100) == 3
    assert page([1], None) == {"data": [1], "next_page": None}
