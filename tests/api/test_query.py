"""Query strings as the official clients write them."""

import pytest

from agentstead.api.query import Query
from agentstead.errors import Invalid


# wire §1.1, §17 trap 5
def test_bracketed_and_bare_repeats_mean_the_same() -> None:
    bracketed = Query(b"statuses%5B%5D=idle&statuses%5B%5D=running")
    bare = Query(b"statuses=idle&statuses=running")
    for query in (bracketed, bare):
        assert query.words("statuses", ("idle", "running")) == ("idle", "running")
    assert Query(b"").words("statuses", ("idle",)) == ()


def test_times_are_read_with_any_offset() -> None:
    query = Query(
        b"created_at%5Bgte%5D=2026-01-01T01:00:00%2B01:00&created_at[lt]=2026-01-01T00:00:01Z"
    )
    assert query.times("created_at") == {"gte": 1767225600.0, "lt": 1767225601.0}


# wire §1.1: `beta` is ignored, and so is what nobody reads.
def test_unknown_parameters_are_ignored() -> None:
    assert Query(b"beta=true&x=1").number("limit", 1, 10) is None


@pytest.mark.parametrize(
    ("text", "ask", "said"),
    [
        (b"limit=0", lambda q: q.number("limit", 1, 10), "limit: Expected a number from 1 to 10."),
        (b"limit=11", lambda q: q.number("limit", 1, 10), "limit: Expected a number from 1 to 10."),
        (b"limit=x", lambda q: q.number("limit", 1, 10), "limit: Expected a whole number."),
        (b"limit=1e3", lambda q: q.number("limit", 1, 10), "limit: Expected a whole number."),
        (b"limit=%C2%B2", lambda q: q.number("limit", 1, 10), "limit: Expected a whole number."),
        (b"a=yes", lambda q: q.flag("a"), "a: Expected true or false."),
        (b"order=up", lambda q: q.choice("order", ("asc", "desc"), "asc"), "order: Expected one of"),
        (b"s[]=a&s[]=b", lambda q: q.words("s", ("a",)), "s.1: Expected one of a."),
        (b"t[]=a" * 1 + b"&t[]=a" * 100, lambda q: q.words("t", ("a",)), "t: At most 100 values"),
        (b"c[gt]=now", lambda q: q.times("c"), "c[gt]: Expected an RFC 3339 time"),
        (b"c[gt]=0001-01-01T00:00:00%2B14:00", lambda q: q.times("c"), "c[gt]: Expected an RFC 3339"),
        (b"c[lt]=9999-12-31T23:59:59-14:00", lambda q: q.times("c"), "c[lt]: Expected an RFC 3339"),
        (b"page=%00", lambda q: q.text("page"), "page: The NUL character"),
    ],
)  # fmt: skip
def test_a_bad_value_is_named(text: bytes, ask, said: str) -> None:
    with pytest.raises(Invalid) as caught:
        ask(Query(text))
    assert caught.value.message.startswith(said)


def test_a_query_string_that_cannot_be_read_is_refused() -> None:
    for text in (b"a=%ff", b"&".join(b"a=1" for _ in range(1001))):
        with pytest.raises(Invalid):
            Query(text)
