"""Chance drives sessions and events, right and wrong, on a running server."""

from collections.abc import Iterator

import httpx2
import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.fuzz import holds
from tests.fuzz.budget import SECONDS, examples
from tests.fuzz.garden import Garden, says
from tests.fuzz.machine import PACE, SCRIPT, Sessions, agent_body, hands
from tests.fuzz.watched import Event, Watched
from tests.support.background import serving_in_thread
from tests.support.postgres import Server


@pytest.fixture(scope="module")
def garden(postgres: Server) -> Iterator[Garden]:
    url = postgres.create()
    with serving_in_thread(url, workers=1, script=SCRIPT, sandbox=hands(), **PACE) as running:
        headers = {"x-api-key": running.key}
        with httpx2.Client(
            base_url=running.url, headers=headers, timeout=15, trust_env=False
        ) as http:
            yield Garden(http)
    postgres.drop(url)


@pytest.mark.timeout(SECONDS)
def test_sessions_hold(garden: Garden) -> None:
    agent = garden.keep("agent_id", garden.post("/v1/agents", agent_body()))
    environment = garden.environment()
    run_state_machine_as_test(
        lambda: Sessions(garden, agent, environment),
        settings=examples(6, stateful_step_count=30),
    )


def mutations(events: list[Event]) -> dict[str, list[Event]]:
    """A log with one thing wrong."""
    result = next(one for one in events if one["type"] == "agent.tool_result")
    use = next(one for one in events if one["id"] == result["tool_use_id"])
    end = next(one for one in events if one["type"] == "span.model_request_end")
    at = events.index(result)
    return {
        "a result twice": [*events[:at], {**result, "id": "sevt_again"}, *events[at:]],
        "no result": [one for one in events if one is not result],
        "a result without a use": [one for one in events if one is not use],
        "an id twice": [*events, events[0]],
        "no end of a request": [one for one in events if one is not end],
        "nothing after the idle": [*events, {**result, "id": "sevt_late"}],
        "an idle too few": events[:-1],
        "queued in the middle": [{**events[0], "processed_at": None}, *events[1:]],
    }


def test_checks_bite(garden: Garden) -> None:
    agent = garden.keep("agent_id", garden.post("/v1/agents", agent_body()))
    new = {"agent": agent["id"], "environment_id": garden.environment()["id"]}
    made = garden.post("/v1/sessions", {**new, "initial_events": [says("<works>")]})
    watched = Watched(garden.http, made)
    assert watched.settled() == "idle"
    holds.check(watched, 2)
    session, events = watched.get(), watched.listed()
    for name, wrong in mutations(events).items():
        with pytest.raises(AssertionError):  # noqa: PT012  any of them
            taken = holds.pending_is_last(wrong)
            holds.in_order(watched, taken)
            holds.status_agrees(session, taken)
            holds.calls_are_answered_once(session, taken)
            holds.idle_is_last(session, taken)
            pytest.fail(f"nothing saw {name}")
    with pytest.raises(AssertionError):
        holds.status_agrees({**session, "status": "running"}, events)
    with pytest.raises(AssertionError):
        holds.only_grows(watched, events[1:])
    with pytest.raises(AssertionError):
        holds.streamed_once(watched, events[:-1])
    garden.post(f"/v1/sessions/{watched.id}/archive")
    watched.follower.close()
