"""A false model upstream: HTTP on loopback in both wire forms, with every pathology we know.

In tests: `async with Upstream() as upstream: upstream.replies.append(Reply(text("hi")))`. It answers
`/v1/messages` (Messages API) and `/v1/chat/completions` (Chat Completions) from the same `Reply`,
in order; the last reply repeats. `upstream.bodies` and `.headers` hold what was asked.

By itself, for benches: `python -m tests.support.upstream --delay 0.3 --tool noop --steps 3` prints its
URL and answers until it is stopped: each message of the user gets `steps` calls of the tool, one an
answer, then a text.
"""

import argparse
import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import uvicorn

Block = Mapping[str, Any]
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


def text(words: str) -> Block:
    return {"type": "text", "text": words}


def thinking(words: str, signature: str = "sig-1") -> Block:
    return {"type": "thinking", "thinking": words, "signature": signature}


def redacted(data: str) -> Block:
    return {"type": "redacted_thinking", "data": data}


def call(call_id: str | None, name: str, arguments: Mapping[str, Any] | str) -> Block:
    """`arguments` as text is sent as it is: broken, empty or cut."""
    return {"type": "tool_use", "id": call_id, "name": name, "arguments": arguments}


@dataclass
class Reply:
    """One answer of the upstream."""

    blocks: Sequence[Block] = ()
    stop_reason: str | None = "end_turn"
    """Of the Messages API; mapped for the other form. None: the stream ends without one."""
    stop_details: Mapping[str, Any] | None = None
    usage: Mapping[str, Any] | None = None
    """Merged into the usual one; for chat, `{}` sends none at all."""
    status: int = 200
    error: Mapping[str, Any] | str | None = None
    """Body of an error status; with status 200 an error in the middle of the stream."""
    headers: Mapping[str, str] = field(default_factory=dict)
    broken: bool = False
    """The connection breaks instead of the stream's end."""
    cut: bool = False
    """The stream ends quietly before its stop event."""
    hang: bool = False
    """After the blocks nothing more comes."""
    interleave: bool = False
    """Deltas of all calls take turns."""
    index_zero: bool = False
    """Chat: every call at index 0, as some local servers do."""
    done_marker: bool = True
    """Chat: whether `[DONE]` is sent."""
    raw: Sequence[str] | None = None
    """These frames and nothing else."""
    delay: float = 0.0
    refuse: str | None = None
    """Chat: requests with this parameter get a 400 that names it."""


CHAT_REASONS = {
    "end_turn": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "refusal": "content_filter",
    None: None,
}


class Upstream:
    """The server."""

    def __init__(
        self, answer: Callable[[dict[str, Any]], Reply] | None = None, *, alone: bool = False
    ) -> None:
        self.alone = alone
        """A process of its own: takes signals, and remembers no requests."""
        self.replies: list[Reply] = []
        self.answer = answer
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.gone = asyncio.Event()
        """Set when a client left before its answer was complete."""
        self.url = ""

    async def __aenter__(self) -> "Upstream":
        await self.start(0)
        return self

    async def start(self, port: int) -> None:
        config = uvicorn.Config(
            self.app,
            host="127.0.0.1",
            port=port,
            log_level="critical",
            interface="asgi3",
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        self.server = uvicorn.Server(config)
        if self.alone:
            self.task = asyncio.create_task(self.server.serve())
            while not self.server.started:  # noqa: ASYNC110 - uvicorn offers no event
                await asyncio.sleep(0.005)
        else:  # inside a test: without its signal handlers and its tick of 0.1 s
            config.load()
            self.server.lifespan = config.lifespan_class(config)
            await self.server.startup()
        self.port = self.server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    async def __aexit__(self, *exc: object) -> None:
        self.server.force_exit = True
        await self.server.shutdown()

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        raw = b""
        while True:
            message = await receive()
            raw += message.get("body", b"")
            if not message.get("more_body"):
                break
        body = json.loads(raw)
        if not self.alone:
            self.bodies.append(body)
            self.headers.append({k.decode(): v.decode() for k, v in scope["headers"]})
        reply = self.answer(body) if self.answer else self.next_reply()
        if reply.delay:
            await asyncio.sleep(reply.delay)
        if reply.refuse is not None and reply.refuse in body:
            words = f"Unrecognized request argument supplied: {reply.refuse}"
            reply = Reply(status=400, error={"error": {"message": words, "type": "invalid"}})
        if reply.status != 200:
            await self.refuse(reply, send)
        elif reply.raw is not None:
            await self.stream(reply.raw, reply, receive, send)
        elif scope["path"].endswith("/messages"):
            await self.stream(messages_frames(reply, body), reply, receive, send)
        else:
            await self.stream(chat_frames(reply, body), reply, receive, send)

    def next_reply(self) -> Reply:
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]

    async def refuse(self, reply: Reply, send: Send) -> None:
        content = reply.error if isinstance(reply.error, str) else json.dumps(reply.error)
        headers = {"content-type": "application/json", **reply.headers}
        await send(start(reply.status, headers))
        await send({"type": "http.response.body", "body": content.encode()})

    async def stream(
        self, frames: Sequence[str], reply: Reply, receive: Receive, send: Send
    ) -> None:
        await send(start(200, {"content-type": "text/event-stream", **reply.headers}))
        for frame in frames:
            await send({"type": "http.response.body", "body": frame.encode(), "more_body": True})
        if reply.hang:
            await receive()
            self.gone.set()
            return
        if reply.broken:
            return  # an answer that was not completed: the server drops the connection
        await send({"type": "http.response.body", "body": b""})


def start(status: int, headers: Mapping[str, str]) -> dict[str, Any]:
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http.response.start", "status": status, "headers": encoded}


def halves(words: str) -> list[str]:
    middle = max(1, len(words) // 2)
    return [piece for piece in (words[:middle], words[middle:]) if piece]


def argument_text(block: Block) -> str:
    given = block["arguments"]
    return given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)


def incomplete(reply: Reply) -> bool:
    return reply.cut or reply.broken or reply.hang


# ---------------------------------------------------------------- the Messages API


def messages_frames(reply: Reply, body: Mapping[str, Any]) -> list[str]:
    usage = {
        "input_tokens": 11,
        "output_tokens": 1,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        **(reply.usage or {}),
    }
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    events: list[dict[str, Any]] = [{"type": "message_start", "message": message}, {"type": "ping"}]
    for index, block in enumerate(reply.blocks):
        events += messages_block(index, block)
    if reply.error is not None:
        error = {"type": "error", "error": reply.error}
        return [frame(event) for event in [*events, error]]
    if not incomplete(reply):
        delta = {"stop_reason": reply.stop_reason, "stop_sequence": None}
        if reply.stop_details is not None:
            delta["stop_details"] = dict(reply.stop_details)  # type: ignore[assignment]
        final = {"output_tokens": usage.get("output_total", 7)}
        events += [
            {"type": "message_delta", "delta": delta, "usage": final},
            {"type": "message_stop"},
        ]
    return [frame(event) for event in events]


def messages_block(index: int, block: Block) -> list[dict[str, Any]]:
    def delta(**inner: Any) -> dict[str, Any]:
        return {"type": "content_block_delta", "index": index, "delta": inner}

    deltas: list[dict[str, Any]] = []
    match block["type"]:
        case "text":
            opened: dict[str, Any] = {"type": "text", "text": ""}
            deltas = [delta(type="text_delta", text=piece) for piece in halves(block["text"])]
        case "thinking":
            opened = {"type": "thinking", "thinking": "", "signature": ""}
            deltas = [
                delta(type="thinking_delta", thinking=piece) for piece in halves(block["thinking"])
            ]
            deltas.append(delta(type="signature_delta", signature=block["signature"]))
        case "redacted_thinking":
            opened = dict(block)
        case _:
            opened = {"type": "tool_use", "id": block["id"], "name": block["name"], "input": {}}
            pieces = halves(argument_text(block))
            deltas = [delta(type="input_json_delta", partial_json=piece) for piece in pieces]
    return [
        {"type": "content_block_start", "index": index, "content_block": opened},
        *deltas,
        {"type": "content_block_stop", "index": index},
    ]


def frame(event: Mapping[str, Any]) -> str:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"


# ---------------------------------------------------------------- Chat Completions


def chat_frames(reply: Reply, body: Mapping[str, Any]) -> list[str]:
    def chunk(delta: Mapping[str, Any], reason: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return chat_frame(body["model"], [choice])

    frames = [chunk({"role": "assistant", "content": ""})]
    frames += [chunk(delta) for delta in chat_deltas(reply)]
    if reply.error is not None:
        return [*frames, f"data: {json.dumps({'error': reply.error})}\n\n"]
    if incomplete(reply):
        return frames
    if reply.stop_reason is not None:
        frames.append(chunk({}, CHAT_REASONS.get(reply.stop_reason, reply.stop_reason)))
    wants_usage = (body.get("stream_options") or {}).get("include_usage")
    if wants_usage and reply.usage != {}:
        usage = {"prompt_tokens": 11, "completion_tokens": 7, **(reply.usage or {})}
        frames.append(chat_frame(body["model"], [], usage))
    if reply.done_marker:
        frames.append("data: [DONE]\n\n")
    return frames


def chat_frame(model: str, choices: list[Any], usage: Mapping[str, Any] | None = None) -> str:
    inner = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": model,
        "choices": choices,
    }
    if usage is not None:
        inner["usage"] = usage
    return f"data: {json.dumps(inner)}\n\n"


def chat_deltas(reply: Reply) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    calls: list[list[dict[str, Any]]] = []
    for block in reply.blocks:
        match block["type"]:
            case "text":
                found += [{"content": piece} for piece in halves(block["text"])]
            case "thinking":
                found += [{"reasoning_content": piece} for piece in halves(block["thinking"])]
            case "redacted_thinking":
                pass
            case _:
                index = 0 if reply.index_zero else len(calls)
                calls.append(chat_call(index, block))
                if not reply.interleave:
                    found += calls[-1]
    if reply.interleave:
        longest = max(len(each) for each in calls)
        found += [each[n] for n in range(longest) for each in calls if n < len(each)]
    return found


def chat_call(index: int, block: Block) -> list[dict[str, Any]]:
    def delta(**inner: Any) -> dict[str, Any]:
        return {"tool_calls": [{"index": index, **inner}]}

    named: dict[str, Any] = {"type": "function"}
    if block["id"] is not None:
        named["id"] = block["id"]
    if block.get("as_object"):  # as some servers do, against the specification
        function = {"name": block["name"], "arguments": block["arguments"]}
        return [delta(**named, function=function)]
    opened = delta(**named, function={"name": block["name"], "arguments": ""})
    pieces = [delta(function={"arguments": piece}) for piece in halves(argument_text(block))]
    return [opened, *pieces]


# ---------------------------------------------------------------- by itself


def steps_then_text(tool: str, steps: int, delay: float) -> Callable[[dict[str, Any]], Reply]:
    """Each message of the user gets `steps` calls of `tool`, then a text."""

    def answer(body: dict[str, Any]) -> Reply:
        given = 0
        for message in reversed(body["messages"]):
            if message["role"] == "user" and not holds_result(message):
                break
            given += message["role"] == "assistant"
        if given < steps:
            call_id = f"toolu_{len(body['messages'])}_{given}"
            return Reply([call(call_id, tool, {})], stop_reason="tool_use", delay=delay)
        return Reply([text("done " * 20)], delay=delay)

    return answer


def holds_result(message: Mapping[str, Any]) -> bool:
    content = message.get("content")
    return isinstance(content, list) and any(b.get("type") == "tool_result" for b in content)


async def serve(arguments: argparse.Namespace) -> None:
    upstream = Upstream(
        steps_then_text(arguments.tool, arguments.steps, arguments.delay), alone=True
    )
    await upstream.start(arguments.port)
    print(upstream.url, flush=True)
    await upstream.task


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A false model upstream on loopback.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--tool", default="noop")
    parser.add_argument("--steps", type=int, default=1)
    asyncio.run(serve(parser.parse_args()))
