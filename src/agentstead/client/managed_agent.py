"""`ClaudeManagedAgent`: a goal, tools, permissions and limits, declared in one place and run by the platform.

Promises: a declaration is checked before anything is made; the same declaration again finds the agent and
the connectors it made, and a changed one makes a new version of them; a run never waits silently for
somebody's answer.
"""

import hashlib
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from agentstead.client.background import Background
from agentstead.client.declared import ConnectorTool, FunctionTool
from agentstead.client.embedded import Embedded
from agentstead.client.handle import Handle, OnAsk
from agentstead.client.reconcile import Declaration, environment_of, reconciled
from agentstead.client.remote import Json, Remote
from agentstead.client.result import NotAvailableYet, Result
from agentstead.clock import SystemClock
from agentstead.errors import Invalid
from agentstead.settings import load

BUILT_IN = ("bash", "read", "write", "edit", "glob", "grep")
HASH_CHARACTERS = 6
SLUG_CHARACTERS = 40
SYSTEM = (
    "You are an agent with this goal: {goal}\n\nReach it with the tools you have. End with a short account "
    "of what you did and what came of it."
)
Tool = ConnectorTool | FunctionTool | str


class ClaudeManagedAgent:
    """An agent by declaration.

    goal: what it is there for. tools: of `api_tool`, `database_tool`, `notification_tool`, `tool`, or names
    of built-in ones (bash, read, write, edit, glob, grep). name: by default from the goal. model: the
    server's first real one. environment: an id, or what `/v1/environments` takes as `config`. limits: of the
    sandbox, e.g. `{"memory_bytes": 1 << 30}`. base_url, api_key: else `AGENTSTEAD_BASE_URL` and
    `AGENTSTEAD_API_KEY`, else the server that holds the data directory, else a platform of this program's
    own. on_ask: decides on calls that need a person. Raises Invalid, naming the field, and NotAvailableYet.
    """

    def __init__(
        self,
        goal: str,
        tools: Sequence[Tool] = (),
        name: str | None = None,
        *,
        model: str | None = None,
        environment: str | Mapping[str, Any] | None = None,
        limits: Mapping[str, Any] | None = None,
        memory: Any = None,
        agents: Any = None,
        base_url: str | None = None,
        api_key: str | None = None,
        on_ask: OnAsk | None = None,
    ) -> None:
        for what, given in (("memory", memory), ("agents", agents)):
            if given is not None:
                raise NotAvailableYet(f"{what}: The platform does not have this yet.")
        if not goal.strip():
            raise Invalid("goal: It must say something.")
        checked(tools)
        self.settings = load(base_url=base_url, api_key=api_key)
        self.declaration = Declaration(
            name=name or slug(goal),
            system=SYSTEM.format(goal=goal.strip()),
            model=model or self.settings.run_model,
            connectors=[one for one in tools if isinstance(one, ConnectorTool)],
            functions=[one for one in tools if isinstance(one, FunctionTool)],
            built_in=[one for one in tools if isinstance(one, str)],
            environment=environment,
            limits=limits,
        )
        self.on_ask = on_ask
        self.embedded = Embedded()

    # asynchronous

    async def astart(self, task: str) -> Handle:
        """Start a run; the caller closes its `remote` (`run` and `arun` do by themselves)."""
        place = await self.embedded.place(self.settings)
        remote = Remote(place.url, place.key)
        try:
            agent_id = await reconciled(remote, self.declaration)
            environment_id = await environment_of(remote, self.declaration)
            message = {"type": "user.message", "content": [{"type": "text", "text": task}]}
            session = await remote.post(
                "/v1/sessions",
                {
                    "agent": agent_id,
                    "environment_id": environment_id,
                    "title": task[:200],
                    "initial_events": [message],
                },
            )
        except BaseException:
            await remote.http.aclose()
            raise
        functions = {one.name: one for one in self.declaration.functions}
        return Handle(remote, session["id"], functions, self.on_ask, SystemClock())

    async def arun(self, task: str) -> Result:
        """Run a task to its end. Raises ApprovalNeeded, RunStopped, Refused, Unreachable, Misconfigured."""
        handle = await self.astart(task)
        try:
            return await handle.wait()
        finally:
            await handle.close()

    # synchronous

    def run(self, task: str) -> Result:
        """The same, for programs without an event loop."""
        with background() as behind:
            return behind.run(self.arun(task))

    def start(self, task: str) -> "RunningHandle":
        """Start a run and come back."""
        behind = Background()
        return RunningHandle(behind, behind.run(self.astart(task)))

    def deploy(self, schedule: str) -> None:
        """Run by a schedule; NotAvailableYet."""
        raise NotAvailableYet(f"schedule: The platform has no deployments yet ({schedule}).")

    def close(self) -> None:
        """End the platform that was started for this agent; it ends with the program anyway."""
        self.embedded.stop()


class RunningHandle:
    """A run on its way, for programs without an event loop."""

    def __init__(self, behind: Background, handle: Handle) -> None:
        self.behind = behind
        self.handle = handle
        self.session_id = handle.session_id

    def __iter__(self) -> Iterator[Json]:
        """The events until the run stops. Raises as `Handle` does."""
        events: AsyncIterator[Json] = self.handle.__aiter__()
        while (event := self.behind.run(following(events))) is not None:
            yield event

    def wait(self) -> Result:
        """The result."""
        return self.behind.run(self.handle.wait())

    def send(self, text: str) -> None:
        """Say something more."""
        self.behind.run(self.handle.send(text))

    def interrupt(self) -> None:
        """Ask the agent to stop."""
        self.behind.run(self.handle.interrupt())

    def allow(self, call_id: str) -> None:
        """Allow a call that the agent asks for."""
        self.behind.run(self.handle.allow(call_id))

    def deny(self, call_id: str, reason: str = "") -> None:
        """Deny it."""
        self.behind.run(self.handle.deny(call_id, reason))

    def close(self) -> None:
        """Give up the connection; the run goes on."""
        self.behind.run(self.handle.close())
        self.behind.close()


async def following(events: AsyncIterator[Json]) -> Json | None:
    """The next of them; None: that was the last."""
    return await anext(events, None)


@contextmanager
def background() -> Iterator[Background]:
    """A loop for one call."""
    behind = Background()
    try:
        yield behind
    finally:
        behind.close()


def checked(tools: Sequence[Tool]) -> None:
    """Invalid names the tool at fault."""
    names: set[str] = set()
    for place, one in enumerate(tools):
        if isinstance(one, str):
            if one not in BUILT_IN:
                raise Invalid(
                    f"tools.{place}: There is no built-in tool {one}; there are {', '.join(BUILT_IN)}."
                )
            name = one
        elif isinstance(one, ConnectorTool | FunctionTool):
            name = one.name
        else:
            raise Invalid(
                f"tools.{place}: It must be a declared tool or the name of a built-in one."
            )
        if name in names:
            raise Invalid(f"tools.{place}: There is a tool called {name} already.")
        names.add(name)


def slug(goal: str) -> str:
    """A name from a goal."""
    words = re.sub(r"[^a-z0-9]+", "-", goal.lower()).strip("-")[:SLUG_CHARACTERS].strip("-")
    return f"{words or 'agent'}-{hashlib.sha256(goal.encode()).hexdigest()[:HASH_CHARACTERS]}"
