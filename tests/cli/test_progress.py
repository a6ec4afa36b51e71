"""Progress shows what happens, once, and nothing that a terminal would obey."""

import io
from typing import Any

from rich.console import Console

from agentstead.cli.progress import Progress, input_of, plain, shorten, text_of


def shown(*events: dict[str, Any]) -> str:
    out = io.StringIO()
    progress = Progress(Console(file=out, width=200, color_system=None))
    for event in events:
        progress.show(event)
    return out.getvalue()


def message(text: str, id_: str = "sevt_1") -> dict[str, Any]:
    return {"type": "agent.message", "id": id_, "content": [{"type": "text", "text": text}]}


def start(id_: str = "sevt_1") -> dict[str, Any]:
    return {"type": "event_start", "event": {"type": "agent.message", "id": id_}}


def delta(text: str, index: int = 0, id_: str = "sevt_1") -> dict[str, Any]:
    content = {"type": "text", "text": text}
    delta = {"type": "content_delta", "index": index, "content": content}
    return {"type": "event_delta", "event_id": id_, "delta": delta}


def test_previewed_words_are_not_shown_twice() -> None:
    assert (
        shown(start(), delta("Good "), delta("morning"), message("Good morning"))
        == "Good morning\n"
    )


def test_the_final_message_completes_previews_that_were_shed() -> None:
    assert shown(start(), delta("Good "), message("Good morning")) == "Good morning\n"


def test_a_message_without_previews_is_shown() -> None:
    assert shown(message("Hello")) == "Hello\n"


def test_a_message_that_differs_from_its_previews_is_shown_whole() -> None:
    assert shown(start(), delta("Bad"), message("Good")) == "Bad\nGood\n"


def test_text_blocks_stand_on_lines_of_their_own() -> None:
    final = message("one")
    final["content"].append({"type": "text", "text": "two"})
    assert shown(start(), delta("one"), delta("two", index=1), final) == "one\ntwo\n"


def test_a_call_shows_what_it_is_about_and_its_result_follows() -> None:
    use = {
        "type": "agent.tool_use",
        "id": "a",
        "name": "bash",
        "input": {"command": "ls  -l\ncd /"},
    }
    result = {
        "type": "agent.tool_result",
        "tool_use_id": "a",
        "content": [{"type": "text", "text": "x\ny"}],
    }
    assert shown(use, result) == "● bash  ls -l cd /\n  │ x\n  │ y\n"


def test_long_results_are_cut_with_a_count() -> None:
    text = "\n".join(str(n) for n in range(20))
    out = shown({"type": "agent.tool_result", "content": [{"type": "text", "text": text}]})
    assert out.endswith("  │ 7\n  │ … 12 more lines\n")


def test_an_empty_result_says_so() -> None:
    assert shown({"type": "agent.tool_result", "content": []}) == "  │ (no output)\n"


def test_a_retry_is_told_apart_from_a_failure() -> None:
    error = {"message": "overloaded", "retry_status": {"type": "retrying"}}
    assert "trying again" in shown({"type": "session.error", "error": error})
    error = {"message": "overloaded", "retry_status": {"type": "exhausted"}}
    assert "trying again" not in shown({"type": "session.error", "error": error})


def test_unknown_events_are_passed_over() -> None:
    assert shown({"type": "workflow_run.created"}, {"type": "note"}, {"type": "write"}) == ""


def test_nothing_an_agent_writes_reaches_the_terminal_as_a_command() -> None:
    evil = "\x1b]0;owned\x07\x9b31m\u202eabc\ud800[red]x[/red]"
    out = shown(message(evil), {"type": "agent.tool_use", "name": evil, "input": {"a": evil}})
    assert not any(character in out for character in "\x1b\x07\x9b\u202e\ud800")
    assert "[red]x[/red]" in out


def test_control_characters_but_newlines_are_replaced() -> None:
    assert plain("a\r\nb\tc\x00\rd") == "a\nb    c��d"


def test_shortening_keeps_one_line() -> None:
    assert shorten("a\n b " + "x" * 300, 10) == "a b xxxxx…"


def test_inputs_without_a_main_field_are_shown_as_json() -> None:
    assert input_of({"input": {"n": 1}}) == '{"n": 1}'
    assert input_of({}) == "{}"


def test_blocks_that_are_not_text_are_named() -> None:
    assert text_of([{"type": "image"}, {"type": "text", "text": "x"}]) == "[image]\nx"
    assert text_of("x") == "x"
    assert text_of(None) == ""
