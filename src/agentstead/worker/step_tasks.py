"""The work of one session that is going on: one asyncio task per key of the plan."""

import asyncio
from collections import defaultdict
from collections.abc import Coroutine, Iterable
from typing import Any

from agentstead.harness.state import State
from agentstead.harness.steps import (
    CallModel,
    CancelTools,
    CheckOut,
    Record,
    RunTools,
    Step,
    Wait,
)
from agentstead.log.log import Lease
from agentstead.prompt.context import Scribe
from agentstead.wire.events.stored import Draft
from agentstead.worker.call_model import call_model
from agentstead.worker.check_out import check_out
from agentstead.worker.run_tools import cancel_tools, run_tool
from agentstead.worker.server_tools import run_server_tool
from agentstead.worker.world import World

Key = tuple[str, ...]
CHECK_OUT = "check out"
Work = Coroutine[Any, Any, list[Draft]]


class StepTasks:
    """Starts what the plan wants, ends what it wants no more, and hands out what comes of it."""

    def __init__(self, world: World, lease: Lease, lost: frozenset[str] = frozenset()) -> None:
        self.world = world
        self.lease = lease
        self.lost = lost
        """Calls that may have begun where nobody can ask any more: they are not made again."""
        self.tasks: dict[Key, asyncio.Task[list[Draft]]] = {}
        self.scribes: defaultdict[str, Scribe] = defaultdict(Scribe)
        """Per thread."""

    async def __aenter__(self) -> "StepTasks":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.drop(tuple(self.tasks))

    async def keep(self, steps: Iterable[Step]) -> None:
        """End every task whose key the plan no longer has."""
        wanted = {key for step in steps for key in keys(step)}
        await self.drop(tuple(key for key in self.tasks if key not in wanted))

    async def drop(self, names: Iterable[Key]) -> None:
        """End these tasks and wait for them; what they had to say is lost."""
        dropped = [self.tasks.pop(name) for name in names]
        for task in dropped:
            task.cancel()
        if dropped:
            await asyncio.gather(*dropped, return_exceptions=True)

    def start(self, state: State, steps: Iterable[Step]) -> None:
        """Start every task that the plan has and that is not going on."""
        for step in steps:
            for key in keys(step):
                if key not in self.tasks:
                    work = self.work(state, step, key)
                    self.tasks[key] = asyncio.ensure_future(work)

    def work(self, state: State, step: Step, key: Key) -> Work:
        """What is to be done under a key."""
        match step:
            case CallModel():
                scribe = self.scribes[step.thread_id]
                return call_model(self.world, self.lease, state, step, scribe)
            case RunTools(_, calls):
                call = next(entry for entry in calls if entry.id == key[1])
                if call.kind == "mcp":
                    return run_server_tool(self.world, self.lease, state, call)
                return run_tool(self.world, state, call, lost=call.id in self.lost)
            case CheckOut():
                return check_out(self.world, state, step)
            case CancelTools():
                return cancel_tools(self.world, state, step)
            case Record() | Wait():
                raise AssertionError(f"{step} is no work")

    @property
    def checked_out(self) -> bool:
        """Whether an attempt to check something out has ended."""
        return any(key[0] == CHECK_OUT and task.done() for key, task in self.tasks.items())

    def finished(self) -> list[Draft]:
        """What the tasks that have ended wrote; raises what they raised."""
        ended = [key for key, task in self.tasks.items() if task.done()]
        written: list[Draft] = []
        for key in ended:
            written += self.tasks.pop(key).result()
        return written


def keys(step: Step) -> tuple[Key, ...]:
    """The keys of a step's tasks: the same work has the same key in every plan."""
    match step:
        case CallModel(_, request_id):
            return (("model", request_id),)
        case RunTools(_, calls):
            return tuple(("tool", call.id) for call in calls)
        case CheckOut(_, repository_id):
            return ((CHECK_OUT, repository_id),)
        case CancelTools(thread_id, calls, _):
            return (("cancel", thread_id, *(call.id for call in calls)),)
        case Record() | Wait():
            return ()
