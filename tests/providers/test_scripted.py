"""The scripted model: stateless, labelled, and able to misbehave on demand."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from agentstead.clock import SystemClock
from agentstead.errors import Misconfigured, ProviderFault
from agentstead.providers.provider import Done, ModelRequest, TextDelta, Usage
from agentstead.providers.scripted import MODEL, NOTE, Scripted, built_in
from agentstead.providers.scripted.place import filled, find
from agentstead.providers.scripted.scenario import (
    Delays,
    Refused,
    Scenario,
    Script,
    ToolUse,
    Trouble,
    Turn,
    When,
    load,
    parse,
    scenario,
)
from agentstead.settings import Settings
from agentstead.testing.clock import ManualClock
from tests.support.asking import Heard, answered, hear, request, result, said, told


def only(*turns: Turn, loop: bool = False) -> Scenario:
    """A scenario of one script."""
    return Scenario((Script(turns, loop=loop),), otherwise="?", closing="(end)")


LS = ToolUse("bash", {"command": "ls"})


def continued(asked: ModelRequest, heard: Heard, *results: str, is_error: bool = False) -> Any:
    """The next request of a tool loop."""
    blocks = [
        result(call_id, words, is_error=is_error)
        for (call_id, _, _), words in zip(heard.calls, results, strict=True)
    ]
    return request(*asked.messages, answered(*heard.done.content), told(*blocks))


async def test_turns_follow_from_the_messages_alone() -> None:
    plan = only(Turn("first", tools=(LS,)), Turn("second", tools=(LS,)), Turn("third"))
    asked = request(said("go"))
    for expected in ("first", "second", "third"):
        heard = await hear(Scripted(plan), asked)  # a new one each time: nothing is remembered
        assert heard.texts == [expected]
        if heard.calls:
            asked = continued(asked, heard, "a.txt")
    assert heard.done.stop_reason == "end_turn"


async def test_the_same_request_gets_the_same_answer() -> None:
    plan = only(Turn("x", tools=(LS, LS)))
    model = Scripted(plan)
    assert (await hear(model)).done == (await hear(model)).done


async def test_call_ids_differ_all_through_a_conversation() -> None:
    plan = only(Turn(tools=(LS, LS)), loop=True)
    asked, ids = request(said("go")), []
    for _ in range(5):
        heard = await hear(Scripted(plan), asked)
        ids += [call_id for call_id, _, _ in heard.calls]
        asked = continued(asked, heard, "a", "b")
    assert len(set(ids)) == 10


async def test_a_script_that_loops_never_ends() -> None:
    plan = only(Turn("one", tools=(LS,)), Turn("two", tools=(LS,)), loop=True)
    asked, texts = request(said("go")), []
    for _ in range(5):
        heard = await hear(Scripted(plan), asked)
        texts += heard.texts
        asked = continued(asked, heard, "a")
    assert texts == ["one", "two", "one", "two", "one"]


async def test_past_its_end_a_script_says_so() -> None:
    plan = only(Turn("all", tools=(LS,)))
    heard = await hear(Scripted(plan))
    after = await hear(Scripted(plan), continued(request(), heard, "a"))
    assert after.texts == ["(end)"]
    assert after.done.stop_reason == "end_turn"


async def test_the_last_words_of_the_user_choose_the_script() -> None:
    plan = Scenario(
        (
            Script((Turn("a report"),), When(contains="REPORT")),
            Script(
                (Turn("{{match.1}} and {{match.who}}"),), When(regex=r"greet (\w+) (?P<who>\w+)")
            ),
            Script((Turn("the second message"),), When(message=2)),
            Script((Turn("a pirate"),), When(system_contains="pirate")),
        ),
        otherwise="I am scripted",
    )
    model = Scripted(plan)
    assert (await hear(model, request(said("write a report")))).texts == ["a report"]
    assert (await hear(model, request(said("greet ann bob")))).texts == ["ann and bob"]
    assert (await hear(model, request(said("?"), system="Be a pirate"))).texts == ["a pirate"]
    later = request(said("?"), answered({"type": "text", "text": "x"}), said("!"))
    assert (await hear(model, later)).texts == ["the second message"]
    assert (await hear(model, request(said("?")))).texts == ["I am scripted"]
    assert (await hear(model, request({"role": "user", "content": "report"}))).texts == ["a report"]


async def test_a_new_message_begins_a_script_anew() -> None:
    plan = only(Turn("first", tools=(LS,)), Turn("second"))
    asked = continued(request(), await hear(Scripted(plan)), "a")
    heard = await hear(Scripted(plan), asked)
    assert heard.texts == ["second"]
    again = request(*asked.messages, answered(*heard.done.content), said("more"))
    assert (await hear(Scripted(plan), again)).texts == ["first"]


@pytest.mark.parametrize(
    ("words", "is_error", "expected"),
    [("all good", False, "fine"), ("no such file", True, "broken"), ("found 7", False, "seven")],
)
async def test_turns_may_depend_on_results(words: str, is_error: bool, expected: str) -> None:
    plan = only(
        Turn("look", tools=(LS,)),
        Turn("broken", when=When(is_error=True)),
        Turn("seven", when=When(result_contains="7")),
        Turn("fine", when=When(is_error=False)),
    )
    asked = continued(request(), await hear(Scripted(plan)), words, is_error=is_error)
    assert (await hear(Scripted(plan), asked)).texts == [expected]


async def test_a_path_through_conditions_is_found_again() -> None:
    """The turns passed over on the way do not come back, however the process died."""
    plan = only(
        Turn("try", tools=(LS,)),
        Turn("again", when=When(is_error=True), tools=(LS,)),
        Turn("done"),
    )
    asked = continued(request(), await hear(Scripted(plan)), "bad", is_error=True)
    heard = await hear(Scripted(plan), asked)
    assert heard.texts == ["again"]
    asked = continued(asked, heard, "bad", is_error=True)
    assert (await hear(Scripted(plan), asked)).texts == ["done"]


async def test_placeholders_reach_into_inputs_and_are_replaced_once() -> None:
    writes = ToolUse("write", {"path": "/n", "lines": ["{{user}}", {"all": "{{results}}"}], "n": 1})
    plan = only(
        Turn(tools=(LS, LS)),
        Turn("{{last_result_line}}|{{unknown}}", tools=(writes,), thinking="{{user}}"),
    )
    asked = request(said("say {{last_result}}"))
    asked = continued(asked, await hear(Scripted(plan), asked), "a", "b\nlast {{user}}\n")
    heard = await hear(Scripted(plan), asked)
    assert heard.texts == ["last {{user}}|{{unknown}}"]
    assert heard.done.content[0]["thinking"] == "say {{last_result}}"
    assert heard.calls[0][2] == {
        "path": "/n",
        "lines": ["say {{last_result}}", {"all": "a\nb\nlast {{user}}\n"}],
        "n": 1,
    }


def test_without_results_placeholders_are_empty() -> None:
    seen = find(only(Turn("x")), request(said("u"))).seen
    assert filled("{{last_result}}{{match.none}}{{user}}", seen) == "u"


async def test_several_texts_refusal_stop_reason_and_usage() -> None:
    usage = {"input_tokens": 5, "output_tokens": 6, "cache_read_input_tokens": 7}
    heard = await hear(Scripted(only(Turn(["a", "", "b"], stop_reason="max_tokens", usage=usage))))
    assert heard.texts == ["a", "b"]
    assert heard.done.stop_reason == "max_tokens"
    assert heard.done.usage == Usage(5, 6, cache_read_input_tokens=7)
    refused = (await hear(Scripted(only(Turn(refusal=Refused("bio", "no")))))).done
    assert refused.stop_reason == "refusal"
    assert refused.stop_details == {"type": "refusal", "category": "bio", "explanation": "no"}


async def test_usage_grows_with_the_conversation_and_the_old_part_is_cached() -> None:
    plan = only(Turn("x", tools=(LS,)), Turn("y"))
    first = await hear(Scripted(plan), request(said("z" * 400)))
    second = await hear(Scripted(plan), continued(request(said("z" * 400)), first, "r" * 4000))
    assert first.done.usage.input_tokens >= 100
    assert second.done.usage.input_tokens >= 1000
    assert second.done.usage.cache_read_input_tokens >= 100
    bare = await hear(Scripted(plan), request(said("z" * 400), system="", tools=()))
    assert bare.done.usage.cache_read_input_tokens == 0


async def test_trouble_happens_as_often_as_it_should() -> None:
    trouble = (Trouble(status=529, times=2), Trouble(status=429, retry_after=3.0))
    model = Scripted(only(Turn("fine", trouble=trouble)))
    kinds = []
    for _ in range(3):
        with pytest.raises(ProviderFault) as caught:
            await hear(model)
        kinds.append((caught.value.kind, caught.value.retryable, caught.value.retry_after))
    assert kinds == [("overloaded", True, None)] * 2 + [("rate_limited", True, 3.0)]
    assert (await hear(model)).texts == ["fine"]
    with pytest.raises(ProviderFault):
        await hear(model, request(metadata={"user_id": "another"}))


async def test_trouble_may_last_for_ever() -> None:
    model = Scripted(only(Turn("x", trouble=(Trouble(status=500, times=None),))))
    for _ in range(5):
        with pytest.raises(ProviderFault):
            await hear(model)


async def test_a_cut_comes_after_some_pieces() -> None:
    plan = only(Turn("a long text " * 9, trouble=(Trouble(cut_after_pieces=2),)))
    model, parts = Scripted(plan), []
    with pytest.raises(ProviderFault) as caught:  # noqa: PT012 - the loop raises in between
        async for part in model.stream(request()):
            parts.append(part)
    assert (caught.value.kind, len(parts)) == ("cut", 2)
    assert (await hear(model)).texts == ["a long text " * 9]


async def test_slow_and_hanging_follow_the_clock() -> None:
    clock = ManualClock()
    trouble = (Trouble(slow_seconds=20), Trouble(hang=True))
    model = Scripted(only(Turn("late", trouble=trouble)), clock=clock, timeout_seconds=600)
    slow = asyncio.create_task(hear(model))
    await clock.advance(19)
    assert not slow.done()
    await clock.advance(2)
    assert (await slow).texts == ["late"]
    hanging = asyncio.create_task(hear(model))
    await clock.advance(601)
    with pytest.raises(ProviderFault) as caught:
        await hanging
    assert (caught.value.kind, caught.value.retryable) == ("cut", True)


async def test_it_talks_at_the_pace_it_is_told() -> None:
    clock = ManualClock()
    delays = Delays(first_seconds=1, piece_seconds=0.5, piece_characters=4)
    plan = Scenario((Script((Turn("12345678"),)),), "?", delays=delays)
    parts: list[Any] = []

    async def listen() -> None:
        async for part in Scripted(plan, clock=clock).stream(request()):
            parts.append(part)

    task = asyncio.create_task(listen())
    await clock.advance(0.9)
    assert parts == []
    await clock.advance(1.2)
    assert parts[-1] == TextDelta(0, "1234")
    await clock.advance(1)
    await task
    assert isinstance(parts[-1], Done)


# ------------------------------------------------------------------ what comes with the platform


async def test_it_says_everywhere_what_it_is() -> None:
    model = Scripted()
    able = model.capabilities("whatever")
    assert able.note == NOTE == "scripted, not an AI"
    assert "not an AI" in able.display_name
    assert model.names() == (MODEL,)
    assert (await hear(Scripted(only(Turn("x"))))).done.model == MODEL
    assert "not an AI" in built_in().otherwise
    assert "AGENTSTEAD_ANTHROPIC_API_KEY" in built_in().otherwise


async def test_the_built_in_scenario_does_real_work_and_labels_itself() -> None:
    model = Scripted(Scenario(built_in().scripts, built_in().otherwise))
    asked, tools, texts = request(said("plan my {{week}}")), [], []
    for _ in range(6):
        heard = await hear(model, asked)
        texts += heard.texts
        if not heard.calls:
            break
        tools += [(name, given) for _, name, given in heard.calls]
        asked = continued(asked, heard, "/workspace\nLinux 6")
    assert [name for name, _ in tools] == ["bash", "write", "bash"]
    assert "plan my {{week}}" in tools[1][1]["content"]
    assert "Linux 6" in tools[1][1]["content"]
    assert "not an AI" in texts[0]
    assert "not written by an AI" in texts[-1]
    assert (await hear(model, request(said("hello!")))).calls == []


async def test_the_built_in_scenario_stops_at_an_error() -> None:
    model = Scripted(Scenario(built_in().scripts, built_in().otherwise))
    asked = request(said("do it"))
    asked = continued(asked, await hear(model, asked), "bwrap: not found", is_error=True)
    heard = await hear(model, asked)
    assert heard.calls == []
    assert "bwrap: not found" in heard.texts[0]


def test_a_scenario_is_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "scenario.json"
    data = {
        "delays": {"piece_characters": 3},
        "closing": "bye",
        "scripts": [
            {
                "when": {"contains": "go"},
                "loop": True,
                "turns": [
                    {
                        "text": "one",
                        "when": {"is_error": False},
                        "tools": [{"name": "bash", "input": {"command": "ls"}}],
                        "refusal": {"category": None},
                        "trouble": [{"status": 529, "times": 2}],
                    }
                ],
            }
        ],
    }
    file.write_text(json.dumps(data), encoding="utf-8")
    turn = Turn(
        "one",
        when=When(is_error=False),
        tools=(LS,),
        refusal=Refused(),
        trouble=(Trouble(status=529, times=2),),
    )
    found = load(file)
    assert found.scripts == (Script((turn,), When(contains="go"), loop=True),)
    assert (found.closing, found.delays.piece_characters) == ("bye", 3)
    assert "not an AI" in found.otherwise
    made = Scripted.from_settings(Settings(scripted_file=file), SystemClock())
    assert made.scenario == found
    assert Scripted.missing(Settings()) is None


def test_a_single_script_may_be_written_shortly() -> None:
    assert scenario({"turns": [{"text": "hi"}]}).scripts == (Script((Turn("hi"),)),)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("{", "not a scenario"),
        ("{}", "turns"),
        ("[]", "not a scenario"),
        ('{"turns": [{"txt": "x"}]}', "'txt' of Turn"),
        ('{"turns": [], "loop": true}', "'loop'"),
        ('{"turns": [{"tools": [{"input": {}}]}]}', "name"),
        ('{"turns": [{"when": {"regex": "("}}]}', "not a scenario"),
    ],
)
def test_a_faulty_scenario_is_the_operators(content: str, named: str) -> None:
    with pytest.raises(Misconfigured, match="scripted_file") as caught:
        parse(content, "x.json")
    assert named in caught.value.message


def test_a_missing_file_is_the_operators(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be read"):
        load(tmp_path / "none.json")
