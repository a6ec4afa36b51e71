"""A target that fails again and again is left alone for a while: callers learn so at once."""

from dataclasses import dataclass

from agentstead.clock import Clock
from agentstead.errors import ConnectorFault

FAILURES_MAX = 5
"""In a row; then it is left alone."""
REST_SECONDS = 30.0
FAILED = frozenset({"unreachable", "cut", "timeout"})
"""Kinds of faults that tell of a target that is not well."""


@dataclass(slots=True)
class Breaker:
    """Of one connector in one process."""

    clock: Clock
    failures: int = 0
    until: float = 0.0

    def admit(self, name: str) -> None:
        """ConnectorFault `circuit_open` while the target is left alone; then one call is let through."""
        left = self.until - self.clock.monotonic()
        if left > 0:
            raise ConnectorFault(
                f"{name} failed {self.failures} times in a row and is left alone; "
                f"try again in {max(1, round(left))} s.",
                kind="circuit_open",
                retry_after=left,
            )
        if self.failures >= FAILURES_MAX:
            self.until = self.clock.monotonic() + REST_SECONDS  # others wait for how this one ends

    def heard(self, fault: ConnectorFault | None) -> None:
        """How a call ended."""
        if fault is None or not (fault.kind in FAILED or fault.retryable):
            self.failures, self.until = 0, 0.0
            return
        self.failures += 1
        if self.failures >= FAILURES_MAX:
            self.until = self.clock.monotonic() + REST_SECONDS
