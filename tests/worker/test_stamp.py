"""Ids and times of what is written."""

from agentstead.clock import rfc3339
from agentstead.harness.evolve import evolve
from agentstead.harness.state import initial
from agentstead.ids import RandomIds
from agentstead.testing.clock import ManualClock
from agentstead.wire.events.stored import Draft, Pending
from agentstead.worker.stamp import Stamp
from tests.simulation.scenarios import MAIN, agent

NOW = 1_900_000_000.0


def stamp_and_state():
    clock = ManualClock(NOW)
    state = initial(
        session_id="s", primary_id="t", agent=agent(MAIN), environment={}, created_at=NOW
    )
    return Stamp(clock, RandomIds(clock)), state


def test_a_draft_gets_an_id_a_time_and_its_fields() -> None:
    stamp, state = stamp_and_state()
    (event,) = stamp.drafts([Draft("agent.message", "t", {"content": []}, {"x": 1})], state)
    assert event.id.startswith("sevt_01")
    assert event.payload == {
        "type": "agent.message", "id": event.id, "content": [], "processed_at": rfc3339(NOW),
    }  # fmt: skip
    assert event.private == {"x": 1}
    assert event.seq == 0


def test_an_announced_id_is_kept() -> None:
    stamp, state = stamp_and_state()
    (event,) = stamp.drafts([Draft("agent.message", "t", id="sevt_known")], state)
    assert event.id == event.payload["id"] == "sevt_known"


def test_times_never_run_backwards() -> None:
    stamp, state = stamp_and_state()
    (event,) = stamp.drafts([Draft("session.usage", "t")], evolve(state, last_at=NOW + 5))
    assert event.at == NOW + 5


def test_taken_input_keeps_its_id_and_gets_its_time_once() -> None:
    stamp, state = stamp_and_state()
    waiting = Pending(
        "sevt_1", "user.message", None, {"id": "sevt_1", "processed_at": None}, 1, NOW
    )
    event = stamp.taken(waiting, state)
    assert (event.id, event.thread_id, event.payload["processed_at"]) == (
        "sevt_1",
        "t",
        rfc3339(NOW),
    )
    early = rfc3339(NOW - 7)
    settled = Pending("sevt_2", "user.custom_tool_result", "c", {"processed_at": early}, 2, NOW)
    event = stamp.taken(settled, state)
    assert (event.thread_id, event.payload["processed_at"], event.at) == ("c", early, NOW - 7)
