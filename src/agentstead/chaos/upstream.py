"""The model upstream: answers as the jobs say, checks what it is sent, and fails when told to.

An answer follows from the conversation alone, so a request that is made again gets the same one.
"""

import asyncio
import json
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from agentstead.chaos.conversation import Course, Invalid, course
from agentstead.chaos.jobs import owner
from agentstead.chaos.listener import Exchange
from agentstead.clock import Clock

Mode = Literal["well", "hangs", "cuts", "overloaded"]
DELAY_SECONDS = (0.05, 0.3)
OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}


class Upstream:
    """The upstream, as a `Listener`'s answer."""

    def __init__(self, seed: int, clock: Clock, stepped: Callable[[str, float], None]) -> None:
        self.seed = seed
        self.clock = clock
        self.stepped = stepped
        """Told of each request that was answered in full: whose it was, and when it had come."""
        self.mode: Mode = "well"
        self.requests = 0
        self.invalid: list[str] = []
        self.disturbed = 0
        """Requests that got no proper answer."""
        self._rng = random.Random(seed)  # noqa: S311  a choice, not a secret

    async def answer(self, exchange: Exchange) -> None:
        """One request of a worker."""
        came = self.clock.monotonic()
        self.requests += 1
        try:
            found = course(self.seed, json.loads(exchange.body))
        except Invalid as fault:
            self.invalid.append(str(fault))
            error = {"type": "invalid_request_error", "message": str(fault)}
            await exchange.answer(400, {"type": "error", "error": error})
            return
        await self.clock.sleep(self._rng.uniform(*DELAY_SECONDS))
        if await self._disturbed(exchange, found):
            self.disturbed += 1
            return
        await exchange.begin()
        for frame in frames(found, self.requests):
            await exchange.send(frame)
        await exchange.end()
        self.stepped(owner(found.job.name), came)

    async def _disturbed(self, exchange: Exchange, found: Course) -> bool:
        """Do what this mode does; whether anything was done."""
        mode = self.mode
        if mode == "well":
            return False
        if mode == "overloaded":
            await exchange.answer(529, OVERLOADED)
            return True
        some = list(frames(found, self.requests))
        await exchange.begin()
        for frame in some[: self._rng.randrange(1, len(some))]:
            await exchange.send(frame)
        if mode == "hangs":
            await asyncio.Event().wait()  # until the client has enough
        exchange.cut()
        return True


def frames(found: Course, number: int) -> Iterator[str]:
    """The events of an answer."""
    usage = {"input_tokens": 10, "output_tokens": 1}
    message: dict[str, Any] = {
        "id": f"msg_{number}",
        "type": "message",
        "role": "assistant",
        "model": found.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    yield frame({"type": "message_start", "message": message})
    for index, block in enumerate(found.blocks):
        yield from block_frames(index, block)
    reason = "tool_use" if found.calls else "end_turn"
    delta = {"stop_reason": reason, "stop_sequence": None}
    yield frame({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 7}})
    yield frame({"type": "message_stop"})


def block_frames(index: int, block: dict[str, Any]) -> Sequence[str]:
    """The events of one block."""
    if block["type"] == "text":
        opened: dict[str, Any] = {"type": "text", "text": ""}
        delta = {"type": "text_delta", "text": block["text"]}
    else:
        opened = {**block, "input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
    return [
        frame({"type": "content_block_start", "index": index, "content_block": opened}),
        frame({"type": "content_block_delta", "index": index, "delta": delta}),
        frame({"type": "content_block_stop", "index": index}),
    ]


def frame(event: dict[str, Any]) -> str:
    """One event of the stream."""
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"
