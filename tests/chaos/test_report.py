"""A report says what was found, to people and to programs, and whether it is good."""

import json
from collections import Counter

from agentstead.chaos.checker import BAD, Findings
from agentstead.chaos.report import Report


def test_a_good_report() -> None:
    report = Report(
        7, faults=Counter({"worker-kill": 2}), kills=2, sessions=3, recovery={"worker-kill": [1.0, 2.0]},
        skipped={"disk-full": "needs root"},
    )  # fmt: skip
    said = json.loads(json.dumps(report.as_json()))
    assert said["good"] is True
    assert (said["seed"], said["faults"], said["kills"]) == (7, {"worker-kill": 2}, 2)
    assert said["recovery_seconds"]["worker-kill"] == {
        "p50": 2.0, "p95": 2.0, "p99": 2.0, "measured": 2,
    }  # fmt: skip
    assert "disk-full         skipped: needs root" in report.text()


def test_each_kind_of_finding_makes_it_bad() -> None:
    for name in BAD:
        report = Report(7, findings=Findings(**{name: ["a sentence"]}), kept="/somewhere")
        assert not report.good
        assert report.as_json()[name] == ["a sentence"]
        assert "    a sentence" in report.text()
        assert "kept in /somewhere" in report.text()
