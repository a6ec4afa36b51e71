"""One job on a server: an agent, a session, one message, and the session followed to its end."""

from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from agentstead.cli.progress import Progress, input_of, plain, shorten, text_of
from agentstead.client.first_model import SCRIPTED, first_model
from agentstead.client.follow import following
from agentstead.client.remote import Json, Remote
from agentstead.clock import Clock

NAME = "agentstead run"
SYSTEM = (
    "You do one job for a person at a terminal who cannot answer questions while you work. "
    "Do the whole job with your tools, check the result, and end with a short account of what "
    "you did and where the result is."
)
DONE, FAILED, ASKED = 0, 1, 2
"""Exit codes of `agentstead run`."""


@dataclass
class Job:
    """One goal on its way."""

    remote: Remote
    progress: Progress
    clock: Clock
    goal: str
    model: str | None = None
    tools: tuple[str, ...] = ()
    session_id: str = ""
    interrupted: bool = False
    answer: str = ""
    """The text of the last message."""
    calls: dict[str, Json] = field(default_factory=dict)

    async def run(self) -> int:
        """Do it; the exit code."""
        self.session_id = await self._create()
        if self.interrupted:
            return FAILED
        stop = await self._follow()
        return self._verdict(stop)

    async def interrupt(self) -> None:
        """Ask the agent to stop; the session then idles."""
        self.interrupted = True
        self.progress.note("interrupting …", style="yellow")
        if self.session_id:
            await self._send({"type": "user.interrupt"})

    async def _create(self) -> str:
        model = self.model or await first_model(self.remote)
        if model.startswith(SCRIPTED):
            self.progress.note(
                f"The model {model} is scripted, not an AI: it says the same words whatever you"
                " ask. Set ANTHROPIC_API_KEY, or AGENTSTEAD_OPENAI_BASE_URL, for a real one.",
                style="yellow",
            )
        environment = await self._environment()
        agent = await self.remote.post(
            "/v1/agents",
            {"name": NAME, "model": model, "system": SYSTEM, "tools": [toolset(self.tools)]},
        )
        session = await self.remote.post(
            "/v1/sessions",
            {
                "agent": agent["id"],
                "environment_id": environment,
                "title": shorten(self.goal, 200),
                "initial_events": [
                    {"type": "user.message", "content": [{"type": "text", "text": self.goal}]}
                ],
            },
        )
        self.progress.note(f"session {session['id']}  model {model}")
        return str(session["id"])

    async def _environment(self) -> str:
        async for environment in self.remote.pages("/v1/environments"):
            if environment["name"] == NAME:
                return str(environment["id"])
        return str((await self.remote.post("/v1/environments", {"name": NAME}))["id"])

    async def _send(self, event: Json) -> None:
        await self.remote.post(f"/v1/sessions/{self.session_id}/events", {"events": [event]})

    async def _follow(self) -> Json:
        """The stop reason of the turn, however often the connection breaks."""
        frames = following(self.remote, self.session_id, self.clock, deltas=True)
        async with aclosing(frames):
            async for frame in frames:
                stop = self._take(frame)
                if stop is not None:
                    return stop
        return {"type": "terminated"}

    def _take(self, event: Json) -> Json | None:
        """Show one event; the stop reason when it ends the turn."""
        self.progress.show(event)
        match event["type"]:
            case "agent.message":
                self.answer = text_of(event["content"])
            case "agent.tool_use" | "agent.mcp_tool_use" | "agent.custom_tool_use":
                self.calls[event["id"]] = event
            case "session.status_idle":
                return dict(event["stop_reason"])
            case "session.status_terminated" | "session.deleted":
                return {"type": "terminated"}
            case _:
                pass
        return None

    def _verdict(self, stop: Json) -> int:
        kind = stop["type"]
        if kind == "requires_action":
            for call_id in stop.get("event_ids", ()):
                call = self.calls.get(call_id, {"name": "a tool"})
                self.progress.note(
                    f"waiting for an answer: {plain(str(call['name']))} {input_of(call)}"
                    f"  ({call_id})",
                    style="yellow",
                )
            self.progress.note(f"Answer it over the API, in session {self.session_id}.")
            return ASKED
        if self.interrupted:
            self.progress.note("interrupted", style="yellow")
            return FAILED
        if kind == "end_turn":
            return DONE
        self.progress.note(f"stopped: {plain(kind)}", style="red")
        return FAILED


def toolset(names: tuple[str, ...]) -> dict[str, Any]:
    """The built-in toolset, whole or with only these tools."""
    whole: dict[str, Any] = {"type": "agent_toolset_20260401"}
    if names:
        whole["default_config"] = {"enabled": False}
        whole["configs"] = [{"name": name, "enabled": True} for name in dict.fromkeys(names)]
    return whole
