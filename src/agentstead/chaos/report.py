"""What a chaos run found, for people and as JSON."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentstead.chaos.checker import BAD, Findings
from agentstead.chaos.recovery import percentiles

SENTENCES_MAX = 10
"""Of each list, for people; JSON has them all."""


@dataclass
class Report:
    """One run."""

    seed: int
    harm_seconds: float = 0.0
    settle_seconds: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Kinds of faults that could not be had, and why."""
    kills: int = 0
    sessions: int = 0
    findings: Findings = field(default_factory=Findings)
    recovery: Mapping[str, Sequence[float]] = field(default_factory=dict)
    slowest: Sequence[tuple[float, str, str]] = ()
    overtaken: int = 0
    requests: int = 0
    """To the model."""
    disturbed: int = 0
    """Of them, those that the upstream let down."""
    unanswered: int = 0
    """Requests of the client that no server answered."""
    leases_lost: int = 0
    """Workers that came too late and said so."""
    surprises: Sequence[str] = ()
    """Processes that ended, or did not, against our will."""
    kept: str = ""
    """Where logs and sessions are, when something was found."""

    @property
    def good(self) -> bool:
        """Whether nothing was found."""
        return not self.findings.bad

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        found = self.findings
        everything = [one for times in self.recovery.values() for one in times]
        return {
            "seed": self.seed,
            "good": self.good,
            "harm_seconds": round(self.harm_seconds, 1),
            "settle_seconds": round(self.settle_seconds, 1),
            "faults": dict(self.faults),
            "skipped": dict(self.skipped),
            "kills": self.kills,
            "sessions": self.sessions,
            "jobs": found.jobs,
            "steps": found.steps,
            "calls": found.calls,
            "outcome_unknown": found.unknown,
            "calls_failed": found.refused,
            "failures": dict(found.refusals),
            **{name: getattr(found, name) for name in BAD},
            "recovery_seconds": {
                "all": figures(everything),
                **{kind: figures(times) for kind, times in sorted(self.recovery.items())},
            },
            "slowest": [
                dict(zip(("seconds", "fault", "session"), one, strict=True)) for one in self.slowest
            ],
            "overtaken": self.overtaken,
            "model_requests": self.requests,
            "model_requests_disturbed": self.disturbed,
            "client_requests_unanswered": self.unanswered,
            "leases_lost": self.leases_lost,
            "surprises": list(self.surprises),
            "kept": self.kept,
        }

    def text(self) -> str:
        """For people."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        found = self.findings
        yield (
            f"seed {self.seed}: {sum(self.faults.values())} faults ({self.kills} kills) in "
            f"{self.harm_seconds:.0f} s, settled in {self.settle_seconds:.0f} s"
        )
        yield (
            f"{self.sessions} sessions, {found.jobs} jobs, {found.steps} steps, {found.calls} tool calls: "
            f"{found.unknown} with an unknown outcome, {found.refused} told as failed"
        )
        for text, times in found.refusals.most_common(SENTENCES_MAX):
            yield f"    {times} x {text!r}"
        yield (
            f"{self.requests} requests to the model, {self.disturbed} let down; {self.leases_lost} late "
            f"turns ended by the fence; {self.unanswered} requests of the client without an answer"
        )
        yield f"\n{'fault':<18}{'times':>6}   recovery p50      p95      p99   measured"
        everything = [one for times in self.recovery.values() for one in times]
        for kind in sorted(self.faults):
            yield row(kind, self.faults[kind], self.recovery.get(kind, ()))
        yield row("all", sum(self.faults.values()), everything)
        if self.overtaken:
            yield f"{self.overtaken} measurements were broken off by another fault of the same session"
        for kind, why in self.skipped.items():
            yield f"{kind:<18}skipped: {why}"
        yield ""
        for name in BAD:
            yield f"{name:<10}{len(getattr(found, name))}"
            for sentence in getattr(found, name)[:SENTENCES_MAX]:
                yield f"    {sentence}"
        for sentence in self.surprises[:SENTENCES_MAX]:
            yield f"unexpected: {sentence}"
        if self.kept:
            yield f"logs and sessions are kept in {self.kept}"


def row(kind: str, faults: int, times: Sequence[float]) -> str:
    """A line of the table."""
    shares = percentiles(times)
    said = "".join(f"{one:7.2f} s" for one in shares) if shares else f"{'-':>9}" * 3
    return f"{kind:<18}{faults:>6}      {said}   {len(times):>8}"


def figures(times: Sequence[float]) -> dict[str, float | int] | None:
    """Percentiles as JSON."""
    shares = percentiles(times)
    if shares is None:
        return None
    p50, p95, p99 = (round(one, 3) for one in shares)
    return {"p50": p50, "p95": p95, "p99": p99, "measured": len(times)}
