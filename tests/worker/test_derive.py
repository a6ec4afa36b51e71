"""The columns that repeat the log."""

from agentstead.testing.script import in_turn, say, use
from agentstead.worker.derive import derive
from agentstead.worker.load import from_record
from tests.worker.support import PRIMARY, SESSION, Place


async def test_asks_are_listed_in_the_order_of_the_log() -> None:
    answer = say(use("write", file_path="x"), use("lookup", q="1"), use("bash", command="ls"))
    place = Place(in_turn([answer, say("Done.")]))
    async with place.worker():
        await place.session("go")
        row = await place.parked()
    assert [ask.kind for ask in row.asks] == ["confirmation", "custom"]
    assert row.stop_reason == {"type": "requires_action", "event_ids": [ask.id for ask in row.asks]}
    state = from_record(place.world, place.log.sessions[SESSION].record())
    derived = derive(state)
    assert derived.status == "idle"
    assert derived.asks == row.asks
    assert derived.active_since is None
    assert derived.usage["input_tokens"] > 0
    (thread,) = derived.threads
    assert thread.id == PRIMARY
    assert thread.usage["input_tokens"] == derived.usage["input_tokens"]


async def test_a_fresh_session_has_zeros_and_no_thread_usage() -> None:
    place = Place(in_turn([]))
    await place.session()
    derived = derive(from_record(place.world, place.log.sessions[SESSION].record()))
    assert derived.usage["output_tokens"] == 0
    assert derived.asks == ()
    assert derived.threads[0].usage is None
    assert derived.threads[0].stats is None
