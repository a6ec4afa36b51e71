"""What models cost: public list prices, and the operator's own.

Promises: a price that ships here was found in a public source, named with the day it was read;
everything else is the operator's to say (`AGENTSTEAD_PRICES_FILE`) or has no price. A request's
list cost is a whole number of picodollars, worked out once, when it ends.

The file is TOML, one table per model, US dollars per million tokens:

    [models."my-model"]
    input = 0.25
    output = 1.25
    cache_read = 0.025        # the three cache prices are the input price where they are left out
    cache_write_5m = 0.3125
    cache_write_1h = 0.5

`[models."my-model".fast]` has the prices of `speed: "fast"`, `[models."my-model".long_prompt]` those
of requests whose prompt is longer than its `above_tokens`.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from pathlib import Path
from typing import Any

from agentstead.errors import Misconfigured
from agentstead.providers.provider import Usage

PICODOLLARS = 10**6
"""One dollar per million tokens, in picodollars per token."""
PRICE_MAX = 10_000
DECIMALS_MAX = 6


@dataclass(frozen=True, slots=True)
class Rates:
    """Picodollars per token."""

    input: int
    output: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int

    @property
    def dearest_input(self) -> int:
        """Whatever becomes of a token of the prompt."""
        return max(self.input, self.cache_read, self.cache_write_5m, self.cache_write_1h)

    def cost(self, usage: Usage) -> int:
        """Of one request, in picodollars. Cache writes of unknown life count as the short ones."""
        long_lived = usage.cache_creation_1h_input_tokens
        known = long_lived + usage.cache_creation_5m_input_tokens
        written = max(usage.cache_creation_input_tokens, known)
        return (
            usage.input_tokens * self.input
            + usage.output_tokens * self.output
            + usage.cache_read_input_tokens * self.cache_read
            + (written - long_lived) * self.cache_write_5m
            + long_lived * self.cache_write_1h
        )


@dataclass(frozen=True, slots=True)
class Price:
    """The list price of a model."""

    standard: Rates
    source: str
    """Where it was read: an address, or the operator's file."""
    day: str | None = None
    """When, `YYYY-MM-DD`; None: the operator's."""
    fast: Rates | None = None
    long_prompt: Rates | None = None
    long_prompt_tokens: int = 0
    """Prompts above so many tokens, those from the cache included, cost `long_prompt`."""
    us_percent: int = 100
    """Of the price, where inference is bound to the United States."""

    def covers(self, speed: str) -> bool:
        """Whether there is a price for this speed."""
        return speed == "standard" or (speed == "fast" and self.fast is not None)

    def cost(self, usage: Usage, speed: str = "standard", geo: str | None = None) -> int | None:
        """Of one request, in picodollars; None when this speed has no price."""
        rates = self.rates(usage, speed)
        if rates is None:
            return None
        percent = self.us_percent if geo == "us" else 100
        return -(-rates.cost(usage) * percent // 100)  # rounded up; exact for prices in cents

    def at_most(
        self,
        prompt_tokens: int,
        output_tokens: int,
        speed: str = "standard",
        geo: str | None = None,
    ) -> int | None:
        """Of a request that has no more of either, in picodollars; None when this speed has no price."""
        longer = self.long_prompt if prompt_tokens > self.long_prompt_tokens else None
        tiers = (self.fast,) if speed == "fast" else (self.standard, longer)
        costs = [
            prompt_tokens * one.dearest_input + output_tokens * one.output
            for one in tiers
            if one is not None
        ]
        percent = self.us_percent if geo == "us" else 100
        return -(-max(costs) * percent // 100) if costs else None

    def rates(self, usage: Usage, speed: str) -> Rates | None:
        """Those that count for a request."""
        if speed == "fast":
            return self.fast
        prompt = usage.input_tokens + usage.cache_read_input_tokens
        prompt += usage.cache_creation_input_tokens
        if self.long_prompt is not None and prompt > self.long_prompt_tokens:
            return self.long_prompt
        return self.standard


def rates(
    input: str,  # noqa: A002 - the word of the price list
    output: str,
    cache_read: str | None = None,
    cache_write_5m: str | None = None,
    cache_write_1h: str | None = None,
) -> Rates:
    """Rates from dollars per million tokens, as they are written in a price list."""
    given = (input, output, cache_read, cache_write_5m, cache_write_1h)
    return Rates(*(picodollars(Decimal(input if each is None else each)) for each in given))


def picodollars(dollars: Decimal) -> int:
    """Per token, from dollars per million tokens; ValueError when it is no price."""
    if not dollars.is_finite() or not 0 <= dollars <= PRICE_MAX:
        raise ValueError(f"should be from 0 to {PRICE_MAX} dollars per million tokens")
    exact = dollars * PICODOLLARS
    if exact != exact.to_integral_value():
        raise ValueError(f"should have at most {DECIMALS_MAX} decimals")
    return int(exact)


def twice(standard: Rates) -> Rates:
    """What fast mode costs where it is said to be twice the standard price for every kind of token."""
    return Rates(*(2 * getattr(standard, each.name) for each in fields(standard)))


READ = "2026-11-24"
"""When the sources were read."""
DOCS = "https://platform.claude.com/docs/en"
PAGE = f"{DOCS}/about-claude/pricing"
EARLIER_PAGE = f"{DOCS}/docs/about-claude/pricing"
REVIEW = "https://github.com/kurofune/claudit/releases/tag/v1.9.2"
"""The pricing page as somebody else read it on 2026-10-24."""
FABLE_5_2 = "https://github.com/archid21/rightsize/releases/tag/v0.10.2"
FAST_FABLE_5_2 = (
    "https://documentation.s3ns.fr/gemini-enterprise-agent-platform/models/partner-models/claude/"
    "fable-5-2"
)
FAST_OPUS_5_5 = "https://apidog.com/jp/blog/claude-sonnet-5-5-pricing/"
US_PERCENT = 110
"""Every kind of token costs so much with `inference_geo: "us"`, by the source of FAST_OPUS_5_5; models
that cannot be bound to a region are never asked so."""
FAST_OPUS_5 = "https://vercel.com/ai-gateway/models/claude-opus-5-fast.md"
FAST_OPUS_4_8 = "https://octavus.ai/docs/protocol/fast-mode"


def public(
    standard: Rates,
    source: str,
    fast_source: str | None = None,
    *,
    long_prompt: Rates | None = None,
    long_prompt_tokens: int = 0,
) -> Price:
    """A price that ships here; with a source for it, fast mode at twice the standard price."""
    return Price(
        standard,
        source if fast_source is None else f"{source} and {fast_source}",
        READ,
        fast=None if fast_source is None else twice(standard),
        long_prompt=long_prompt,
        long_prompt_tokens=long_prompt_tokens,
        us_percent=US_PERCENT,
    )


OPUS = rates("5", "25", "0.50", "6.25", "10")
SONNET = rates("3", "15", "0.30", "3.75", "6")
FABLE = rates("10", "50", "1", "12.50", "20")
FABLE_5_1 = rates("10", "50", "0.25", "12.50", "20")

PUBLIC: Mapping[str, Price] = {
    "claude-fable-5-2": public(rates("8", "40", "0.20", "10", "16"), FABLE_5_2, FAST_FABLE_5_2),
    "claude-opus-5-5": public(
        rates("4", "20", "0.20", "5", "8"), f"{DOCS}/models/opus-5-5/overview", FAST_OPUS_5_5
    ),
    "claude-sonnet-5-5": public(rates("2", "10", "0.10", "2.50", "4"), REVIEW),
    "claude-haiku-5-5": public(
        rates("0.10", "0.50", "0.01", "0.125", "0.20"),
        REVIEW,
        long_prompt=rates("0.50", "2.50", "0.05", "0.625", "1"),
        long_prompt_tokens=100_000,
    ),
    "claude-fable-5-1": public(FABLE_5_1, PAGE),
    "claude-mythos-5-1": public(FABLE_5_1, PAGE),
    "claude-opus-5": public(OPUS, PAGE, FAST_OPUS_5),
    "claude-sonnet-5": public(
        rates("2", "10", "0.20", "2.50", "4"), f"{DOCS}/models/sonnet-5/overview"
    ),
    "claude-fable-5": public(FABLE, PAGE),
    "claude-mythos-5": public(FABLE, PAGE),
    "claude-opus-4-8": public(OPUS, PAGE, FAST_OPUS_4_8),
    "claude-opus-4-7": public(OPUS, PAGE),
    "claude-opus-4-6": public(OPUS, PAGE),
    "claude-opus-4-5": public(OPUS, PAGE),
    "claude-sonnet-4-6": public(SONNET, EARLIER_PAGE),
    "claude-sonnet-4-5": public(SONNET, EARLIER_PAGE),
    "claude-haiku-4-5": public(rates("1", "5", "0.10", "1.25", "2"), EARLIER_PAGE),
}
"""Names at Anthropic's API, without a date at their end."""
DATE = re.compile(r"-20\d{6}$")


@dataclass(frozen=True, slots=True)
class Prices:
    """Which model has which price."""

    own: Mapping[str, Price] = field(default_factory=dict)
    """The operator's, by the name that clients use or the one that the provider knows."""

    def of(self, name: str, provider: str, upstream: str) -> Price | None:
        """The price of a model: the operator's first; a public one only where it is charged."""
        if found := self.own.get(name) or self.own.get(upstream):
            return found
        return PUBLIC.get(DATE.sub("", upstream)) if provider == "anthropic" else None


def load(path: Path) -> Prices:
    """Read the operator's file; a fault in it is the operator's."""
    where = f"AGENTSTEAD_PRICES_FILE: {path}"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise Misconfigured(f"{where} cannot be read: {reason}.") from error
    try:
        return Prices(parse(text, str(path)))
    except ValueError as error:
        raise Misconfigured(f"{where}: {error}.") from error


def parse(text: str, source: str) -> dict[str, Price]:
    """The prices in a file's text; ValueError says what is wrong and where."""
    data = tomllib.loads(text, parse_float=Decimal)
    known(data, {"models"}, "the file")
    models = table(data.get("models", {}), "models")
    return {name: price(entry, f'models."{name}"', source) for name, entry in models.items()}


RATE_NAMES = tuple(each.name for each in fields(Rates))


def price(entry: Any, where: str, source: str) -> Price:
    """One model's table."""
    given = table(entry, where)
    known(given, {*RATE_NAMES, "fast", "long_prompt"}, where)
    fast = long_prompt = None
    above = 0
    if "fast" in given:
        fast = own_rates(given["fast"], f"{where}.fast")
    if "long_prompt" in given:
        long_table = dict(table(given["long_prompt"], f"{where}.long_prompt"))
        above = long_table.pop("above_tokens", None)
        if not isinstance(above, int) or isinstance(above, bool) or above < 1:
            raise ValueError(f"{where}.long_prompt.above_tokens: should be a whole number from 1")
        long_prompt = own_rates(long_table, f"{where}.long_prompt")
    standard = {name: value for name, value in given.items() if name in RATE_NAMES}
    return Price(
        own_rates(standard, where),
        source,
        fast=fast,
        long_prompt=long_prompt,
        long_prompt_tokens=above,
    )


def own_rates(entry: Any, where: str) -> Rates:
    """The five prices of a table."""
    given = table(entry, where)
    known(given, set(RATE_NAMES), where)
    for name in ("input", "output"):
        if name not in given:
            raise ValueError(f"{where}.{name}: is missing")
    usual = given["input"]
    return Rates(*(own_rate(given.get(name, usual), f"{where}.{name}") for name in RATE_NAMES))


def own_rate(value: Any, where: str) -> int:
    """One price."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError(f"{where}: should be a number of dollars per million tokens")  # noqa: TRY004
    try:
        return picodollars(Decimal(value))
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def table(value: Any, where: str) -> Mapping[str, Any]:
    """A table of the file."""
    if not isinstance(value, dict):
        raise ValueError(f"{where}: should be a table")  # noqa: TRY004
    return value


def known(given: Mapping[str, Any], names: set[str], where: str) -> None:
    """Refuse names that mean nothing here."""
    if unknown := sorted(set(given) - names):
        allowed = ", ".join(sorted(names))
        raise ValueError(f"{where}: there is no {unknown[0]!r} here, only {allowed}")
