"""The Anthropic adapter: what it sends, what it keeps, how it fails."""

import asyncio
import subprocess
import sys
import typing
from collections.abc import AsyncIterator

import pytest

from agentstead.clock import SystemClock
from agentstead.errors import ProviderFault
from agentstead.providers.anthropic import Anthropic, nearest_effort
from agentstead.providers.anthropic.known import DATED, MODELS, capabilities
from agentstead.providers.provider import ThinkingStart
from agentstead.settings import Settings
from tests.support.asking import BASH, answered, hear, request, result, said, told
from tests.support.upstream import Reply, Upstream, call, frame, redacted, text, thinking


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as made:
        yield made


@pytest.fixture
async def claude(upstream: Upstream) -> AsyncIterator[Anthropic]:
    made = Anthropic(api_key="key-1", base_url=upstream.url, timeout_seconds=5)
    yield made
    await made.close()


async def test_cache_marks_system_and_tools_pass_through(
    claude: Anthropic, upstream: Upstream
) -> None:
    upstream.replies = [Reply([text("ok")])]
    mark = {"type": "ephemeral"}
    messages = (told({"type": "text", "text": "hi", "cache_control": mark}),)
    tools = [{**BASH, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    await hear(claude, request(*messages, model="claude-opus-5", tools=tools))
    sent = upstream.bodies[0]
    assert sent["system"] == [{"type": "text", "text": "Be brief.", "cache_control": mark}]
    assert sent["tools"] == tools
    assert sent["messages"] == list(messages)
    assert sent["stream"] is True
    assert sent["max_tokens"] == 1000


async def test_without_system_or_tools_the_fields_are_absent(
    claude: Anthropic, upstream: Upstream
) -> None:
    upstream.replies = [Reply([text("ok")])]
    await hear(claude, request(system="", tools=()))
    assert set(upstream.bodies[0]) == {"model", "max_tokens", "messages", "stream"}


async def test_the_key_is_sent_and_the_environment_is_not_asked(
    claude: Anthropic, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "another")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:1")
    upstream.replies = [Reply([text("ok")])]
    await hear(claude)
    credentials = upstream.headers[0].get("x-api-key"), upstream.headers[0].get("authorization")
    assert credentials in {("key-1", None), (None, "Bearer key-1")}


@pytest.mark.parametrize(
    ("model", "thinks", "effort"),
    [
        ("claude-opus-5-5", True, "xhigh"),
        ("claude-sonnet-4-6", True, "high"),
        ("claude-opus-4-5", False, "high"),
        ("claude-haiku-4-5", False, None),
        ("claude-made-up-9", False, None),
    ],
)
async def test_thinking_and_effort_follow_the_model(
    claude: Anthropic, upstream: Upstream, model: str, thinks: bool, effort: str | None
) -> None:
    upstream.replies = [Reply([text("ok")])]
    await hear(claude, request(model=model, effort="xhigh"))
    sent = upstream.bodies[0]
    assert sent.get("thinking") == ({"type": "adaptive"} if thinks else None)
    assert sent.get("output_config") == ({"effort": effort} if effort else None)


@pytest.mark.parametrize(
    ("wanted", "able", "found"),
    [
        (None, ("low", "high"), None),
        ("high", (), None),
        ("max", ("low", "medium", "high"), "high"),
        ("low", ("medium",), None),
        ("medium", ("low", "medium", "high"), "medium"),
        ("strange", ("low",), None),
    ],
)
def test_effort_falls_to_the_nearest_level_below(
    wanted: str | None, able: tuple[str, ...], found: str | None
) -> None:
    assert nearest_effort(wanted, able) == found


async def test_fast_uses_the_header_only_where_it_is_needed(
    claude: Anthropic, upstream: Upstream
) -> None:
    upstream.replies = [Reply([text("ok")])]
    for model in ("claude-opus-5", "claude-opus-5-5"):
        await hear(claude, request(model=model, speed="fast"))
    await hear(claude, request(model="claude-opus-5"))
    assert [body.get("speed") for body in upstream.bodies] == ["fast", "fast", None]
    betas = [headers.get("anthropic-beta") for headers in upstream.headers]
    assert betas == ["fast-mode-2026-02-01", None, None]


async def test_a_region_is_passed_on(claude: Anthropic, upstream: Upstream) -> None:
    upstream.replies = [Reply([text("ok")])]
    for region in ("us", None):
        await hear(claude, request(model="claude-opus-5", inference_geo=region))
    assert [body.get("inference_geo") for body in upstream.bodies] == ["us", None]


async def test_thinking_and_signatures_come_back_untouched(
    claude: Anthropic, upstream: Upstream
) -> None:
    blocks = [thinking("first, the plan", "c2lnbmF0dXJl/+=="), redacted("b3BhcXVl"), text("Now")]
    upstream.replies = [Reply([*blocks, call("toolu_1", "bash", {"command": "ls"})], "tool_use")]
    heard = await hear(claude, request(model="claude-opus-5"))
    assert heard.done.content == (
        {"type": "thinking", "thinking": "first, the plan", "signature": "c2lnbmF0dXJl/+=="},
        {"type": "redacted_thinking", "data": "b3BhcXVl"},
        {"type": "text", "text": "Now"},
        {"type": "tool_use", "id": "toolu_1", "name": "bash", "input": {"command": "ls"}},
    )
    assert [type(part) for part in heard.parts].count(ThinkingStart) == 2
    history = (said("go"), answered(*heard.done.content), told(result("toolu_1", "a.txt")))
    await hear(claude, request(*history, model="claude-opus-5"))
    assert upstream.bodies[1]["messages"] == list(history)


async def test_thinking_of_another_maker_is_left_out(claude: Anthropic, upstream: Upstream) -> None:
    upstream.replies = [Reply([text("ok")])]
    foreign = {"type": "thinking", "thinking": "hm", "signature": ""}
    spoken = {"type": "text", "text": "Yes."}
    history = (said("a"), answered(foreign, spoken), said("b"), answered(foreign), said("c"))
    await hear(claude, request(*history))
    assert upstream.bodies[0]["messages"] == [said("a"), answered(spoken), said("b"), said("c")]


async def test_thinking_that_is_refused_is_left_out_once(
    claude: Anthropic, upstream: Upstream
) -> None:
    refusal = {
        "error": {"message": "messages.1.content.0: Invalid `signature` in `thinking` block"}
    }
    upstream.replies = [Reply(status=400, error=refusal), Reply([text("ok")])]
    thought = {"type": "thinking", "thinking": "hm", "signature": "of another model"}
    opaque = {"type": "redacted_thinking", "data": "x"}
    spoken = {"type": "text", "text": "Yes."}
    history = (said("a"), answered(thought, opaque, spoken), said("b"))
    assert (await hear(claude, request(*history))).texts == ["ok"]
    assert upstream.bodies[0]["messages"] == list(history)
    assert upstream.bodies[1]["messages"] == [said("a"), answered(spoken), said("b")]


@pytest.mark.parametrize("message", ["thinking is not supported", "tools.0: bad name"])
async def test_other_refusals_are_not_tried_again(
    claude: Anthropic, upstream: Upstream, message: str
) -> None:
    upstream.replies = [Reply(status=400, error={"error": {"message": message}})]
    with pytest.raises(ProviderFault):
        await hear(claude)
    assert len(upstream.bodies) == 1


async def test_usage_has_the_cache_split(claude: Anthropic, upstream: Upstream) -> None:
    split = {"ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 12}
    upstream.replies = [
        Reply(
            [text("ok")],
            usage={
                "input_tokens": 5,
                "cache_creation_input_tokens": 42,
                "cache_read_input_tokens": 900,
                "cache_creation": split,
                "output_total": 77,
            },
        )
    ]
    usage = (await hear(claude)).done.usage
    assert (usage.input_tokens, usage.output_tokens) == (5, 77)
    assert (usage.cache_creation_input_tokens, usage.cache_read_input_tokens) == (42, 900)
    assert usage.cache_creation_5m_input_tokens == 30
    assert usage.cache_creation_1h_input_tokens == 12


async def test_a_refusal_carries_its_details(claude: Anthropic, upstream: Upstream) -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "No."}
    upstream.replies = [Reply([], stop_reason="refusal", stop_details=details)]
    done = (await hear(claude)).done
    assert (done.stop_reason, done.stop_details, done.content) == ("refusal", details, ())


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("stop_sequence", "end_turn"),
        ("model_context_window_exceeded", "context_window"),
        ("something_new", "end_turn"),
    ],
)
async def test_stop_reasons(claude: Anthropic, upstream: Upstream, theirs: str, ours: str) -> None:
    upstream.replies = [Reply([text("words")], stop_reason=theirs)]
    assert (await hear(claude)).done.stop_reason == ours


async def test_a_paused_turn_is_never_a_short_answer(claude: Anthropic, upstream: Upstream) -> None:
    upstream.replies = [Reply([text("words")], stop_reason="pause_turn")]
    with pytest.raises(ProviderFault) as caught:
        await hear(claude)
    assert (caught.value.kind, caught.value.retryable) == ("cut", True)


@pytest.mark.parametrize("arguments", ["", '{"file_path": "/a", "content": "long', "[1]"])
async def test_a_call_cut_by_the_output_limit_is_never_run(
    claude: Anthropic, upstream: Upstream, arguments: str
) -> None:
    upstream.replies = [Reply([call("toolu_1", "write", arguments)], stop_reason="max_tokens")]
    with pytest.raises(ProviderFault, match="AGENTSTEAD_MAX_OUTPUT_TOKENS") as caught:
        await hear(claude)
    assert (caught.value.kind, caught.value.retryable) == ("cut", False)


async def test_empty_text_blocks_are_left_out(claude: Anthropic, upstream: Upstream) -> None:
    upstream.replies = [Reply([text(""), text("a"), call("t", "bash", {}), text("b")], "tool_use")]
    heard = await hear(claude)
    assert heard.texts == ["a", "b"]
    assert [block["type"] for block in heard.done.content] == ["text", "tool_use", "text"]


@pytest.mark.parametrize(
    ("error_type", "kind", "retryable"),
    [
        ("overloaded_error", "overloaded", True),
        ("rate_limit_error", "rate_limited", True),
        ("api_error", "failed", True),
        ("timeout_error", "failed", True),
        ("billing_error", "billing", False),
        ("authentication_error", "auth", False),
        ("invalid_request_error", "invalid", False),
        ("unheard_of_error", "failed", True),
    ],
)
async def test_an_error_in_the_middle_of_a_stream(
    claude: Anthropic, upstream: Upstream, error_type: str, kind: str, retryable: bool
) -> None:
    error = {"type": error_type, "message": "Overloaded"}
    upstream.replies = [Reply([text("half")], error=error)]
    with pytest.raises(ProviderFault, match="Overloaded") as caught:
        await hear(claude)
    assert (caught.value.kind, caught.value.retryable) == (kind, retryable)


async def test_the_upstream_may_forbid_a_retry(claude: Anthropic, upstream: Upstream) -> None:
    headers = {"x-should-retry": "false"}
    upstream.replies = [Reply(status=500, error={"error": {"message": "no"}}, headers=headers)]
    with pytest.raises(ProviderFault) as caught:
        await hear(claude)
    assert not caught.value.retryable


async def test_low_credit_is_billing(claude: Anthropic, upstream: Upstream) -> None:
    message = "Your credit balance is too low to access the API."
    upstream.replies = [Reply(status=400, error={"error": {"message": message}})]
    with pytest.raises(ProviderFault) as caught:
        await hear(claude)
    assert caught.value.kind == "billing"


async def test_one_request_is_one_request(claude: Anthropic, upstream: Upstream) -> None:
    """The SDK does not retry by itself."""
    upstream.replies = [Reply(status=529, error={"error": {"message": "busy"}})]
    with pytest.raises(ProviderFault):
        await hear(claude)
    assert len(upstream.bodies) == 1


async def test_nobody_there() -> None:
    claude = Anthropic(api_key="key", base_url="http://127.0.0.1:9")
    with pytest.raises(ProviderFault, match=r"127\.0\.0\.1:9") as caught:
        await hear(claude)
    assert (caught.value.kind, caught.value.retryable) == ("unreachable", True)
    await claude.close()


async def test_silence_in_a_stream_is_a_cut(upstream: Upstream) -> None:
    claude = Anthropic(api_key="key", base_url=upstream.url, timeout_seconds=0.2)
    upstream.replies = [Reply([text("half")], hang=True)]
    with pytest.raises(ProviderFault) as caught:
        await hear(claude)
    assert (caught.value.kind, caught.value.retryable) == ("cut", True)
    await claude.close()


async def test_silence_before_a_stream_is_unreachable(upstream: Upstream) -> None:
    claude = Anthropic(api_key="key", base_url=upstream.url, timeout_seconds=0.2)
    upstream.replies = [Reply([text("late")], delay=1.0)]
    with pytest.raises(ProviderFault) as caught:
        await hear(claude)
    assert (caught.value.kind, caught.value.retryable) == ("unreachable", True)
    await claude.close()


async def test_an_abandoned_stream_leaves_the_upstream(
    claude: Anthropic, upstream: Upstream
) -> None:
    upstream.replies = [Reply([text("half")], hang=True)]
    task = asyncio.create_task(hear(claude))
    while not upstream.bodies:  # noqa: ASYNC110 - bounded by the test's own time limit
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(upstream.gone.wait(), 5)


STARTED = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [],
        "usage": {"input_tokens": 1, "output_tokens": 1},
    },
}
ENDED = (
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use"},
        "usage": {"output_tokens": 2},
    },
    {"type": "message_stop"},
)


def block(index: int, content: dict[str, object]) -> tuple[dict[str, object], ...]:
    """A block that is whole at its start."""
    return (
        {"type": "content_block_start", "index": index, "content_block": content},
        {"type": "content_block_stop", "index": index},
    )


async def test_gateways_that_send_a_block_whole_at_its_start(
    claude: Anthropic, upstream: Upstream
) -> None:
    events = [
        STARTED,
        *block(0, {"type": "text", "text": "at once"}),
        *block(1, {"type": "tool_use", "id": "t", "name": "bash", "input": {"command": "ls"}}),
        *ENDED,
    ]
    upstream.replies = [Reply(raw=[frame(event) for event in events])]
    heard = await hear(claude)
    assert heard.texts == ["at once"]
    assert heard.calls == [("t", "bash", {"command": "ls"})]


async def test_what_we_never_asked_for_is_passed_over(
    claude: Anthropic, upstream: Upstream
) -> None:
    search = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    strange = {"type": "content_block_delta", "index": 0, "delta": {"type": "new_delta"}}
    events = [STARTED, *block(0, search), strange, {"type": "new_event"}, *ENDED]
    upstream.replies = [Reply(raw=[frame(event) for event in events])]
    heard = await hear(claude)
    assert heard.done.content == ()
    assert heard.done.stop_reason == "tool_use"


@pytest.mark.parametrize(
    "broken",
    [
        "event: content_block_delta\ndata: {not json\n\n",
        'event: content_block_stop\ndata: {"type":"content_block_stop","index":9}\n\n',
        'event: message_start\ndata: {"type":"message_start"}\n\n',
    ],
)
async def test_an_unreadable_stream_is_a_cut(
    claude: Anthropic, upstream: Upstream, broken: str
) -> None:
    upstream.replies = [Reply(raw=[frame(STARTED), broken, *map(frame, ENDED)])]
    with pytest.raises(ProviderFault) as caught:
        await hear(claude)
    assert (caught.value.kind, caught.value.retryable) == ("cut", True)


async def test_a_deprecated_model_does_not_warn(claude: Anthropic, upstream: Upstream) -> None:
    upstream.replies = [Reply([text("ok")])]
    assert (await hear(claude, request(model="claude-sonnet-4-5"))).texts == ["ok"]


async def test_warming_imports_the_sdk_once_and_off_the_loop() -> None:
    claude = Anthropic(api_key="key")
    await asyncio.gather(claude.warm(), claude.warm(), claude.warm())
    first = claude.client
    assert first is not None
    await claude.warm()
    assert claude.client is first
    await claude.close()
    assert claude.client is None


def test_the_module_imports_no_sdk() -> None:
    program = (
        "import sys, agentstead.providers.anthropic, agentstead.providers.openai_compatible,"
        " agentstead.providers.catalogue; sys.exit('anthropic' in sys.modules or 'openai' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_made_from_settings() -> None:
    settings = Settings(anthropic_api_key="k", anthropic_base_url="http://gateway")
    made = Anthropic.from_settings(settings, SystemClock())
    assert (made.api_key, made.base_url) == ("k", "http://gateway")
    assert made.timeout_seconds == settings.model_timeout_seconds
    assert Anthropic.missing(settings) is None
    assert "AGENTSTEAD_ANTHROPIC_API_KEY" in str(Anthropic.missing(Settings()))


def test_every_model_of_the_sdk_is_known() -> None:
    from anthropic.types import Model

    named = typing.get_args(typing.get_args(Model)[0])
    assert set(named) <= set(MODELS) | set(DATED)
    for model in named:
        able = capabilities(model)
        assert able.max_output_tokens <= able.context_window
        assert not able.efforts or able.default_effort in able.efforts
    assert capabilities("claude-haiku-4-5-20251001") == capabilities("claude-haiku-4-5")
