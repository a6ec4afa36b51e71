"""Sequences that only grow: an older form shares its items with every newer one.

A conversation of ten thousand steps gets one more item in the same time as one of ten. What was
handed out never changes: who grows an older form that somebody else has grown already gets a copy.
"""

# mypy: disable-error-code="explicit-override"

from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, TypeVar, overload

T = TypeVar("T")


class Growing(Sequence[T], Generic[T]):
    """The first so many items of a list that its newer forms share."""

    __slots__ = ("length", "shared")

    def __init__(self, items: Iterable[T] = ()) -> None:
        self.shared = list(items)
        self.length = len(self.shared)

    def plus(self, item: T) -> "Growing[T]":
        """The same with one more."""
        items = self.shared
        if len(items) != self.length:  # somebody has grown it otherwise
            items = items[: self.length]
        items.append(item)
        grown: Growing[T] = Growing.__new__(Growing)
        grown.shared, grown.length = items, self.length + 1
        return grown

    def begins_with(self, other: Sequence[T], count: int) -> bool:
        """Whether it has the first `count` items of `other`."""
        if count > self.length:
            return False
        if isinstance(other, Growing) and other.shared is self.shared:
            return True
        return self[:count] == tuple(other[:count])

    def __len__(self) -> int:
        return self.length

    @overload
    def __getitem__(self, place: int) -> T: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[T, ...]: ...
    def __getitem__(self, place: int | slice) -> T | tuple[T, ...]:
        if isinstance(place, slice):
            return tuple(self.shared[slice(*place.indices(self.length))])
        if not -self.length <= place < self.length:
            raise IndexError(place)
        return self.shared[place % self.length]

    def __iter__(self) -> Iterator[T]:
        return iter(self[:])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or len(other) != self.length:
            return False
        return self.begins_with(other, self.length)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Growing({list(self)!r})"


class Spliced(Sequence[T], Generic[T]):
    """The first so many items of a list that changes only behind them, then a few of its own."""

    __slots__ = ("_count", "_start", "tail")

    def __init__(self, start: list[T], count: int, tail: Sequence[T]) -> None:
        self._start, self._count = start, count
        self.tail = tuple(tail)

    def __len__(self) -> int:
        return self._count + len(self.tail)

    @overload
    def __getitem__(self, place: int) -> T: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[T, ...]: ...
    def __getitem__(self, place: int | slice) -> T | tuple[T, ...]:
        if isinstance(place, slice):
            start, stop, step = place.indices(len(self))
            if step == 1 and start >= self._count:
                return self.tail[start - self._count : stop - self._count]
            return tuple((*self._start[: self._count], *self.tail)[place])
        if not -len(self) <= place < len(self):
            raise IndexError(place)
        place %= len(self)
        return self._start[place] if place < self._count else self.tail[place - self._count]

    def __iter__(self) -> Iterator[T]:
        yield from self._start[: self._count]
        yield from self.tail

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Spliced({list(self)!r})"
