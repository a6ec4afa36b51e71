"""Previews on their way to other processes: gathered for a moment, joined, and shed when too many.

Once a delta of an event was dropped, no later one of it may be sent: a reader would join what does not
belong together.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from agentstead.clock import Clock
from agentstead.log.bus import PREVIEW, preview_id

PREVIEWS_MAX = 2_000
"""Waiting previews beyond this are shed."""
JOINED_CHARACTERS = 2_000


class Unsent(Exception):
    """A flush did not go out."""


class Previews:
    """What waits for the next flush."""

    def __init__(
        self,
        clock: Clock,
        wait_seconds: float,
        line_bytes_max: int,
        send: Callable[[list[str]], Awaitable[None]],
    ) -> None:
        self.clock = clock
        self.wait_seconds = wait_seconds
        """How long small deltas wait for company."""
        self.line_bytes_max = line_bytes_max
        self.send = send
        """Tells others these lines; raises Unsent."""
        self.waiting: list[dict[str, Any]] = []
        self.shed: dict[str, None] = {}
        """Ids whose later deltas may not be sent, since an earlier one was dropped."""
        self.ready = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to send."""
        self.task = asyncio.create_task(self.flushing(), name="bus previews")

    async def close(self) -> None:
        """Send no more."""
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
            self.task = None

    def add(self, session_id: str, thread_id: str, frame: Mapping[str, Any]) -> None:
        """Take it along with the next flush, joined to the one before when it continues it."""
        event_id = preview_id(frame)
        if event_id in self.shed:
            return
        last = self.waiting[-1] if self.waiting else None
        if last and joins(last["f"], frame):
            content = frame["delta"]["content"]
            last["f"]["delta"]["content"]["text"] += content["text"]
        elif len(self.waiting) < PREVIEWS_MAX:
            copy = json.loads(json.dumps(frame))
            self.waiting.append({"s": session_id, "t": thread_id, "f": copy})
        else:
            self.drop(event_id)
        self.ready.set()

    def drop(self, event_id: str) -> None:
        """From now on no delta of this event."""
        self.shed[event_id] = None
        if len(self.shed) > PREVIEWS_MAX:
            del self.shed[next(iter(self.shed))]

    async def flushing(self) -> None:
        """Send what has gathered, again and again."""
        while True:
            await self.ready.wait()
            await self.clock.sleep(self.wait_seconds)
            self.ready.clear()
            previews, self.waiting = self.waiting, []
            if lines := list(self.lines(previews)):
                sent = False
                with suppress(Unsent):
                    await self.send(lines)
                    sent = True
                if not sent:
                    for preview in previews:
                        self.drop(preview_id(preview["f"]))

    def lines(self, previews: list[dict[str, Any]]) -> Iterator[str]:
        """As notices; what is too long is shed with all that follows it."""
        for preview in previews:
            event_id = preview_id(preview["f"])
            line = f"{PREVIEW} {json.dumps(preview, separators=(',', ':'))}"
            if event_id in self.shed:
                continue
            if len(line) > self.line_bytes_max:
                self.drop(event_id)
                continue
            yield line


def joins(before: Mapping[str, Any], frame: Mapping[str, Any]) -> bool:
    """Whether this delta continues the text of the one before."""
    if before["type"] != "event_delta" or frame["type"] != "event_delta":
        return False
    one, two = before["delta"], frame["delta"]
    return bool(
        before["event_id"] == frame["event_id"]
        and one["index"] == two["index"]
        and one["content"]["type"] == two["content"]["type"] == "text"
        and len(one["content"]["text"]) < JOINED_CHARACTERS
    )
