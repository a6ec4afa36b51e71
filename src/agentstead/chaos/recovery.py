"""How long sessions stand still: from a fault to the next step of each session that it concerned."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

Shares = tuple[float, float, float]
SHARES: Shares = (0.5, 0.95, 0.99)
SLOWEST_MAX = 20


class Recovery:
    """Measures. A session that meets another fault before it has recovered is measured from that one on."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)
        """Kind of fault → the times."""
        self.last: dict[str, float] = {}
        """Session → when its latest request that was answered had come."""
        self.calm: list[float] = []
        """Seconds between two steps that no fault came between."""
        self.slowest: list[tuple[float, str, str]] = []
        """Seconds, kind and session of those that took longest."""
        self.overtaken = 0
        """Measurements that another fault broke off."""
        self.waiting: dict[str, tuple[str, float]] = {}
        """Session → the fault that it has not recovered from yet, and when that was."""

    def hit(self, kind: str, names: Iterable[str], at: float) -> None:
        """A fault concerned these sessions."""
        for name in names:
            self.overtaken += name in self.waiting
            self.waiting[name] = (kind, at)

    def stepped(self, name: str, came: float) -> None:
        """A session's request to the model, which came at this time, was answered in full."""
        if name in self.last and name not in self.waiting:
            self.calm.append(came - self.last[name])
        self.last[name] = max(came, self.last.get(name, came))
        kind, at = self.waiting.get(name, ("", came + 1))
        if came >= at:
            self.seconds[kind].append(came - at)
            del self.waiting[name]
            longest = sorted([*self.slowest, (round(came - at, 3), kind, name)], reverse=True)
            self.slowest = longest[:SLOWEST_MAX]

    def rests(self, name: str) -> None:
        """A session has nothing to do any more: there is no next step to wait for."""
        self.waiting.pop(name, None)

    def all(self) -> list[float]:
        """The times of all kinds."""
        return [one for times in self.seconds.values() for one in times]


def percentiles(times: Sequence[float]) -> Shares | None:
    """p50, p95 and p99; None of nothing."""
    if not times:
        return None
    ordered = sorted(times)
    p50, p95, p99 = (ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in SHARES)
    return p50, p95, p99
