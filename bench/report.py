"""Figures, as people read them and as a history file keeps them."""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

HISTORY = Path(__file__).parent / "out" / "history.jsonl"


def percentile(samples: Sequence[float], share: float) -> float:
    """The sample at this share of the sorted samples."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


def milliseconds(samples: Sequence[float]) -> str:
    """p50 and p95 of seconds."""
    p50, p95 = (percentile(samples, share) * 1000 for share in (0.5, 0.95))
    return f"p50 {p50:7.1f} ms   p95 {p95:7.1f} ms   (n={len(samples)})"


def title(text: str) -> None:
    """Begin a measurement."""
    print(f"\n== {text}", flush=True)


def line(name: str, value: str) -> None:
    """One figure."""
    print(f"{name:<44} {value}", flush=True)


def keep(bench: str, **figures: float) -> None:
    """Add the figures to the history when that was asked for."""
    if "--keep" in sys.argv:
        HISTORY.parent.mkdir(exist_ok=True)
        with HISTORY.open("a") as history:
            row = {"bench": bench, "at": round(time.time()), **figures}
            history.write(json.dumps(row) + "\n")
