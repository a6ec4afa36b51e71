"""The upper bound of a request, and what a worker does when there is no room."""

from dataclasses import replace
from typing import Any

import pytest

from agentstead.log.charges import Bound, Short
from agentstead.log.log import Appended, Lease, SessionRecord
from agentstead.providers.prices import Price, rates
from agentstead.providers.provider import Capabilities, ModelRequest, Usage
from agentstead.testing.script import in_turn, say
from agentstead.worker.reserving import OVERHEAD_TOKENS, bound_of
from tests.support.waiting import until
from tests.worker.support import Place

PRICE = Price(
    rates("1", "10", "0.1", "1.25", "2"),
    "here",
    long_prompt=rates("3", "30"),
    long_prompt_tokens=9_000,
)
FRUGAL = replace(PRICE, standard=rates("1", "10"))


class Kind:
    """A model with a price."""

    provider: Any = None
    upstream = "m"

    def __init__(self, price: Price | None = PRICE, window: int = 100_000) -> None:
        self.price = price
        self.capabilities = Capabilities("M", window, 1_000)


def request(*messages: Any, **more: Any) -> ModelRequest:
    return ModelRequest(model="m", system=(), messages=messages, tools=(), max_tokens=1_000, **more)


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": text}]}


ANSWER = {"role": "assistant", "content": [{"type": "text", "text": "x" * 5_000}]}


def test_before_the_first_answer_every_byte_may_be_a_token() -> None:
    bound = bound_of(request(user("ä" * 500)), Kind())
    prompt = bound.tokens - 1_000
    assert 1_000 + OVERHEAD_TOKENS < prompt < 1_200 + OVERHEAD_TOKENS
    assert bound.picodollars == prompt * 2_000_000 + 1_000 * 10_000_000


def test_what_the_provider_has_counted_is_not_counted_again() -> None:
    bound = bound_of(request(user("y" * 5_000), ANSWER, user("z")), Kind(), known=700)
    assert bound.tokens < 700 + OVERHEAD_TOKENS + 1_000 + 100


def test_a_prompt_is_never_longer_than_the_window() -> None:
    assert bound_of(request(user("y" * 50_000)), Kind(window=3_000)).tokens == 4_000


@pytest.mark.parametrize("inner", [False, True])
def test_what_lies_at_an_address_may_fill_the_window(inner: bool) -> None:
    block: dict[str, Any] = {"type": "image", "source": {"type": "url", "url": "https://a.b/c"}}
    if inner:
        block = {"type": "tool_result", "content": [block]}
    message = {"role": "user", "content": [block]}
    assert bound_of(request(message), Kind(), known=5).tokens == 101_000


def test_the_dearest_way_to_pay_covers_every_way() -> None:
    """Whatever becomes of a prompt's tokens, a request of that size costs no more."""
    for size in (10, 9_000, 9_001):
        for usage in (
            Usage(size, 500),
            Usage(0, 1_000, cache_read_input_tokens=size),
            Usage(0, 1_000, cache_creation_input_tokens=size, cache_creation_1h_input_tokens=size),
        ):
            cost, most = FRUGAL.cost(usage, geo="us"), FRUGAL.at_most(size, 1_000, geo="us")
            assert cost is not None
            assert most is not None
            assert cost <= most
    assert PRICE.at_most(1, 1, "fast") is None
    assert bound_of(request(user("x")), Kind(None)).picodollars is None


class Scarce:
    """Budgets that say no a few times."""

    def __init__(self, *answers: Short) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, Bound]] = []

    async def reserve(self, _: Lease, __: str, request_id: str, bound: Bound) -> Short | None:
        self.asked.append((request_id, bound))
        return self.answers.pop(0) if self.answers else None


class Budgeted:
    """A log in which budgets lie above every session."""

    def __init__(self, log: Any) -> None:
        self.log = log

    def __getattr__(self, name: str) -> Any:
        return getattr(self.log, name)

    async def append(self, *given: Any, **more: Any) -> Appended:
        return replace(await self.log.append(*given, **more), budgeted=True)

    async def load(self, lease: Lease) -> SessionRecord:
        return replace(await self.log.load(lease), budgeted=True)


def placed(*answers: Short) -> tuple[Place, Scarce]:
    place, budgets = Place(in_turn([say("Done.")])), Scarce(*answers)
    place.world = replace(place.world, budgets=budgets, log=Budgeted(place.log))
    return place, budgets


async def test_a_request_waits_for_others_to_settle() -> None:
    place, budgets = placed(Short("budget_1", final=False), Short("budget_1", final=False))
    await place.session("go")
    async with place.worker():
        row = await place.parked()
    assert row.stop_reason == {"type": "end_turn"}
    assert len(budgets.asked) == 3
    assert len({request_id for request_id, _ in budgets.asked}) == 1
    assert len(place.of("span.model_request_start")) == 1


async def test_without_hope_the_session_pauses_until_the_next_period() -> None:
    place, budgets = placed()
    budgets.answers = [Short("budget_1", final=True, until=place.clock.now() + 0.3)]
    await place.session("go")

    async def idles(number: int) -> Any:
        found = place.of("session.status_idle")
        return found if len(found) >= number else None

    async with place.worker():
        (idle,) = await until(idles, 1)
        assert idle.payload["stop_reason"] == {"type": "budget_reached"}
        await until(idles, 2)
    (first, _) = place.of("span.model_request_end")
    assert first.private["short"]["budget_id"] == "budget_1"
    assert place.of("session.status_idle")[1].payload["stop_reason"] == {"type": "end_turn"}
    assert len(place.of("agent.message")) == 1
