"""What all providers share: statuses, waiting times, arguments."""

from datetime import UTC, datetime

import pytest

from agentstead.errors import ProviderFault
from agentstead.providers.provider import arguments, fault, retry_after_seconds


@pytest.mark.parametrize(
    ("status", "message", "kind", "retryable"),
    [
        (400, "prompt is too long: 250000 tokens > 200000 maximum", "too_long", False),
        (413, "Request too large", "too_long", False),
        (422, "too many tokens", "too_long", False),
        (429, "You exceeded your quota (insufficient_quota)", "billing", False),
        (403, "Your billing is not active", "billing", False),
        (500, "prompt is too long", "failed", True),
        (418, "teapot", "invalid", False),
        (599, "?", "failed", True),
    ],
)
def test_fault(status: int, message: str, kind: str, retryable: bool) -> None:
    found = fault(status, message)
    assert (found.kind, found.retryable, found.message) == (kind, retryable, message)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "Tue, 24 Nov 2026 10:00:30 GMT"}, 30.0),
        ({"retry-after": "Tue, 24 Nov 2026 09:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    now = datetime(2026, 11, 24, 10, 0, 0, tzinfo=UTC).timestamp()
    assert retry_after_seconds(headers, now) == seconds


@pytest.mark.parametrize("text", ["", "  \n", "{}", "null"])
def test_no_arguments(text: str) -> None:
    assert arguments(text, "now", ended=True) == {}


@pytest.mark.parametrize("ended", [True, False])
def test_whole_arguments(ended: bool) -> None:
    assert arguments('{"a": [1, "ü"]}', "t", ended=ended) == {"a": [1, "ü"]}


@pytest.mark.parametrize("text", ["", '{"a": ', "[]", "12"])
def test_incomplete_arguments_are_never_repaired(text: str) -> None:
    with pytest.raises(ProviderFault, match="'write'") as caught:
        arguments(text, "write", ended=False)
    assert (caught.value.kind, caught.value.retryable) == ("cut", False)
