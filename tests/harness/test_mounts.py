"""What a model is told of its files."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agentstead.harness import mounts
from agentstead.harness.context import build
from agentstead.harness.state import State, fold
from agentstead.wire.events.stored import Event
from tests.harness.talk import BUILTINS, PRIMARY, Talk

PATHS = st.lists(st.sampled_from("abcdef"), unique=True, max_size=6)


@given(PATHS, PATHS)
def test_after_a_change_the_model_knows_what_is_there(told: list[str], attached: list[str]) -> None:
    kept = mounts.changes(told, attached)
    if kept is None:
        assert set(told) == set(attached)
        return
    after = mounts.after(told, kept[mounts.KEY])
    assert set(after) == set(attached)
    assert mounts.changes(after, attached) is None
    assert mounts.note(kept[mounts.KEY])


def said(state: State, number: int, attached: tuple[str, ...]) -> State:
    """One message, taken in while these files are attached."""
    content = [{"type": "text", "text": f"message {number}"}]
    event: dict[str, Any] = {"content": content}
    private = mounts.changes(state.known_files, attached)
    return fold(
        state, Event(f"sevt_{number}", "user.message", PRIMARY, event, 1.0, private=private)
    )


def test_the_first_stand_in_the_system_prompt_and_changes_in_the_conversation() -> None:
    state = said(Talk().beginning, 1, ("/a", "/b"))
    state = said(state, 2, ("/a", "/b"))
    state = said(state, 3, ("/b", "/c"))
    assert state.mounted == ("/a", "/b")
    prompt = build(state.primary, {}, mounted=state.mounted)
    texts = [block["text"] for block in prompt.messages[0]["content"]]
    assert texts == [
        "message 1",
        "message 2",
        "<system>Now mounted read-only: /c\nNo longer mounted: /a</system>",
        "message 3",
    ]
    # An agent without tools has no sandbox to find them in.
    assert "/a" not in str(prompt.system)
    prompt = build(state.primary, BUILTINS, mounted=state.mounted)
    assert "- /a\n- /b" in str(prompt.system[-2]["text"])


def test_a_session_that_began_without_files_keeps_its_system_prompt() -> None:
    state = said(Talk().beginning, 1, ())
    state = said(state, 2, ("/a",))
    assert state.mounted == ()
    assert "Now mounted read-only: /a" in str(state.primary.transcript)
