"""The scripted model double: its streams, its order of answers, and what it complains about."""

import asyncio
from dataclasses import replace

import pytest

from agentstead.errors import Invalid, ProviderFault
from agentstead.providers.provider import (
    Done,
    ModelRequest,
    TextDelta,
    TextStart,
    ThinkingStart,
)
from agentstead.testing.clock import ManualClock
from agentstead.testing.script import (
    Script,
    ScriptedModels,
    cut,
    fail,
    in_turn,
    refuse,
    say,
    text,
    thinking,
    use,
)


def user(words):
    return {"role": "user", "content": [text(words)]}


TOOL = {"name": "bash", "description": "Run.", "input_schema": {"type": "object"}}


def request(*messages):
    return ModelRequest("m", (), messages, (TOOL,), 100)


def script(*answers):
    return Script(ManualClock(), in_turn(answers))


async def parts(double, ask):
    return [part async for part in double.stream(ask)]


async def test_an_answer_comes_in_parts_and_ends_with_done():
    double = script(say(thinking("Hm.", "s"), "Hello you.", use("bash", n=1)))
    got = await parts(double, request(user("hi")))
    assert got[:2] == [ThinkingStart(), TextStart(0)]
    assert "".join(part.text for part in got if isinstance(part, TextDelta)) == "Hello you."
    done = got[-1]
    assert isinstance(done, Done)
    assert (done.stop_reason, done.content[2]["id"]) == ("tool_use", "toolu_script_000001")
    assert not double.violations


async def test_answers_follow_the_conversation_not_the_number_of_requests():
    double = script(say("one"), say("two"))
    for _ in range(2):
        assert (await parts(double, request(user("hi"))))[-1].content == (text("one"),)
    longer = request(user("hi"), {"role": "assistant", "content": [text("one")]}, user("more"))
    assert (await parts(double, longer))[-1].content == (text("two"),)


async def test_failures_come_once_before_the_next_good_answer():
    double = script(fail("overloaded"), cut("Hello you.", parts=2), say("Hello you."))
    with pytest.raises(ProviderFault) as fault:
        await parts(double, request(user("hi")))
    assert (fault.value.kind, fault.value.retryable) == ("overloaded", True)
    stream = double.stream(request(user("hi")))
    assert [type(await anext(stream)) for _ in range(2)] == [TextStart, TextDelta]
    with pytest.raises(ProviderFault, match="too early"):
        await anext(stream)
    assert (await parts(double, request(user("hi"))))[-1].stop_reason == "end_turn"


async def test_a_refusal_says_so():
    done = (await parts(script(refuse("No.")), request(user("hi"))))[-1]
    assert (done.stop_reason, done.stop_details["explanation"]) == ("refusal", "No.")


async def test_a_slow_answer_takes_time():
    clock = ManualClock()
    double = Script(clock, in_turn([say("a", "b").slow(5, 1)]))
    stream = double.stream(request(user("hi")))
    first = asyncio.ensure_future(anext(stream))
    await clock.advance(4)
    assert not first.done()
    await clock.advance(1)
    assert await first == TextStart(0)
    await stream.aclose()


async def test_an_invalid_request_is_a_violation():
    double = script(say("one"))
    await parts(double, request(user(" ")))
    assert double.violations == ["messages.0 (text) has no words"]


ANSWER = say(thinking("Hm.", "s"), "I look.", use("bash", "t1", n=1))
RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": [text("ok")]}


async def complaints_of(*content):
    double = script(ANSWER, say("Done."))
    await parts(double, request(user("hi")))
    answered = {"role": "assistant", "content": list(content)}
    await parts(double, request(user("hi"), answered, {"role": "user", "content": [RESULT]}))
    return double.violations


async def test_an_answer_that_comes_back_whole_is_fine_also_with_a_cache_mark():
    marked = {**ANSWER.content[2], "cache_control": {"type": "ephemeral"}}
    assert await complaints_of(*ANSWER.content) == []
    assert await complaints_of(*ANSWER.content[:2], marked) == []


async def test_thinking_that_comes_back_changed_is_a_violation():
    changed = {**ANSWER.content[0], "signature": ""}
    said = await complaints_of(changed, *ANSWER.content[1:])
    assert any("thinking block came back changed" in each for each in said)


async def test_thinking_that_does_not_come_back_is_a_violation():
    said = await complaints_of(*ANSWER.content[1:])
    assert any("answer of t1 came back changed" in each for each in said)


async def test_a_script_that_has_run_out_says_so():
    double = script()
    with pytest.raises(AssertionError, match="no answer number 1"):
        await parts(double, request(user("hi")))


def test_names_map_to_scripts():
    double = replace(script(say("one")), name="a")
    models = ScriptedModels({"a": double})
    assert models.resolve("a").provider is double
    with pytest.raises(Invalid, match=r"there are \['a'\]"):
        models.resolve("b")
