"""The checker finds every violation that is planted, and nothing in a run that was good."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from agentstead.chaos.checker import BAD, Evidence, examine
from agentstead.chaos.jobs import job

SEED = 11
JOBS = [job(SEED, f"s0x{number}") for number in range(3)]
Event = dict[str, Any]


def text(words: str) -> list[Event]:
    return [{"type": "text", "text": words}]


def good() -> Evidence:
    """A session that did its jobs, as the API would list it."""
    events: list[Event] = []

    def add(kind: str, **fields: Any) -> str:
        name = f"e{len(events)}"
        events.append({"id": name, "type": kind, "processed_at": "2026-11-24T10:00:00Z", **fields})
        return name

    for one in JOBS:
        add("user.message", content=text(one.message))
        for calls in one.rounds:
            for call in calls:
                server = call.tool == "note"
                kind = "agent.mcp_tool" if server else "agent.tool"
                use = add(f"{kind}_use", name=call.name, input=call.input)
                add(
                    f"{kind}_result",
                    content=text(call.answer),
                    is_error=False,
                    **{"mcp_tool_use_id" if server else "tool_use_id": use},
                )
        add("agent.message", content=text(one.end))
        add("session.status_idle", stop_reason={"type": "end_turn"})
    marks = {call.token: 1 for one in JOBS for call in one.calls}
    return Evidence("s0", JOBS, events, marks)


def at(evidence: Evidence, kind: str) -> int:
    """Where the first event of a kind is."""
    assert evidence.events is not None
    return next(i for i, one in enumerate(evidence.events) if one["type"].endswith(kind))


def without(evidence: Evidence, kind: str) -> Evidence:
    place, events = at(evidence, kind), list(evidence.events or ())
    return replace(evidence, events=[*events[:place], *events[place + 1 :]])


def twice(evidence: Evidence, kind: str, **other: Any) -> Evidence:
    place, events = at(evidence, kind), list(evidence.events or ())
    return replace(evidence, events=[*events, {**events[place], "id": "again", **other}])


def changed(evidence: Evidence, kind: str, **fields: Any) -> Evidence:
    place, events = at(evidence, kind), [dict(one) for one in evidence.events or ()]
    events[place] |= fields
    return replace(evidence, events=events)


def marked(evidence: Evidence, times: int, token: str = JOBS[0].calls[0].token) -> Evidence:
    return replace(evidence, marks={**evidence.marks, token: times})


UNKNOWN = {"content": text("The outcome of this call is not known: …"), "is_error": True}
FAILED = {"content": text("bash: not run"), "is_error": True}

PLANTED: dict[str, tuple[str, Callable[[Evidence], Evidence]]] = {
    "the session is missing": ("lost", lambda one: replace(one, events=None)),
    "a message is missing": ("lost", lambda one: without(one, "user.message")),
    "a message was never taken in": ("lost", lambda one: changed(one, "message", processed_at=None)),
    "a job's end is missing": ("lost", lambda one: without(one, "agent.message")),
    "a use is missing": ("lost", lambda one: without(one, "tool_use")),
    "a result is missing": ("lost", lambda one: without(one, "tool_result")),
    "a mark is missing": ("lost", lambda one: marked(one, 0)),
    "a call took effect twice": ("doubled", lambda one: marked(one, 2)),
    "an unknown call took effect twice": (
        "doubled", lambda one: marked(changed(one, "tool_result", **UNKNOWN), 2),
    ),
    "a message is there twice": ("doubled", lambda one: twice(one, "user.message")),
    "an end is there twice": ("doubled", lambda one: twice(one, "agent.message")),
    "a use is there twice": ("doubled", lambda one: twice(one, "tool_use")),
    "a result is there twice": ("doubled", lambda one: twice(one, "tool_result")),
    "an id is there twice": ("doubled", lambda one: twice(one, "status_idle", id="e0")),
    "a call that is said not to have run took effect": ("untrue", lambda one: changed(one, "tool_result", **FAILED)),
    "a result is another's": (
        "untrue", lambda one: changed(one, "tool_result", content=text("ran something")),
    ),
    "a result of no call": (
        "untrue", lambda one: twice(one, "tool_result", tool_use_id="x", mcp_tool_use_id="x"),
    ),
    "a mark that nobody asked for": ("untrue", lambda one: marked(one, 1, "s9x9-0-0")),
    "a session is stuck": ("stuck", lambda one: replace(one, stuck="it waits")),
}  # fmt: skip


def test_a_good_run_is_good() -> None:
    found = examine([good()])
    assert found.bad == 0, found
    assert (found.jobs, found.calls) == (3, sum(len(one.calls) for one in JOBS))
    assert found.steps == sum(len(one.rounds) + 1 for one in JOBS)


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_planted_is_found(name: str) -> None:
    kind, plant = PLANTED[name]
    found = examine([plant(good())])
    assert getattr(found, kind), found
    assert found.bad >= 1


def test_a_request_that_was_invalid_is_found() -> None:
    assert examine([good()], ["messages.3: results of [], owed ['a']"]).bad == 1


@pytest.mark.parametrize("times", [0, 1])
def test_an_unknown_outcome_may_be_either(times: int) -> None:
    found = examine([marked(changed(good(), "tool_result", **UNKNOWN), times)])
    assert (found.bad, found.unknown) == (0, 1)


@pytest.mark.parametrize("times", [0, 1])
def test_a_call_that_was_cut_short_may_be_either(times: int) -> None:
    cut = {
        "content": text("every process in the sandbox ended while this call ran"),
        "is_error": True,
    }
    found = examine([marked(changed(good(), "tool_result", **cut), times)])
    assert (found.bad, found.refused) == (0, 1)


def test_a_call_that_is_said_not_to_have_run_left_no_mark() -> None:
    found = examine([marked(changed(good(), "tool_result", **FAILED), 0)])
    assert (found.bad, found.refused) == (0, 1)


def test_a_message_whose_sending_was_cut_off_may_be_missing() -> None:
    evidence = good()
    later = job(SEED, "s0x3")
    unsure = replace(evidence, jobs=[*JOBS, later], unsure=later.name)
    assert examine([unsure]).bad == 0
    assert examine([replace(unsure, unsure="")]).lost


def test_of_a_stuck_session_only_the_standstill_is_told() -> None:
    found = examine([replace(without(good(), "agent.message"), stuck="it waits")])
    assert (len(found.stuck), found.bad) == (1, 1)


def test_every_kind_of_finding_is_planted() -> None:
    assert {kind for kind, _ in PLANTED.values()} | {"invalid"} == set(BAD)
