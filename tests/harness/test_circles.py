"""A model that makes a failing call again and again: told once, then stopped."""

from agentstead.harness.steps import Wait
from agentstead.testing.script import use
from tests.harness.talk import PRIMARY, Talk

ENDED = (Wait("idle"),)


def begun(repeats_max: int = 2) -> Talk:
    talk = Talk(repeats_max=repeats_max)
    talk.message("begin")
    talk.settle()
    return talk


def calls(talk: Talk, error: str = "no such file", *, n: int = 1, is_error: bool = True):
    """One more round with one call."""
    talk.answer(use("bash", n=n))
    return talk.result(talk.uses()[-1], error, is_error=is_error)


def last_result(talk: Talk) -> list[str]:
    """What the model reads of its last call."""
    block = talk.request().messages[-1]["content"][-1]
    return [part["text"] for part in block["content"]]


def errors(talk: Talk) -> list[str]:
    """What the client was told."""
    return [e.payload["error"]["message"] for e in talk.events if e.type == "session.error"]


def test_the_model_is_told_once_and_then_the_turn_ends() -> None:
    talk = begun()
    calls(talk)
    assert last_result(talk) == ["no such file"]
    calls(talk)
    told = last_result(talk)
    assert told[0] == "no such file"
    assert "failed 2 times in a row" in told[1]
    calls(talk)
    assert last_result(talk) == ["no such file"]
    assert calls(talk) == ENDED
    (message,) = errors(talk)
    assert "same call 4 times" in message
    assert talk.state.stop_reason == {"type": "retries_exhausted"}
    assert talk.folded() == talk.state


def test_the_next_message_starts_afresh() -> None:
    talk = begun(1)
    calls(talk)
    assert calls(talk) == ENDED
    talk.message("again")
    talk.settle()
    calls(talk)
    assert talk.state.threads[PRIMARY].before_request is False
    assert len(errors(talk)) == 1


def test_another_error_other_arguments_or_success_begin_anew() -> None:
    talk = begun()
    for _ in range(3):
        calls(talk)
        calls(talk, "permission denied")
    for _ in range(3):
        calls(talk)
        calls(talk, "fine", is_error=False)
    for n in range(10):
        calls(talk, n=n + 10)
    assert errors(talk) == []


def test_two_calls_in_turn_are_circles_too() -> None:
    talk = begun()
    for _ in range(3):
        calls(talk, n=1)
        calls(talk, n=2)
    assert calls(talk, n=1) == ENDED


def test_without_a_limit_nothing_is_counted_against_anybody() -> None:
    talk = begun(0)
    for _ in range(30):
        calls(talk)
    assert errors(talk) == []
