"""The manifest against the tests, both ways: nothing is claimed that no test proves."""

import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.conformance.client_rules import ELSEWHERE, NOT_DUE, PARTLY, RULES
from tests.conformance.requirements import REQUIREMENTS
from tests.conformance.requirements.requirement import CLIENTS, DOCUMENTED, OWN, SDK
from tests.conformance.requirements.silent import SILENT

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


SECTIONS = {
    "wire": "1.1 1.2 1.3 1.4 1.5 1.6 1.7 1.8 1.9 2.1 2.2 2.3 2.4 2.5 2.6 3.1 3.2 3.3 3.4 3.5 4.1 4.2 "
    "5.1 5.2 5.3 5.4 5.5 5.6 5.7 6.1 6.2 6.3 7.1 7.2 7.3 7.4 7.5 7.6 7.7 7.8 7.9 7.10 7.11 "
    "8.1 8.2 8.3 8.4 9.1 9.2 9.3 9.4 9.5 9.6 10 11 12 13 15 18",
    # 1.8 is about what the official worker makes of answers, not about ours.
    "work queue": "1.1 1.2 1.3 1.4 1.5 1.6 1.7 1.9",
}
NAMED = re.compile(r"(wire|work queue)|§(\d+(?:\.\d+)?)|([a-z]+)")


def sections(source: str) -> Iterator[tuple[str, str]]:
    """The sections that a source names: `wire §1.1, §1.2, work queue §1.3`."""
    document = ""
    for name, section, other in NAMED.findall(source):
        document = name or document if not other or section else ""
        if section and document:
            yield document, section


def test_every_section_has_requirements() -> None:
    named = {one for found in REQUIREMENTS.values() for one in sections(found.source)}
    wanted = {(name, each) for name, text in SECTIONS.items() for each in text.split()}
    assert wanted - named == set()


def test_every_silent_place_has_a_proof() -> None:
    assert [one.question for one in SILENT if one.proof not in REQUIREMENTS] == []
    assert len({(one.source, one.question) for one in SILENT}) == len(SILENT)
    for one in SILENT:
        assert one.evidence in (DOCUMENTED, SDK, CLIENTS, OWN), one
        assert list(sections(one.source)), one


def test_every_requirement_says_where_it_comes_from() -> None:
    for name, one in REQUIREMENTS.items():
        assert one.source, name
        assert one.behaviour.endswith("."), name
        assert one.evidence in (DOCUMENTED, SDK, CLIENTS, OWN), name


RULE = re.compile(r"clients rules? ([0-9, and]+)")


def rules_named(text: str) -> set[int]:
    """The rules of clients that a text names."""
    return {int(one) for found in RULE.finditer(text) for one in re.findall(r"[0-9]+", found[1])}


def test_every_rule_of_clients_is_proved_or_not_due() -> None:
    proved, missing = set(ELSEWHERE), set(NOT_DUE)
    for one in REQUIREMENTS.values():
        (missing if one.gap else proved).update(rules_named(one.source))
    assert sorted(RULES) == list(range(1, 56))
    assert proved | missing <= set(RULES), "a rule that does not exist"
    assert set(RULES) - proved - missing == set(), "neither proved nor excused"
    assert set(NOT_DUE) & proved == set(), "proved by now: take the excuse out"
    assert set(PARTLY) <= proved


def test_what_proves_a_rule_elsewhere_is_there_and_names_it() -> None:
    for rule, address in ELSEWHERE.items():
        path, _, name = address.partition("::")
        text = (HERE.parents[2] / path).read_text()
        begin = re.search(rf"^(async )?def {name}\(", text, re.MULTILINE)
        assert begin, address
        body = re.split(
            r"^(?:async )?def |^@", text[begin.end() :], maxsplit=1, flags=re.MULTILINE
        )[0]
        assert rule in rules_named(body), f"{address} does not name clients rule {rule}"
