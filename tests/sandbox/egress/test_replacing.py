"""Strings are replaced in a stream as in the whole, however it is cut, and nothing waits without need."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from agentstead.sandbox.egress.replacing import Replacer, beginning

LETTERS = st.lists(st.sampled_from(b"abX"), max_size=40).map(bytes)
WORDS = st.lists(LETTERS.filter(lambda word: len(word) > 1), min_size=1, max_size=3)


@settings(deadline=None)
@given(
    st.lists(LETTERS, max_size=8),
    st.lists(st.sampled_from(b"abX"), min_size=2, max_size=12).map(bytes),
)
def test_one_word_is_replaced_as_in_the_whole(pieces: list[bytes], word: bytes) -> None:
    replacer = Replacer({word: b"-"})
    got = b"".join(replacer.feed(piece) for piece in pieces) + replacer.feed(b"", last=True)
    assert got == b"".join(pieces).replace(word, b"-")


@settings(deadline=None)
@given(st.lists(LETTERS, max_size=8), WORDS)
def test_no_word_of_several_is_left(pieces: list[bytes], words: list[bytes]) -> None:
    replacer = Replacer({word: b"*" * len(word) for word in words})
    got = b"".join(replacer.feed(piece) for piece in pieces) + replacer.feed(b"", last=True)
    assert len(got) == sum(map(len, pieces))
    assert not any(word in got for word in words)


@settings(deadline=None)
@given(LETTERS, LETTERS.filter(bool))
def test_what_is_held_back_is_the_longest_beginning(text: bytes, word: bytes) -> None:
    lengths = [n for n in range(1, len(word)) if text.endswith(word[:n])]
    assert beginning(word, text) == max(lengths, default=0)


def test_an_event_is_passed_on_at_once() -> None:
    replacer = Replacer({b"secret-value": b"*"})
    assert replacer.feed(b"data: 1\n\n") == b"data: 1\n\n"
    assert replacer.feed(b"data: sec") == b"data: "
    assert replacer.feed(b"onds\n\n") == b"seconds\n\n"
    assert replacer.feed(b"x secret-value") == b"x *"
    assert replacer.found == {b"secret-value"}


def test_nothing_to_replace() -> None:
    replacer = Replacer({})
    assert replacer.feed(b"abc") == b"abc"
    assert replacer.feed(b"", last=True) == b""


def test_large_words_and_large_pieces_take_no_more_than_a_look() -> None:
    word = b"ab" * 30_000 + b"c"
    text = b"ab" * 60_000
    replacer = Replacer({word: b""})
    out = [replacer.feed(text[at : at + 4096]) for at in range(0, len(text), 4096)]
    out.append(replacer.feed(b"c", last=True))
    assert b"".join(out) == re.sub(re.escape(word), b"", text + b"c")
