"""The query string as the official clients write it.

Promises: `name[]=a&name[]=b` and `name=a&name=b` mean the same; `created_at[gte]` is a filter by
time; `beta` and parameters that a route does not know are ignored; a bad value is `Invalid` naming
the parameter.
"""

from collections.abc import Collection
from urllib.parse import parse_qsl

from agentstead.clock import from_rfc3339
from agentstead.errors import Invalid

COMPARISONS = ("gt", "gte", "lt", "lte")
VALUES_MAX = 100

EARLIEST, LATEST = -62_135_596_800.0, 253_402_300_799.0
"""The first and the last second that have a name in UTC."""


def instant(text: str) -> float:
    """An RFC 3339 time in seconds since the epoch; ValueError when it has no name in UTC."""
    try:
        at = from_rfc3339(text)
    except OverflowError as error:
        raise ValueError(text) from error
    if not EARLIEST <= at <= LATEST:
        raise ValueError(text)
    return at


class Query:
    """The parameters of one request."""

    def __init__(self, text: bytes) -> None:
        self.values: dict[str, list[str]] = {}
        try:
            pairs = parse_qsl(
                text.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=1000
            )
        except ValueError:
            raise Invalid("The query string cannot be read.") from None
        for name, value in pairs:
            self.values.setdefault(name.removesuffix("[]"), []).append(value)

    def text(self, name: str) -> str | None:
        """One value; an empty one counts as none."""
        value = self.values.get(name, [None])[-1] or None
        if value is not None and "\x00" in value:
            raise Invalid(f"{name}: The NUL character is not allowed.")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """true or false."""
        value = self.text(name)
        if value is None:
            return default
        if value not in ("true", "false"):
            raise Invalid(f"{name}: Expected true or false.")
        return value == "true"

    def number(self, name: str, lowest: int, highest: int) -> int | None:
        """A whole number within bounds."""
        value = self.text(name)
        if value is None:
            return None
        if not value.isascii() or not value.lstrip("-").isdigit() or len(value) > 12:
            raise Invalid(f"{name}: Expected a whole number.")
        if not lowest <= int(value) <= highest:
            raise Invalid(f"{name}: Expected a number from {lowest} to {highest}.")
        return int(value)

    def choice(self, name: str, choices: Collection[str], default: str) -> str:
        """One word of a set."""
        value = self.text(name)
        if value is None:
            return default
        if value not in choices:
            raise Invalid(f"{name}: Expected one of {', '.join(choices)}.")
        return value

    def words(self, name: str, choices: Collection[str]) -> tuple[str, ...]:
        """Any words of a set."""
        values = [value for value in self.values.get(name, []) if value]
        if len(values) > VALUES_MAX:
            raise Invalid(f"{name}: At most {VALUES_MAX} values are allowed.")
        for place, value in enumerate(values):
            if value not in choices:
                raise Invalid(f"{name}.{place}: Expected one of {', '.join(sorted(choices))}.")
        return tuple(dict.fromkeys(values))

    def times(self, name: str) -> dict[str, float]:
        """`name[gt|gte|lt|lte]` in seconds since the epoch."""
        found = {}
        for comparison in COMPARISONS:
            value = self.text(f"{name}[{comparison}]")
            if value is not None:
                try:
                    found[comparison] = instant(value)
                except ValueError:
                    raise Invalid(
                        f"{name}[{comparison}]: Expected an RFC 3339 time, "
                        "for example 2026-11-24T10:00:00Z."
                    ) from None
        return found
