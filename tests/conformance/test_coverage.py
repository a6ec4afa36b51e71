"""The manifest against the tests, both ways: nothing is claimed that no test proves."""

import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.conformance.requirements import REQUIREMENTS
from tests.conformance.requirements.requirement import CLIENTS, DOCUMENTED, OWN, SDK

HERE = Path(__file__)


def proofs() -> dict[str, list[str]]:
    """What each test of this folder says it proves."""
    found = {}
    for path in sorted(HERE.parent.glob("test_*.py")):
        if path == HERE:
            continue
        module = importlib.import_module(f"tests.conformance.{path.stem}")
        for name, test in inspect.getmembers(module, inspect.isfunction):
            if name.startswith("test_") and test.__module__ == module.__name__:
                found[f"{path.name}::{name}"] = list(claims(test))
    return found


def claims(test: Any) -> Iterator[str]:
    for mark in getattr(test, "pytestmark", ()):
        if mark.name == "requirement":
            yield from mark.args


def test_every_test_proves_a_requirement() -> None:
    found = proofs()
    assert len(found) > 70
    assert [name for name, ids in found.items() if not ids] == []
    claimed = {one for ids in found.values() for one in ids}
    assert claimed - REQUIREMENTS.keys() == set()


def test_every_requirement_is_proved_or_a_gap() -> None:
    claimed = {one for ids in proofs().values() for one in ids}
    assert [name for name, one in REQUIREMENTS.items() if not one.gap and name not in claimed] == []
    # A gap that a test proves is none.
    assert [name for name, one in REQUIREMENTS.items() if one.gap and name in claimed] == []


def test_every_requirement_says_where_it_comes_from() -> None:
    for name, one in REQUIREMENTS.items():
        assert one.source, name
        assert one.behaviour.endswith("."), name
        assert one.evidence in (DOCUMENTED, SDK, CLIENTS, OWN), name
