"""A worker with its doubles, and one session made by hand."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from agentstead.clock import SystemClock
from agentstead.ids import RandomIds
from agentstead.log.log import Decision, Incoming, NewSession, SessionRow
from agentstead.sandbox.sandbox import Limits, Outcome
from agentstead.testing.fake_sandbox import FakeSandbox
from agentstead.testing.memory_log import MemoryLog
from agentstead.testing.script import Script, ScriptedModels
from agentstead.tools.tool import Effect, Tool, ToolCall
from agentstead.worker.loop import Worker
from agentstead.worker.world import Pace, World
from tests.simulation.scenarios import MAIN, agent

WORKSPACE, SESSION, PRIMARY = "wrkspc_1", "sesn_1", "sthr_main"
Run = Callable[[ToolCall], Awaitable[Outcome]]


async def in_sandbox(call: ToolCall) -> Outcome:
    return await call.sandbox.call(call.session_id, call.spec, call.id, "bash", call.input)


QUICK = {"claim_poll_seconds": 0.02, "heartbeat_seconds": 0.05, "drain_seconds": 0.0}


def tool(name: str, run: Run = in_sandbox) -> Tool:
    return Tool(name, f"Run {name}.", {"type": "object"}, Effect.WRITE, run)


class Place:
    """One world on the real event loop."""

    def __init__(self, source: Any, *, run: Run = in_sandbox, **pace: Any) -> None:
        self.clock = SystemClock()
        self.log = MemoryLog(self.clock)
        self.script = Script(self.clock, source)
        config = agent(MAIN)
        self.config = config
        self.world = World(
            log=self.log,
            previews=self.log,
            models=ScriptedModels({config["model"]["id"]: self.script}),
            sandbox=FakeSandbox(self.clock),
            tools={name: tool(name, run) for name in ("bash", "write", "read")},
            clock=self.clock,
            ids=RandomIds(self.clock),
            limits=Limits(),
            pace=Pace(**{**QUICK, **pace}),
        )

    async def session(self, *texts: str) -> None:
        """A session with these messages as its first input."""
        await self.log.create(
            NewSession(
                id=SESSION,
                workspace_id=WORKSPACE,
                primary_thread_id=PRIMARY,
                agent_id="agent_1",
                agent_version=1,
                agent=self.config,
                environment_id="env_1",
                environment={"id": "env_1"},
                title=None,
                metadata={},
                resources=(),
                vault_ids=(),
                created_at=self.clock.now(),
                incoming=tuple(message(f"sevt_m{n}", text) for n, text in enumerate(texts)),
            )
        )

    async def send(self, *incoming: Incoming, starts: bool = True) -> None:
        await self.log.accept(WORKSPACE, SESSION, [], lambda _: Decision(incoming, starts))

    async def row(self) -> SessionRow:
        return await self.log.retrieve(WORKSPACE, SESSION)

    async def parked(self) -> SessionRow:
        """The session once it rests."""
        async with asyncio.timeout(5):
            while True:
                row = await self.row()
                if row.status == "idle" and row.wake_at is None and row.lease_owner is None:
                    return row
                await asyncio.sleep(0.01)

    @property
    def events(self) -> list[Any]:
        return list(self.log.sessions[SESSION].events)

    def types(self) -> list[str]:
        return [event.type for event in self.events]

    def of(self, kind: str) -> list[Any]:
        return [event for event in self.events if event.type == kind]

    def worker(self, owner: str = "w1") -> "Working":
        return Working(Worker(self.world, owner))


class Working:
    """A worker that runs while the block does."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker

    async def __aenter__(self) -> Worker:
        self.task = asyncio.create_task(self.worker.run())
        return self.worker

    async def __aexit__(self, *_: object) -> None:
        await self.worker.stop()
        async with asyncio.timeout(5):
            await self.task


def message(event_id: str, text: str) -> Incoming:
    content = [{"type": "text", "text": text}]
    payload = {"id": event_id, "type": "user.message", "content": content, "processed_at": None}
    return Incoming(event_id, "user.message", None, payload)
