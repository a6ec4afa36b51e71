"""Prices: those that ship, and the operator's file."""

import re
from decimal import Decimal
from pathlib import Path

import pytest

from agentstead.errors import Misconfigured
from agentstead.providers.anthropic.known import DATED, MODELS
from agentstead.providers.catalogue import Catalogue
from agentstead.providers.prices import PUBLIC, Price, Prices, load, parse, picodollars, rates
from agentstead.providers.provider import Usage
from agentstead.settings import Settings

MILLION = 1_000_000
DOLLAR = 10**12


def test_every_price_that_ships_says_where_and_when_it_was_read():
    assert set(PUBLIC) <= set(MODELS)
    for name, price in PUBLIC.items():
        assert price.source.startswith("https://"), name
        assert re.fullmatch(r"20\d\d-\d\d-\d\d", price.day), name
        rate = price.standard
        assert 0 < rate.cache_read < rate.input < rate.cache_write_5m < rate.cache_write_1h, name
        assert rate.output > rate.input, name
        assert price.covers("fast") == (price.fast is not None), name


def test_a_request_costs_the_sum_of_its_parts():
    usage = Usage(
        input_tokens=MILLION,
        output_tokens=MILLION,
        cache_read_input_tokens=MILLION,
        cache_creation_input_tokens=2 * MILLION,
        cache_creation_5m_input_tokens=MILLION,
        cache_creation_1h_input_tokens=MILLION,
    )
    opus = PUBLIC["claude-opus-5"]
    assert opus.cost(usage) == int(Decimal("46.75") * DOLLAR)
    assert opus.cost(usage, "fast") == 2 * opus.cost(usage)
    assert PUBLIC["claude-sonnet-5"].cost(usage, "fast") is None
    unknown_life = Usage(cache_creation_input_tokens=MILLION)
    assert opus.cost(unknown_life) == int(Decimal("6.25") * DOLLAR)


def test_a_long_prompt_has_its_own_price_for_the_whole_request():
    haiku = PUBLIC["claude-haiku-5-5"]
    short = Usage(input_tokens=50_000, cache_read_input_tokens=50_000, output_tokens=1000)
    long = Usage(input_tokens=50_000, cache_read_input_tokens=50_001, output_tokens=1000)
    assert haiku.cost(short) == 50_000 * 100_000 + 50_000 * 10_000 + 1000 * 500_000
    assert haiku.cost(long) == 50_000 * 500_000 + 50_001 * 50_000 + 1000 * 2_500_000


def test_public_prices_are_those_of_the_public_api_only():
    prices = Prices(
        {"mine": Price(rates("1", "2"), "file"), "claude-opus-5": Price(rates("3", "4"), "file")}
    )
    assert prices.of("mine", "openai_compatible", "x").standard.input == MILLION
    assert prices.of("alias", "openai_compatible", "mine").standard.input == MILLION
    assert prices.of("claude-opus-5", "anthropic", "claude-opus-5").source == "file"
    assert prices.of("claude-sonnet-5", "anthropic", "claude-sonnet-5") is PUBLIC["claude-sonnet-5"]
    assert prices.of("claude-sonnet-5", "openai_compatible", "claude-sonnet-5") is None
    assert prices.of("x", "anthropic", "claude-opus-99") is None
    for dated, name in DATED.items():
        assert Prices().of(dated, "anthropic", dated) is PUBLIC[name]


FILE = """
[models."my-model"]
input = 0.25
output = 1.25
cache_read = 0.025

[models."my-model".fast]
input = 1
output = 2

[models."my-model".long_prompt]
above_tokens = 1000
input = 2
output = 3.000001
"""


def test_the_operators_file_is_read_exactly(tmp_path: Path):
    path = tmp_path / "prices.toml"
    path.write_text(FILE)
    catalogue = Catalogue(Settings(models={"my-model": "scripted"}, prices_file=path))
    price = catalogue.resolve("my-model").price
    assert price.source == str(path)
    assert price.standard == rates("0.25", "1.25", "0.025", "0.25", "0.25")
    assert price.fast == rates("1", "2")
    assert (price.long_prompt_tokens, price.long_prompt.output) == (1000, 3_000_001)
    assert catalogue.resolve("scripted-demo").price is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("models = 1", "models: should be a table"),
        ("[model.x]\ninput = 1", "the file: there is no 'model' here, only models"),
        ('[models."x"]\ninput = 1', 'models."x".output: is missing'),
        ('[models."x"]\ninput = "1"\noutput = 1', 'models."x".input: should be a number'),
        ('[models."x"]\ninput = true\noutput = 1', 'models."x".input: should be a number'),
        ('[models."x"]\ninput = -1\noutput = 1', 'models."x".input: should be from 0 to 10000'),
        ('[models."x"]\ninput = inf\noutput = 1', 'models."x".input: should be from 0'),
        ('[models."x"]\ninput = nan\noutput = 1', 'models."x".input: should be from 0'),
        ('[models."x"]\ninput = 0.0000001\noutput = 1', "at most 6 decimals"),
        ('[models."x"]\ninput = 1\noutput = 1\ncached = 1', "there is no 'cached' here, only cache_read"),
        ('[models."x"]\ninput = 1\noutput = 1\nfast = 2', 'models."x".fast: should be a table'),
        ('[models."x"]\ninput = 1\noutput = 1\n[models."x".long_prompt]\ninput = 1\noutput = 1',
         'models."x".long_prompt.above_tokens: should be a whole number from 1'),
        ("[models", "Expected "),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_with_the_place(tmp_path: Path, text: str, said: str):
    path = tmp_path / "prices.toml"
    path.write_text(text)
    with pytest.raises(Misconfigured) as refusal:
        Catalogue(Settings(prices_file=path))
    assert refusal.value.message.startswith(f"AGENTSTEAD_PRICES_FILE: {path}")
    assert said in refusal.value.message


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path):
    with pytest.raises(Misconfigured, match="cannot be read: No such file"):
        load(tmp_path / "nowhere.toml")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(Misconfigured, match="not UTF-8"):
        load(tmp_path / "binary")


def test_a_region_costs_more():
    sonnet = PUBLIC["claude-sonnet-5-5"]
    usage = Usage(input_tokens=1, output_tokens=1, cache_read_input_tokens=1)
    assert sonnet.cost(usage, geo="us") * 10 == sonnet.cost(usage) * 11
    assert sonnet.cost(usage, geo="global") == sonnet.cost(usage)
    own = Price(rates("1", "2"), "file")
    assert own.cost(usage, geo="us") == own.cost(usage)


def test_free_is_a_price():
    assert parse('[models."x"]\ninput = 0\noutput = 0', "f")["x"].cost(Usage(5, 5)) == 0
    assert picodollars(Decimal("0.000001")) == 1
