"""What a skipped test means.

A test that needs something of the machine skips with a reason that begins with `needs`. Plain
`make test` lists those. With AGENTSTEAD_TEST_STRICT=1 (what `.ci/run` sets) each of them is a
failure, so that nothing goes untested unseen; only a need for another user (`needs root`,
`needs a plain user`) stays a skip, because one run has one user.
"""

import os

import pytest

STRICT = os.environ.get("AGENTSTEAD_TEST_STRICT", "") not in ("", "0")
OTHER_USER = ("needs root", "needs a plain user")


def reason_of(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Why it was skipped, without pytest's own prefix."""
    where = report.longrepr
    text = str(where[2]) if isinstance(where, tuple) else str(where)
    return text.removeprefix("Skipped: ")


def refuse(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure, except for a skip that asks for another user."""
    reason = reason_of(report)
    if hasattr(report, "wasxfail") or reason.startswith(OTHER_USER):
        return
    report.outcome = "failed"
    report.longrepr = f"skipped, and AGENTSTEAD_TEST_STRICT is set: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Look at each test's skip."""
    report = yield
    if STRICT and report.skipped:
        refuse(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """Look at each module's skip."""
    report = yield
    if STRICT and report.skipped:
        refuse(report)
    return report
