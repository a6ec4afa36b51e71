"""What a model is told of its files."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agentstead.harness import mounts
from agentstead.harness.mounts import Skill
from agentstead.harness.state import State, fold
from agentstead.prompt.context import build
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


TWO = (Skill("report-maker", "Makes reports."), Skill("tidy", "Tidies."))


def test_each_skill_is_named_with_the_place_of_its_instructions() -> None:
    (note,) = mounts.skills(TWO, {"config": {"type": "cloud"}})
    assert "- report-maker: Makes reports. (/mnt/skills/report-maker/SKILL.md)" in note
    assert "- tidy: Tidies. (/mnt/skills/tidy/SKILL.md)" in note


def test_on_a_worker_they_lie_in_the_working_directory() -> None:
    (note,) = mounts.skills(TWO[:1], {"config": {"type": "self_hosted"}})
    assert "(skills/report-maker/SKILL.md)" in note


def test_without_skills_nothing_is_said() -> None:
    assert mounts.skills((), {}) == []
