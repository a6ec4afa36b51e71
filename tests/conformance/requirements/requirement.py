"""What a requirement is, and the marker that says which ones a test proves."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import pytest

DOCUMENTED = "documented"
SDK = "observed in the SDK"
CLIENTS = "observed in public clients"
OWN = "own choice"

TestT = TypeVar("TestT", bound=Callable[..., object])


@dataclass(frozen=True)
class Requirement:
    """One thing that the API does."""

    source: str
    """Where it is written: `wire §…` and `wire trap …` of the interface, `clients rule …` of what clients do."""
    behaviour: str
    evidence: str = DOCUMENTED
    """Why we believe it; `own choice` where nothing is known and we decided."""
    gap: str | None = None
    """Why it does not hold yet. A gap has no test."""


def requirement(*ids: str) -> Callable[[TestT], TestT]:
    """Mark a test with the requirements it proves."""
    return pytest.mark.requirement(*ids)
