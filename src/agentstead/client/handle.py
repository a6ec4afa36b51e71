"""A run on its way: its events, its end, and what it asks meanwhile."""

import inspect
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from agentstead.client.declared import FunctionTool
from agentstead.client.follow import following
from agentstead.client.remote import Json, Remote
from agentstead.client.result import ApprovalNeeded, Called, Result, RunStopped, cost_of
from agentstead.clock import Clock

OnAsk = Callable[[Called], bool | str | Awaitable[bool | str]]
"""Decides on a call: True allows it, False denies it, words deny it with a reason for the agent."""
USES = ("agent.tool_use", "agent.mcp_tool_use", "agent.custom_tool_use")
RESULTS = {"agent.tool_result": "tool_use_id", "agent.mcp_tool_result": "mcp_tool_use_id"}


@dataclass
class Handle:
    """One run of an agent. Its events are taken in by whoever iterates or waits; by one at a time."""

    remote: Remote
    session_id: str
    functions: Mapping[str, FunctionTool]
    on_ask: OnAsk | None
    clock: Clock
    calls: dict[str, Called] = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)
    text: str = ""
    stopped: Json | None = None
    """The stop reason, once the session idles with nothing to answer here."""
    trouble: str = ""
    events: AsyncGenerator[Json, None] | None = None

    async def __aiter__(self) -> AsyncIterator[Json]:
        """The events until the run stops; calls of functions are answered meanwhile.

        Raises ApprovalNeeded, Refused, Unreachable.
        """
        if self.events is None:
            self.events = following(self.remote, self.session_id, self.clock)
        async for event in self.events:
            await self._take(event)
            yield event
            if self.stopped is not None:
                return

    async def wait(self) -> Result:
        """The result. Raises ApprovalNeeded, RunStopped, Refused, Unreachable."""
        if self.stopped is None:
            async for _ in self:
                pass
        stop = self.stopped or {"type": "terminated"}
        if stop["type"] != "end_turn":
            raise RunStopped(self.session_id, stop["type"], self.trouble)
        session = await self.remote.get(f"/v1/sessions/{self.session_id}")
        files = [one async for one in self.remote.pages("/v1/files", {"scope_id": self.session_id})]
        usage = session.get("usage") or {}
        calls = tuple(self.calls.values())
        return Result(self.text, calls, self.session_id, files, usage, cost_of(usage))

    async def send(self, text: str) -> None:
        """Say something more; a run that has stopped goes on."""
        self.stopped = None
        await self._send({"type": "user.message", "content": [{"type": "text", "text": text}]})

    async def interrupt(self) -> None:
        """Ask the agent to stop; it then idles."""
        await self._send({"type": "user.interrupt"})

    async def allow(self, call_id: str) -> None:
        """Allow a call that the agent asks for."""
        await self._decide(call_id, True)

    async def deny(self, call_id: str, reason: str = "") -> None:
        """Deny it."""
        await self._decide(call_id, reason or False)

    async def close(self) -> None:
        """Give up the connection; the run goes on."""
        if self.events is not None:
            await self.events.aclose()
        await self.remote.http.aclose()

    async def _send(self, *events: Mapping[str, Any]) -> None:
        await self.remote.post(f"/v1/sessions/{self.session_id}/events", {"events": list(events)})

    async def _decide(self, call_id: str, verdict: bool | str) -> None:
        self.stopped = None
        self.answered.add(call_id)
        decided = {"type": "user.tool_confirmation", "tool_use_id": call_id}
        if verdict is True:
            await self._send({**decided, "result": "allow"})
        else:
            said = {"deny_message": verdict} if isinstance(verdict, str) and verdict else {}
            await self._send({**decided, "result": "deny", **said})

    async def _take(self, event: Json) -> None:
        kind = event["type"]
        if kind == "agent.message":
            self.text = _text(event["content"])
        elif kind in USES:
            self.calls[event["id"]] = Called(event["id"], event["name"], event["input"])
        elif kind in RESULTS and event[RESULTS[kind]] in self.calls:
            self._result(event[RESULTS[kind]], event)
        elif kind == "user.custom_tool_result" and event["custom_tool_use_id"] in self.calls:
            self._result(event["custom_tool_use_id"], event)
        elif kind == "session.error":
            self.trouble = str(event["error"].get("message", ""))
        elif kind in ("session.status_terminated", "session.deleted"):
            self.stopped = {"type": "terminated"}
        elif kind == "session.status_running":
            self.stopped = None
        elif kind == "session.status_idle":
            await self._idle(event["stop_reason"])

    def _result(self, call_id: str, event: Json) -> None:
        said = _text(event.get("content") or ())
        failed = bool(event.get("is_error"))
        self.calls[call_id] = replace(self.calls[call_id], output=said, is_error=failed)

    async def _idle(self, stop: Json) -> None:
        """Answer what can be answered here."""
        if stop["type"] != "requires_action":
            self.stopped = stop
            return
        wanted = [one for one in stop.get("event_ids", ()) if one not in self.answered]
        calls = [self.calls[one] for one in wanted if one in self.calls]
        asked = [call for call in calls if call.name not in self.functions]
        if asked and self.on_ask is None:
            raise ApprovalNeeded(self.session_id, asked)
        for call in calls:
            if call.name in self.functions:
                self.answered.add(call.id)
                await self._send(await _answer(self.functions[call.name], call))
            elif self.on_ask is not None:
                verdict = self.on_ask(call)
                decided = await verdict if inspect.isawaitable(verdict) else verdict
                await self._decide(call.id, decided)


async def _answer(function: FunctionTool, call: Called) -> Json:
    """The event that answers a call of a function of this program."""
    failed = False
    try:
        result = await function.answer(call.input)
        said = result if isinstance(result, str) else json.dumps(result, default=str)
    except ValidationError as error:
        said, failed = (
            f"invalid input: {error.errors(include_url=False, include_input=False)}",
            True,
        )
    return {
        "type": "user.custom_tool_result",
        "custom_tool_use_id": call.id,
        "content": [{"type": "text", "text": said}],
        "is_error": failed,
    }


def _text(content: Sequence[Mapping[str, Any]]) -> str:
    return "".join(block["text"] for block in content if block["type"] == "text")
