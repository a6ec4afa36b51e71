"""What workers append is counted, and only what was written."""

from typing import Any

import pytest

from agentstead.app.counted_log import CountedLog
from agentstead.errors import LeaseLost
from agentstead.log.log import Appended, Derived, Lease
from agentstead.telemetry import names
from agentstead.telemetry.metrics import Metrics
from agentstead.wire.events.stored import Event
from tests.telemetry.test_metrics import value

LEASE = Lease("sesn_1", "wrkspc_1", 1, "me")
DERIVED = Derived("running", None, (), {}, {}, None, ())
MESSAGE = Event("sevt_1", "agent.message", "sthr_1", {}, 0.0)


class Answering:
    """A log that answers every append the same way."""

    def __init__(self, answer: Appended | Exception) -> None:
        self.answer = answer

    async def claim(self, owner: str, limit: int) -> list[Lease]:
        return [LEASE]

    async def append(self, *args: Any, **kwargs: Any) -> Appended:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def counted(answer: Appended | Exception) -> tuple[CountedLog, Metrics]:
    metrics = Metrics()
    return CountedLog(Answering(answer), metrics), metrics  # type: ignore[arg-type]


async def test_claims_and_written_events_are_counted() -> None:
    log, metrics = counted(Appended((MESSAGE,), ()))
    assert await log.claim("me", 5) == [LEASE]
    await log.append(LEASE, [MESSAGE], seen=0, derived=DERIVED)
    assert value(metrics, names.CLAIMS) == 1
    assert value(metrics, names.EVENTS, type="agent.message") == 1


async def test_a_refused_park_wrote_nothing() -> None:
    log, metrics = counted(Appended((), (), refused=True))
    await log.append(LEASE, [MESSAGE], seen=0, derived=DERIVED)
    assert value(metrics, names.EVENTS, type="agent.message") is None


async def test_a_lost_lease_is_counted_and_passed_on() -> None:
    log, metrics = counted(LeaseLost())
    with pytest.raises(LeaseLost):
        await log.append(LEASE, [MESSAGE], seen=0, derived=DERIVED)
    assert value(metrics, names.LEASES_LOST) == 1
    assert value(metrics, names.EVENTS, type="agent.message") is None
