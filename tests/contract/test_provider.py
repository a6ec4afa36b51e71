"""One suite for every registered provider: the same upstream replies, the same promises."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from agentstead.errors import ProviderFault
from agentstead.providers import PROVIDERS
from agentstead.providers.anthropic import Anthropic
from agentstead.providers.openai_compatible import OpenAICompatible
from agentstead.providers.provider import Done, Provider, ThinkingStart
from agentstead.providers.scripted import Scripted
from agentstead.providers.scripted.scenario import (
    Refused,
    Scenario,
    Script,
    ToolUse,
    Trouble,
    Turn,
)
from tests.support.asking import Heard, hear, request
from tests.support.upstream import Reply, Upstream, call, text, thinking

pytestmark = pytest.mark.parametrize("name", sorted(PROVIDERS))


def as_scenario(reply: Reply) -> Scenario:
    """The reply as the scripted provider would be told to give it."""
    trouble = Trouble(times=None)
    if reply.status != 200:
        after = reply.headers.get("retry-after")
        message = str(reply.error)
        trouble = Trouble(
            reply.status, message, retry_after=float(after) if after else None, times=None
        )
    if reply.cut or reply.broken or reply.stop_reason is None:
        trouble = Trouble(cut_after_pieces=1, times=None)
    turn = Turn(
        text=[str(block["text"]) for block in reply.blocks if block["type"] == "text"],
        thinking=next((b["thinking"] for b in reply.blocks if b["type"] == "thinking"), None),
        tools=tuple(
            ToolUse(
                block["name"], {} if isinstance(block["arguments"], str) else block["arguments"]
            )
            for block in reply.blocks
            if block["type"] == "tool_use"
        ),
        stop_reason=reply.stop_reason,
        refusal=Refused() if reply.stop_reason == "refusal" else None,
        trouble=(trouble,),
    )
    return Scenario((Script((turn,)),), "?")


@asynccontextmanager
async def provider(name: str, *replies: Reply) -> AsyncIterator[Provider]:
    """The provider, set up so that it meets these replies."""
    async with Upstream() as upstream:
        upstream.replies += replies
        made: Provider
        match name:
            case "anthropic":
                made = Anthropic(api_key="key", base_url=upstream.url)
            case "openai_compatible":
                made = OpenAICompatible(api_key="key", base_url=f"{upstream.url}/v1")
            case "scripted":
                made = Scripted(as_scenario(replies[0]))
            case _:
                pytest.fail(f"say here how the suite meets provider {name!r}")
        try:
            yield made
        finally:
            await made.close()


async def answer(name: str, reply: Reply) -> Heard:
    async with provider(name, reply) as made:
        return await hear(made)


async def failure(name: str, reply: Reply) -> ProviderFault:
    parts = []
    async with provider(name, reply) as made:
        with pytest.raises(ProviderFault) as caught:  # noqa: PT012 - the loop raises in between
            async for part in made.stream(request()):
                parts.append(part)
    assert not any(isinstance(part, Done) for part in parts), "never a short answer"
    return caught.value


async def test_its_name_is_the_one_it_is_registered_by(name: str) -> None:
    async with provider(name, Reply()) as made:
        assert made.name == name


async def test_text_arrives_in_pieces_and_whole(name: str) -> None:
    heard = await answer(name, Reply([text("Grüße aus dem Süden, ✓ fertig und länger als eins")]))
    assert heard.texts == ["Grüße aus dem Süden, ✓ fertig und länger als eins"]
    assert heard.done.content == ({"type": "text", "text": heard.texts[0]},)
    assert heard.done.stop_reason == "end_turn"
    assert heard.done.stop_details is None
    assert [type(part) for part in heard.parts].count(Done) == 1
    assert len(heard.parts) >= 4, "start, two pieces or more, done"


async def test_usage_is_counted(name: str) -> None:
    usage = (await answer(name, Reply([text("one two three four")]))).done.usage
    assert usage.input_tokens + usage.cache_read_input_tokens > 0
    assert usage.output_tokens > 0


async def test_parallel_calls_are_kept_apart(name: str) -> None:
    first = call("call_a", "bash", {"command": "ls", "n": [1, {"ü": None}]})
    second = call("call_b", "read", {"file_path": "/workspace/a"})
    heard = await answer(name, Reply([text("Both."), first, second], stop_reason="tool_use"))
    assert [(tool, given) for _, tool, given in heard.calls] == [
        ("bash", {"command": "ls", "n": [1, {"ü": None}]}),
        ("read", {"file_path": "/workspace/a"}),
    ]
    assert len({each[0] for each in heard.calls}) == 2
    assert heard.done.stop_reason == "tool_use"
    assert [block["type"] for block in heard.done.content] == ["text", "tool_use", "tool_use"]


async def test_no_arguments_are_an_empty_object(name: str) -> None:
    heard = await answer(name, Reply([call("call_a", "bash", "")], stop_reason="tool_use"))
    assert [given for _, _, given in heard.calls] == [{}]
    assert heard.texts == []


async def test_thinking_is_announced_before_the_text(name: str) -> None:
    heard = await answer(name, Reply([thinking("let me see"), text("Yes.")]))
    kinds = [type(part) for part in heard.parts]
    assert kinds[0] is ThinkingStart
    assert kinds.count(ThinkingStart) == 1
    assert heard.texts == ["Yes."]
    block = heard.done.content[0]
    assert block["type"] == "thinking"
    assert block["thinking"] == "let me see"
    assert isinstance(block["signature"], str)


@pytest.mark.parametrize(
    "reply",
    [
        Reply([text("half an ans")], cut=True),
        Reply([text("half an ans")], broken=True),
        Reply([text("half an ans")], stop_reason=None),
        Reply([call("call_a", "bash", '{"command": "rm -')], cut=True),
        Reply([], cut=True),
    ],
    ids=["quiet", "broken", "no-reason", "in-arguments", "empty"],
)
async def test_a_cut_stream_is_a_fault(name: str, reply: Reply) -> None:
    fault = await failure(name, reply)
    assert (fault.kind, fault.retryable) == ("cut", True)


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (400, "invalid", False),
        (401, "auth", False),
        (402, "billing", False),
        (403, "auth", False),
        (404, "invalid", False),
        (408, "failed", True),
        (409, "failed", True),
        (413, "too_long", False),
        (422, "invalid", False),
        (429, "rate_limited", True),
        (500, "failed", True),
        (502, "failed", True),
        (503, "overloaded", True),
        (529, "overloaded", True),
    ],
)
async def test_a_status_becomes_a_fault(name: str, status: int, kind: str, retryable: bool) -> None:
    body = {"type": "error", "error": {"type": "some_error", "message": "because of reasons"}}
    fault = await failure(name, Reply(status=status, error=body))
    assert (fault.kind, fault.retryable) == (kind, retryable)
    assert "because of reasons" in fault.message


async def test_retry_after_is_handed_on(name: str) -> None:
    body = {"error": {"type": "rate_limit_error", "message": "slow down"}}
    fault = await failure(name, Reply(status=429, error=body, headers={"retry-after": "17"}))
    assert (fault.kind, fault.retry_after) == ("rate_limited", 17.0)


async def test_a_prompt_that_is_too_long_is_named_so(name: str) -> None:
    body = {"error": {"type": "invalid_request_error", "message": "prompt is too long: 9 > 8"}}
    fault = await failure(name, Reply(status=400, error=body))
    assert (fault.kind, fault.retryable) == ("too_long", False)


async def test_a_limit_on_the_output_is_said(name: str) -> None:
    heard = await answer(name, Reply([text("and so on and")], stop_reason="max_tokens"))
    assert heard.done.stop_reason == "max_tokens"
    assert heard.texts == ["and so on and"]


async def test_a_refusal_is_said(name: str) -> None:
    heard = await answer(name, Reply([text("I had begun")], stop_reason="refusal"))
    assert heard.done.stop_reason == "refusal"
    details = heard.done.stop_details
    assert details is not None
    assert set(details) == {"type", "category", "explanation"}
    assert details["type"] == "refusal"


async def test_many_streams_at_once_do_not_mix(name: str) -> None:
    async with provider(name, Reply([text("all the same"), call("c", "bash", {"a": 1})])) as made:
        heard = await asyncio.gather(*(hear(made) for _ in range(20)))
    assert all(each.texts == ["all the same"] for each in heard)


async def test_a_listener_may_leave(name: str) -> None:
    async with provider(name, Reply([text("a text of some length, in pieces")])) as made:
        stream = made.stream(request())
        async for _ in stream:
            break
        await stream.aclose()  # type: ignore[attr-defined] - it is a generator everywhere
        assert (await hear(made)).texts == ["a text of some length, in pieces"]


async def test_an_unknown_model_has_cautious_capabilities(name: str) -> None:
    async with provider(name, Reply()) as made:
        able = made.capabilities("never-heard-of-it")
    assert 0 < able.max_output_tokens <= able.context_window
    assert able.display_name
    assert able.default_effort in {"low", "medium", "high", "xhigh", "max"}
