"""Puts some strings in place of others in a stream of bytes, wherever its pieces are cut. Pure.

Bytes are held back only while they may be the beginning of what is looked for: an event at the end
of a piece goes on at once.
"""

import re
from collections.abc import Mapping

QUICK = 8
"""So many first bytes are looked for before the rest is compared."""


class Replacer:
    """One stream's search."""

    def __init__(self, words: Mapping[bytes, bytes]) -> None:
        self._words = {old: new for old, new in words.items() if old}
        self._compiled: re.Pattern[bytes] | None = None
        self._held = b""
        self.found: set[bytes] = set()
        """Words that were there."""

    def feed(self, data: bytes, *, last: bool = False) -> bytes:
        """The next bytes as they go on; `last`: nothing follows, so nothing is held back."""
        text = self._held + data
        done: list[bytes] = []
        at = 0
        if any(word in text for word in self._words):
            for match in self._pattern().finditer(text):
                done += (text[at : match.start()], self._words[match[0]])
                self.found.add(match[0])
                at = match.end()
        rest = text[at:]
        keep = 0 if last else self._begun(rest)
        self._held = rest[len(rest) - keep :]
        done.append(rest[: len(rest) - keep])
        return b"".join(done)

    def _pattern(self) -> re.Pattern[bytes]:
        """Made when there is something to be found: it takes longer than most searches."""
        if self._compiled is None:
            longest_first = sorted(self._words, key=len, reverse=True)
            self._compiled = re.compile(b"|".join(map(re.escape, longest_first)))
        return self._compiled

    def _begun(self, text: bytes) -> int:
        """How many of the last bytes may be the beginning of a word."""
        return max((beginning(word, text) for word in self._words), default=0)


def beginning(word: bytes, text: bytes) -> int:
    """The length of the longest end of `text` that `word` begins with, without being whole."""
    tail = text[-(len(word) - 1) :] if len(word) > 1 else b""
    head = word[:QUICK]
    at = tail.find(head)
    while at >= 0 and len(tail) - at >= len(head):
        if word.startswith(tail[at:]):
            return len(tail) - at
        at = tail.find(head, at + 1)
    for length in range(min(len(head) - 1, len(tail)), 0, -1):
        if tail.endswith(head[:length]):
            return length
    return 0
