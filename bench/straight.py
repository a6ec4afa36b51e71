"""The same loop without a platform: one task per session that keeps its conversation in memory.

It asks the same model, runs the same tool that does nothing, and writes the same rows (all columns,
the same bytes of payload) straight to PostgreSQL, by a group committer of its own. There is no
fence, no inbox, no derived row, no notice, nothing to carry on from when the process dies: what an
agent would cost if nobody asked for more than its rows on disk.
"""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from agentstead.clock import SystemClock, rfc3339
from agentstead.harness.drafts import NO_USAGE
from agentstead.harness.usage import add, on_wire
from agentstead.ids import EVENT, RandomIds
from agentstead.prompt import context
from agentstead.providers.provider import Done, ModelRequest, Provider
from agentstead.sandbox.sandbox import Limits, SandboxSpec
from agentstead.store.pool import Database
from agentstead.testing.fake_sandbox import FakeSandbox
from agentstead.tools.tool import Tool, ToolCall

INSERT = b"""
    insert into events (session_id, seq, id, workspace_id, thread_id, type, primary_view, at, fence,
                        payload, private)
    select session_id, seq, id, workspace_id, thread_id, type, true, to_timestamp(at), 0,
           payload::json, private::json
    from unnest(%b::text[], %b::bigint[], %b::text[], %b::text[], %b::text[], %b::text[],
                %b::float8[], %b::text[], %b::text[])
      as r(session_id, seq, id, workspace_id, thread_id, type, at, payload, private)
"""

Row = tuple[Any, ...]


@dataclass(slots=True)
class Committer:
    """Writes all rows that are ready in one statement, which is one transaction; then the next."""

    db: Database
    waiting: list[tuple[list[Row], "asyncio.Future[None]"]] = field(default_factory=list)
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    async def append(self, rows: list[Row]) -> None:
        """Return when the rows are on disk."""
        done = asyncio.get_running_loop().create_future()
        self.waiting.append((rows, done))
        self.ready.set()
        await done

    async def run(self) -> None:
        """Write until cancelled."""
        async with self.db.connection() as connection:
            while True:
                await self.ready.wait()
                self.ready.clear()
                batch, self.waiting = self.waiting, []
                rows = [row for some, _ in batch for row in some]
                columns = [list(column) for column in zip(*rows, strict=True)]
                await connection.execute(INSERT, columns)
                for _, done in batch:
                    done.set_result(None)


class Talk:
    """One session: its conversation, and the rows it writes."""

    def __init__(
        self, committer: Committer, workspace_id: str, session_id: str, thread_id: str
    ) -> None:
        self.committer = committer
        self.place = (workspace_id, thread_id)
        self.session_id, self.thread_id = session_id, thread_id
        self.clock = SystemClock()
        self.ids = RandomIds(self.clock)
        self.messages: list[dict[str, Any]] = []
        self.rows: list[Row] = []
        self.seq = 0
        self.usage: dict[str, int] | None = None

    def write(self, kind: str, fields: Mapping[str, Any], private: Any = None) -> str:
        """A row for the next append; the event's id."""
        self.seq += 1
        at, event_id = self.clock.now(), self.ids.new(EVENT)
        payload = {"type": kind, "id": event_id, **fields, "processed_at": rfc3339(at)}
        workspace_id, thread_id = self.place
        self.rows.append(
            (self.session_id, self.seq, event_id, workspace_id, thread_id, kind, at, text(payload),
             None if private is None else text(private))
        )  # fmt: skip
        return event_id

    async def commit(self) -> None:
        """Append what was written; return when it is on disk."""
        rows, self.rows = self.rows, []
        await self.committer.append(rows)

    def hear(self, blocks: list[dict[str, Any]]) -> None:
        """A message of the user's, with cache marks on the two latest."""
        blocks[-1]["cache_control"] = context.CACHE
        self.messages.append({"role": "user", "content": blocks})
        if len(self.messages) > 4:
            del self.messages[-5]["content"][-1]["cache_control"]

    async def drive(
        self, agent: Mapping[str, Any], provider: Provider, model: str, tools: Mapping[str, Tool]
    ) -> None:
        """Ask, run, write, until the model is done."""
        offered = context.offered_tools(
            agent["tools"],
            {name: context.ToolText(t.description, t.input_schema) for name, t in tools.items()},
        )
        system = context.system(agent, in_sandbox=True)
        name = {"session_thread_id": self.thread_id, "agent_name": agent["name"]}
        began = self.clock.now()
        self.write("user.message", {"content": [{"type": "text", "text": "go"}]})
        self.write("session.status_running", {})
        self.write("session.thread_status_running", name)
        self.hear([{"type": "text", "text": "go"}])
        while True:
            request_id = self.write("span.model_request_start", {})
            await self.commit()
            request = ModelRequest(model, system, self.messages, offered, 32_000, "high")
            done = None
            async for part in provider.stream(request):
                done = part if isinstance(part, Done) else done
            assert done is not None
            calls = self.answered(done, request_id)
            if not calls:
                break
            await self.commit()
            results = [await self.run_tool(tools, block, call_id) for block, call_id in calls]
            self.hear(results)
        end = {"stop_reason": {"type": "end_turn"}, "stop_details": None}
        self.write("session.thread_status_idle", {**name, **end})
        spent = on_wire(self.usage, self.clock.now() - began)
        self.write("session.usage", {"usage": spent, "budget": None})
        self.write("session.status_idle", end)
        await self.commit()

    def answered(self, done: Done, request_id: str) -> list[tuple[Mapping[str, Any], str]]:
        """Write the model's message; its calls with their ids."""
        self.messages.append({"role": "assistant", "content": done.content})
        calls, layout = [], []
        for block in done.content:
            if block["type"] == "text":
                layout.append({"type": "text", "text_index": 0})
                self.write("agent.message", {"content": [block]})
                continue
            fields = {
                "name": block["name"], "input": block["input"], "evaluated_permission": "allow",
                "evaluation": {"type": "always_allow"}, "session_thread_id": None,
            }  # fmt: skip
            layout.append({"type": "tool_use", "call_index": len(calls)})
            call_id = self.write("agent.tool_use", fields, {"provider_id": block["id"]})
            calls.append((block, call_id))
        usage = asdict(done.usage)
        self.usage = add(self.usage, usage)
        self.write(
            "span.model_request_end",
            {
                "model_request_start_id": request_id,
                "is_error": False,
                "model_usage": {name: usage[name] for name in NO_USAGE},
            },
            {
                "layout": layout, "usage": usage, "stop_reason": done.stop_reason,
                "stop_details": done.stop_details, "model": done.model,
            },
        )  # fmt: skip
        return calls

    async def run_tool(
        self, tools: Mapping[str, Tool], block: Mapping[str, Any], call_id: str
    ) -> dict[str, Any]:
        """Run a call and write its result; the block that tells the model."""
        outcome = await tools[block["name"]].run(
            ToolCall(
                call_id, self.session_id, block["input"], FakeSandbox(self.clock),
                SandboxSpec(limits=Limits()),
            )
        )  # fmt: skip
        content = [dict(part) for part in outcome.content]
        fields = {"tool_use_id": call_id, "content": content, "is_error": outcome.is_error}
        self.write("agent.tool_result", fields)
        return {"type": "tool_result", "tool_use_id": block["id"], "content": content}


def text(value: Any) -> str:
    """JSON as the platform stores it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


async def straight(
    db: Database, agent: Mapping[str, Any], provider: Provider, model: str,
    tools: Mapping[str, Tool], sessions: Sequence[tuple[str, str, str]],
) -> float:  # fmt: skip
    """Seconds until all sessions (workspace, session, thread) are done."""
    committer = Committer(db)
    writing = asyncio.create_task(committer.run())
    began = time.perf_counter()
    talks = [Talk(committer, *one) for one in sessions]
    await asyncio.gather(*(talk.drive(agent, provider, model, tools) for talk in talks))
    spent = time.perf_counter() - began
    writing.cancel()
    with suppress(asyncio.CancelledError):
        await writing
    return spent
