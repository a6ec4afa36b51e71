"""Whether a failed model request is tried again, and when."""

import zlib
from dataclasses import dataclass

ERROR_TYPES = {
    "overloaded": "model_overloaded_error",
    "rate_limited": "model_rate_limited_error",
    "billing": "billing_error",
    "too_long": "compaction_limit_reached_error",
}
"""Fault kind → `session.error.error.type`; everything else is `model_request_failed_error`."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Back-off of model requests."""

    retries_max: int = 10
    first_seconds: float = 0.5
    max_seconds: float = 30.0
    retry_after_max_seconds: float = 300.0
    """A longer `Retry-After` is not waited for in one piece."""


def error_type(kind: str) -> str:
    """The wire's name for a fault kind."""
    return ERROR_TYPES.get(kind, "model_request_failed_error")


def delay_seconds(
    policy: RetryPolicy, failures: int, retry_after: float | None, seed: str
) -> float:
    """Seconds until the next attempt after `failures` failed ones (1 or more).

    Doubling from the first delay to the cap, 50 to 100 % of it by a jitter drawn from `seed`, never
    less than what the other side asked for.
    """
    assert failures >= 1
    whole: float = min(policy.first_seconds * 2 ** min(failures - 1, 30), policy.max_seconds)
    jitter = zlib.crc32(f"{seed}:{failures}".encode()) / 0xFFFFFFFF
    wait: float = whole * (0.5 + 0.5 * jitter)
    if retry_after is not None:
        wait = max(wait, min(retry_after, policy.retry_after_max_seconds))
    return wait


def tries_again(policy: RetryPolicy, failures: int, *, retryable: bool) -> bool:
    """Whether another attempt follows the `failures`-th failure."""
    return retryable and failures <= policy.retries_max
