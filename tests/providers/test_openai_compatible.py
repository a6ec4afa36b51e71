"""The adapter for OpenAI-compatible servers: the mapping, and the five duties no library does."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agentstead.clock import SystemClock
from agentstead.errors import ProviderFault
from agentstead.providers.openai_compatible import OpenAICompatible
from agentstead.providers.provider import TextStart, ThinkingStart
from agentstead.settings import Settings
from tests.support.asking import answered, hear, request, result, said, told
from tests.support.upstream import Reply, Upstream, call, text, thinking


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as made:
        made.replies = [Reply([text("ok")])]
        yield made


@pytest.fixture
async def server(upstream: Upstream) -> AsyncIterator[OpenAICompatible]:
    made = OpenAICompatible(api_key=None, base_url=f"{upstream.url}/v1", timeout_seconds=5)
    yield made
    await made.close()


async def failure(server: OpenAICompatible) -> ProviderFault:
    with pytest.raises(ProviderFault) as caught:
        await hear(server)
    return caught.value


# ------------------------------------------------------------------ the five duties


@pytest.mark.parametrize("marker", [True, False])
async def test_a_stream_without_a_finish_reason_is_cut(
    server: OpenAICompatible, upstream: Upstream, marker: bool
) -> None:
    upstream.replies = [Reply([text("half an")], stop_reason=None, done_marker=marker)]
    fault = await failure(server)
    assert (fault.kind, fault.retryable) == ("cut", True)


async def test_a_new_id_at_the_same_index_is_a_new_call(
    server: OpenAICompatible, upstream: Upstream
) -> None:
    calls = [call("call_a", "get_weather", {"city": "Zürich"}), call("call_b", "get_time", {})]
    upstream.replies = [Reply(calls, "tool_use", index_zero=True)]
    assert (await hear(server)).calls == [
        ("call_a", "get_weather", {"city": "Zürich"}),
        ("call_b", "get_time", {}),
    ]


async def test_a_new_name_at_the_same_index_is_a_new_call_even_without_ids(
    server: OpenAICompatible, upstream: Upstream
) -> None:
    calls = [call(None, "get_weather", {"city": "Zürich"}), call(None, "get_time", {"zone": "x"})]
    upstream.replies = [Reply(calls, "tool_use", index_zero=True)]
    heard = await hear(
        server, request(said("a"), answered({"type": "text", "text": "b"}), said("c"))
    )
    assert heard.calls == [
        ("call_3_0", "get_weather", {"city": "Zürich"}),
        ("call_3_1", "get_time", {"zone": "x"}),
    ]


@pytest.mark.parametrize("arguments", ['{"path": "/a", "content": "lo', "", '{"path"'])
async def test_length_inside_arguments_is_an_error_never_a_repaired_call(
    server: OpenAICompatible, upstream: Upstream, arguments: str
) -> None:
    upstream.replies = [Reply([call("call_a", "write", arguments)], stop_reason="max_tokens")]
    fault = await failure(server)
    assert (fault.kind, fault.retryable) == ("cut", False)


async def test_length_inside_interleaved_arguments_too(
    server: OpenAICompatible, upstream: Upstream
) -> None:
    calls = [call("call_a", "write", '{"a": "a long one'), call("call_b", "bash", "{")]
    upstream.replies = [Reply(calls, stop_reason="max_tokens", interleave=True)]
    assert (await failure(server)).kind == "cut"


async def test_a_whole_call_before_the_length_limit_is_kept(
    server: OpenAICompatible, upstream: Upstream
) -> None:
    blocks = [call("call_a", "bash", ""), text("and then I")]
    upstream.replies = [Reply(blocks, stop_reason="max_tokens")]
    heard = await hear(server)
    assert heard.done.stop_reason == "max_tokens"
    assert heard.calls == [("call_a", "bash", {})]


@pytest.mark.parametrize("arguments", ["", "null", " ", "{}"])
async def test_empty_arguments_are_an_empty_object(
    server: OpenAICompatible, upstream: Upstream, arguments: str
) -> None:
    upstream.replies = [Reply([call("call_a", "now", arguments)], "tool_use")]
    assert (await hear(server)).calls == [("call_a", "now", {})]


async def test_interleaved_deltas_give_whole_blocks_in_order(
    server: OpenAICompatible, upstream: Upstream
) -> None:
    calls = [
        call("call_a", "get_weather", {"city": "Zürich", "days": [1, 2, 3]}),
        call("call_b", "get_time", {"zone": "Europe/Zurich"}),
        call("call_c", "now", ""),
    ]
    upstream.replies = [Reply([text("Looking."), *calls], "tool_use", interleave=True)]
    heard = await hear(server)
    assert [block["type"] for block in heard.done.content] == ["text"] + 3 * ["tool_use"]
    assert heard.calls == [
        ("call_a", "get_weather", {"city": "Zürich", "days": [1, 2, 3]}),
        ("call_b", "get_time", {"zone": "Europe/Zurich"}),
        ("call_c", "now", {}),
    ]


@pytest.mark.parametrize("arguments", ["[1]", '"text"', "{broken", '{"a":1}{"b":2}'])
async def test_arguments_that_are_no_object_are_asked_for_again(
    server: OpenAICompatible, upstream: Upstream, arguments: str
) -> None:
    upstream.replies = [Reply([call("call_a", "bash", arguments)], "tool_use")]
    fault = await failure(server)
    assert (fault.kind, fault.retryable) == ("failed", True)


# ------------------------------------------------------------------ what else comes back


async def test_text_after_a_call_is_its_own_block(
    server: OpenAICompatible, upstream: Upstream
) -> None:
    upstream.replies = [Reply([text("one"), call("call_a", "bash", {}), text("two")], "tool_use")]
    heard = await hear(server)
    assert heard.texts == ["one", "two"]
    assert [block["type"] for block in heard.done.content] == ["text", "tool_use", "text"]


async def test_arguments_that_come_as_an_object(
    server: OpenAICompatible, upstream: Upstream
) -> None:
    block = {**call("call_a", "bash", {"command": "ls"}), "as_object": True}
    upstream.replies = [Reply([block], "tool_use")]
    assert (await hear(server)).calls == [("call_a", "bash", {"command": "ls"})]


async def test_reasoning_is_announced_not_shown(
    server: OpenAICompatible, upstream: Upstream
) -> None:
    upstream.replies = [Reply([thinking("the user wants"), text("Hello.")])]
    heard = await hear(server)
    assert [type(part) for part in heard.parts[:2]] == [ThinkingStart, TextStart]
    assert heard.texts == ["Hello."]
    thought = {"type": "thinking", "thinking": "the user wants", "signature": ""}
    assert heard.done.content[0] == thought


async def test_stop_with_calls_is_tool_use(server: OpenAICompatible, upstream: Upstream) -> None:
    """Some servers say `stop` although they call tools."""
    upstream.replies = [Reply([call("call_a", "bash", {})], stop_reason="end_turn")]
    assert (await hear(server)).done.stop_reason == "tool_use"


async def test_a_server_that_ends_with_an_error(
    server: OpenAICompatible, upstream: Upstream
) -> None:
    upstream.replies = [Reply([text("half")], stop_reason="error")]
    fault = await failure(server)
    assert (fault.kind, fault.retryable) == ("failed", True)


async def test_usage_with_cached_tokens(server: OpenAICompatible, upstream: Upstream) -> None:
    usage = {
        "prompt_tokens": 1000,
        "completion_tokens": 9,
        "prompt_tokens_details": {"cached_tokens": 900},
    }
    upstream.replies = [Reply([text("ok")], usage=usage)]
    found = (await hear(server)).done.usage
    assert (found.input_tokens, found.cache_read_input_tokens, found.output_tokens) == (100, 900, 9)


async def test_usage_is_estimated_where_none_comes(
    server: OpenAICompatible, upstream: Upstream
) -> None:
    upstream.replies = [Reply([text("x" * 400)], usage={})]
    found = (await hear(server, request(said("y" * 4000)))).done.usage
    assert 1000 <= found.input_tokens <= 1200
    assert found.output_tokens == 100


@pytest.mark.parametrize(
    ("error", "kind", "retryable"),
    [
        ({"message": "busy", "code": 503}, "overloaded", True),
        ({"message": "busy", "type": "overloaded_error"}, "overloaded", True),
        ({"message": "slow down", "code": "rate_limit_exceeded"}, "rate_limited", True),
        ({"message": "pay", "code": "insufficient_quota"}, "billing", False),
        ({"message": "x", "code": "context_length_exceeded"}, "too_long", False),
        ({"message": "what?", "type": "server_error"}, "failed", True),
    ],
)
async def test_an_error_in_the_middle_of_a_stream(
    server: OpenAICompatible,
    upstream: Upstream,
    error: dict[str, Any],
    kind: str,
    retryable: bool,
) -> None:
    upstream.replies = [Reply([text("half")], error=error)]
    fault = await failure(server)
    assert (fault.kind, fault.retryable) == (kind, retryable)


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, "This model's maximum context length is 8192 tokens.", "too_long"),
        (400, "the request exceeds the available context size", "too_long"),
        (429, "You exceeded your current quota: insufficient_quota", "billing"),
        (404, "model 'x' not found", "invalid"),
    ],
)
async def test_words_of_servers(
    server: OpenAICompatible, upstream: Upstream, status: int, message: str, kind: str
) -> None:
    upstream.replies = [Reply(status=status, error={"error": {"message": message}})]
    assert (await failure(server)).kind == kind


async def test_a_proxy_that_answers_with_a_page(
    server: OpenAICompatible, upstream: Upstream
) -> None:
    upstream.replies = [Reply(status=502, error="<html>bad gateway</html>")]
    fault = await failure(server)
    assert (fault.kind, fault.retryable) == ("failed", True)


async def test_an_unreadable_stream_is_a_cut(server: OpenAICompatible, upstream: Upstream) -> None:
    upstream.replies = [Reply(raw=["data: {not json\n\n", "data: [DONE]\n\n"])]
    fault = await failure(server)
    assert (fault.kind, fault.retryable) == ("cut", True)


async def test_the_upstream_may_forbid_a_retry(
    server: OpenAICompatible, upstream: Upstream
) -> None:
    headers = {"x-should-retry": "false"}
    upstream.replies = [Reply(status=500, error={"error": {"message": "no"}}, headers=headers)]
    assert not (await failure(server)).retryable


def test_fast_is_a_service_tier_where_it_exists() -> None:
    official = OpenAICompatible(api_key="k")
    local = OpenAICompatible(api_key="k", base_url="http://local/v1")
    asked = request(model="gpt-5", speed="fast")
    assert official.body(asked, set())["service_tier"] == "priority"
    assert "service_tier" not in local.body(asked, set())


async def test_nobody_there() -> None:
    server = OpenAICompatible(api_key="k", base_url="http://127.0.0.1:9/v1")
    fault = await failure(server)
    assert (fault.kind, fault.retryable) == ("unreachable", True)
    await server.close()


async def test_silence_in_a_stream_is_a_cut(upstream: Upstream) -> None:
    server = OpenAICompatible(api_key="k", base_url=f"{upstream.url}/v1", timeout_seconds=0.2)
    upstream.replies = [Reply([text("half")], hang=True)]
    fault = await failure(server)
    assert (fault.kind, fault.retryable) == ("cut", True)
    await server.close()


async def test_an_abandoned_stream_leaves_the_upstream(
    server: OpenAICompatible, upstream: Upstream
) -> None:
    upstream.replies = [Reply([text("half")], hang=True)]
    task = asyncio.create_task(hear(server))
    while not upstream.bodies:  # noqa: ASYNC110 - bounded by the test's own time limit
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(upstream.gone.wait(), 5)


# ------------------------------------------------------------------ what is sent


async def test_the_parameters(server: OpenAICompatible, upstream: Upstream) -> None:
    await hear(server, request(model="some-local-model", effort="high"))
    sent = upstream.bodies[0]
    assert sent["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hello"},
    ]
    assert sent["tools"][0]["function"]["name"] == "bash"
    assert sent["max_tokens"] == 1000
    assert sent["stream_options"] == {"include_usage": True}
    assert "reasoning_effort" not in sent
    assert "cache_control" not in str(sent)


async def test_reasoning_models_get_an_effort_and_the_newer_limit(
    server: OpenAICompatible, upstream: Upstream
) -> None:
    await hear(server, request(model="gpt-5-mini", effort="low"))
    await hear(server, request(model="gpt-5-mini", effort="max"))
    assert [body["reasoning_effort"] for body in upstream.bodies] == ["low", "high"]
    assert upstream.bodies[0]["max_completion_tokens"] == 1000
    assert "max_tokens" not in upstream.bodies[0]


async def test_a_server_without_stream_options_is_asked_again_once(
    server: OpenAICompatible, upstream: Upstream
) -> None:
    upstream.replies = [Reply([text("ok")], refuse="stream_options")]
    assert (await hear(server)).texts == ["ok"]
    assert (await hear(server)).texts == ["ok"]
    asked = ["stream_options" in body for body in upstream.bodies]
    assert asked == [True, False, False], "what it learned is remembered"


@pytest.mark.parametrize(
    ("model", "refused", "then"),
    [
        ("my-model", "max_tokens", "max_completion_tokens"),
        ("gpt-5", "max_completion_tokens", "max_tokens"),
    ],
)
async def test_the_limit_has_two_names(
    server: OpenAICompatible, upstream: Upstream, model: str, refused: str, then: str
) -> None:
    upstream.replies = [Reply([text("ok")], refuse=refused)]
    assert (await hear(server, request(model=model))).texts == ["ok"]
    assert refused in upstream.bodies[0]
    assert upstream.bodies[1][then] == 1000


async def test_a_refusal_of_something_else_is_not_tried_again(
    server: OpenAICompatible, upstream: Upstream
) -> None:
    upstream.replies = [Reply([text("ok")], refuse="messages")]
    assert (await failure(server)).kind == "invalid"
    assert len(upstream.bodies) == 1


IMAGE = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/png", "data": "aGk="},
}


async def sent_messages(
    server: OpenAICompatible, upstream: Upstream, *messages: dict[str, Any], model: str = "gpt-4o"
) -> list[dict[str, Any]]:
    await hear(server, request(*messages, system="", model=model))
    found: list[dict[str, Any]] = upstream.bodies[-1]["messages"]
    return found


async def test_a_tool_loop_becomes_chat_messages(
    server: OpenAICompatible, upstream: Upstream
) -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": "s"}
    use = {"type": "tool_use", "id": "call_a", "name": "bash", "input": {"command": "ä"}}
    other = {"type": "tool_use", "id": "call_b", "name": "bash", "input": {}}
    found = await sent_messages(
        server,
        upstream,
        said("go"),
        answered(thought, {"type": "text", "text": "I look."}, use, other),
        told(
            result("call_a", "a.txt"),
            result("call_b", "no such file", is_error=True),
            {"type": "text", "text": "hurry"},
        ),
    )
    assert found == [
        {"role": "user", "content": "go"},
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [
                {
                    "id": "call_a",
                    "type": "function",
                    "function": {"name": "bash", "arguments": '{"command": "ä"}'},
                },
                {
                    "id": "call_b",
                    "type": "function",
                    "function": {"name": "bash", "arguments": "{}"},
                },
            ],
        },
        {"role": "tool", "tool_call_id": "call_a", "content": "a.txt"},
        {"role": "tool", "tool_call_id": "call_b", "content": "Error: no such file"},
        {"role": "user", "content": "hurry"},
    ]


async def test_images_are_data_urls(server: OpenAICompatible, upstream: Upstream) -> None:
    by_url = {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}
    words = {"type": "text", "text": "what is it?"}
    found = await sent_messages(server, upstream, told(words, IMAGE, by_url))
    assert found[0]["content"] == [
        words,
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
        {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
    ]


async def test_a_model_that_cannot_see_is_told_so(
    server: OpenAICompatible, upstream: Upstream
) -> None:
    found = await sent_messages(server, upstream, told(IMAGE), model="some-local-model")
    assert found[0]["content"] == "[An image, which this model cannot see.]"


async def test_images_of_a_result_follow_it(server: OpenAICompatible, upstream: Upstream) -> None:
    use = {"type": "tool_use", "id": "call_a", "name": "read", "input": {}}
    seen = {"type": "tool_result", "tool_use_id": "call_a", "content": [IMAGE]}
    found = await sent_messages(server, upstream, said("go"), answered(use), told(seen))
    assert [message["role"] for message in found] == ["user", "assistant", "tool", "user"]
    assert "call_a" in found[2]["content"]
    assert [part["type"] for part in found[3]["content"]] == ["text", "image_url"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"type": "text", "media_type": "text/plain", "data": "hello"}, "hello"),
        ({"type": "base64", "media_type": "text/csv", "data": "YTti"}, "a;b"),
        ({"type": "content", "content": [{"type": "text", "text": "in"}]}, "in"),
        ({"type": "content", "content": "words"}, "words"),
        ({"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="}, "cannot read"),
        ({"type": "file", "file_id": "file_1"}, "cannot read"),
    ],
)
async def test_documents_are_text_where_they_can_be(
    server: OpenAICompatible, upstream: Upstream, source: dict[str, Any], expected: str
) -> None:
    block = {"type": "document", "title": "Notes", "source": source}
    found = await sent_messages(server, upstream, told(block))
    assert "[Document: Notes" in found[0]["content"]
    assert expected in found[0]["content"]


async def test_other_blocks_are_named_never_dropped(
    server: OpenAICompatible, upstream: Upstream
) -> None:
    hit = {
        "type": "search_result",
        "title": "T",
        "source": "https://x",
        "content": [{"type": "text", "text": "body"}],
    }
    found = await sent_messages(server, upstream, told(hit, {"type": "hologram"}))
    assert (
        found[0]["content"]
        == "T (https://x)\nbody\n\n[A hologram block, which this model cannot read.]"
    )


async def test_plain_strings_and_system_turns(server: OpenAICompatible, upstream: Upstream) -> None:
    found = await sent_messages(
        server,
        upstream,
        {"role": "user", "content": "hi"},
        answered({"type": "thinking", "thinking": "only this", "signature": ""}),
        {"role": "system", "content": [{"type": "text", "text": "Now in French."}]},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "c", "content": "out"}],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "d"}]},
    )
    assert found == [
        {"role": "user", "content": "hi"},
        {"role": "system", "content": "Now in French."},
        {"role": "tool", "tool_call_id": "c", "content": "out"},
        {"role": "tool", "tool_call_id": "d", "content": ""},
    ]


def test_made_from_settings() -> None:
    settings = Settings(openai_api_key="k", openai_base_url="http://local/v1")
    made = OpenAICompatible.from_settings(settings, SystemClock())
    assert (made.api_key, made.base_url) == ("k", "http://local/v1")
    assert OpenAICompatible.missing(settings) is None
    assert "AGENTSTEAD_OPENAI_BASE_URL" in str(OpenAICompatible.missing(Settings()))
