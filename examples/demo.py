"""The demo: a whole platform on a free port, one agent's job, one worker killed in the middle.

Everything is real but, without a key, the model: server, two workers, database and sandbox are
started for this and stopped at the end, and the official `anthropic` SDK drives them over HTTP.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anthropic
from processes import adopt_orphans, left_over
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from agentstead.cli.progress import Progress, text_of

HERE = Path(__file__).parent
DATA = HERE / "data" / "bike_rides.csv"
SCENARIO = HERE / "demo_scenario.json"
COMMAND = [sys.executable, "-m", "agentstead"]
START_SECONDS = 30
RUN_SECONDS = 180
STOP_SECONDS = 15
CLAUDE = os.environ.get("AGENTSTEAD_DEMO_MODEL", "claude-sonnet-5-5")
SLOW_MARK = "sleep 5"
"""In the scripted model's slow command; a real model's first slow command is found by watching."""
GOAL = """Analyse the data below: one row per day of a bike rental, with rides, temperature and rain.

1. Save it as /workspace/bike_rides.csv.
2. Write a Python script /workspace/analyse.py (standard library only) that works out what drives the
   number of rides and writes a short report with figures to /workspace/report.md.
3. Run it with exactly this command, which also notes the run:
   cd /workspace && echo 'analysis started' >> runs.log && sleep 5 && python3 analyse.py
4. Use the edit tool to add one line of advice to the report.
5. Read runs.log and report.md, and end with the report's text.

```csv
{data}```
"""

console = Console(highlight=False, soft_wrap=True)


def main() -> int:
    """Run the demo; 0 when everything was as promised."""
    started = time.monotonic()
    adopt_orphans()
    with temporary_dir() as place:
        platform = Platform(place)
        try:
            platform.start()
            Demo(platform).run()
        finally:
            platform.stop()
    if left := left_over(STOP_SECONDS):
        raise SystemExit(f"These processes are left: {left}")
    say(f"everything is stopped, no process is left; {time.monotonic() - started:.1f} s in all")
    return 0


def say(text: str, style: str = "bold green") -> None:
    """A line of the demo itself."""
    console.print(f"▶ {text}", style=style, markup=False)


class Platform:
    """`serve` without workers, and two workers beside it, each a process of its own."""

    def __init__(self, place: Path) -> None:
        self.data_dir = place / "data"
        self.logs = place / "logs"
        self.logs.mkdir()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.url = ""
        self.key = ""
        self.scripted = not os.environ.get("ANTHROPIC_API_KEY")

    def start(self) -> None:
        """Start the server, then the workers."""
        own = ("AGENTSTEAD_", "PYTHONOPTIMIZE")
        environment = {k: v for k, v in os.environ.items() if not k.startswith(own)}
        environment |= {"AGENTSTEAD_SCRIPTED_FILE": str(SCENARIO)}
        place = ["--data-dir", str(self.data_dir)]
        self.spawn("serve", ["serve", "--port", "0", "--workers", "0", *place], environment)
        presence = self.data_dir / "serve.json"
        self.wait("serve", presence.exists)
        self.url = json.loads(presence.read_text())["url"]
        self.key = (self.data_dir / "local-key").read_text().strip()
        for name in ("worker-1", "worker-2"):
            self.spawn(name, ["worker", *place], environment)
        say(f"platform at {self.url}: an API server, an embedded PostgreSQL, two workers")

    def spawn(self, name: str, arguments: list[str], environment: dict[str, str]) -> None:
        """Start a process whose output goes to a file."""
        with (self.logs / name).open("wb") as log:
            self.processes[name] = subprocess.Popen(
                [*COMMAND, *arguments], env=environment, stdout=log, stderr=log
            )

    def wait(self, name: str, ready: Any) -> None:
        """Wait until it is ready; a process that ended says why."""
        until = time.monotonic() + START_SECONDS
        while not ready():
            if self.processes[name].poll() is not None or time.monotonic() > until:
                raise SystemExit(f"{name} did not start:\n{(self.logs / name).read_text()}")
            time.sleep(0.02)

    def kill(self, owner: str) -> str:
        """SIGKILL the worker whose lease this is; its name."""
        for name, process in self.processes.items():
            if str(process.pid) in owner.split(":"):
                process.kill()
                process.wait()
                return f"{name} (process {process.pid})"
        raise SystemExit(f"No worker of ours is {owner}.")

    def stop(self) -> None:
        """Ask all to stop, workers first; whoever does not is killed."""
        for name in reversed(self.processes):
            process = self.processes[name]
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise SystemExit(
                    f"{name} did not stop:\n{(self.logs / name).read_text()}"
                ) from None


class Demo:
    """The job, seen from a client that knows only the public API."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.client = anthropic.Anthropic(base_url=platform.url, api_key=platform.key)
        self.progress = Progress(console)
        self.killed_call: str | None = None
        self.session_id = ""

    def run(self) -> None:
        """Create, run, kill, check, and clean up."""
        model = "scripted-demo" if self.platform.scripted else CLAUDE
        if self.platform.scripted:
            say(
                "no ANTHROPIC_API_KEY: the model is scripted, its words are fixed; all else is real"
            )
        else:
            say(f"ANTHROPIC_API_KEY is set: the model is {model}")
        beta = self.client.beta
        environment = beta.environments.create(name="demo")
        agent = beta.agents.create(
            name="Analyst",
            model=model,
            system="You analyse data and write short reports with figures.",
            tools=[{"type": "agent_toolset_20260401"}],
        )
        session = beta.sessions.create(agent=agent.id, environment_id=environment.id)
        self.session_id = session.id
        say(f"session {session.id}")
        self.follow()
        self.check()
        beta.sessions.delete(session.id)

    def follow(self) -> None:
        """Send the goal and show what happens until the session idles."""
        events = self.client.beta.sessions.events
        until = time.monotonic() + RUN_SECONDS
        goal = GOAL.format(data=DATA.read_text())
        with events.stream(self.session_id, event_deltas=["agent.message"]) as stream:
            message = {"type": "user.message", "content": [{"type": "text", "text": goal}]}
            events.send(self.session_id, events=[message])  # type: ignore[list-item]
            for event in stream:
                shown = event.model_dump(mode="json", exclude_unset=True)
                self.progress.show(shown)
                if shown["type"] == "agent.tool_use" and self.killed_call is None:
                    self.maybe_kill(shown)
                if shown["type"] == "session.status_idle":
                    if shown["stop_reason"]["type"] != "end_turn":
                        raise SystemExit(f"The session stopped: {shown['stop_reason']}")
                    return
                if shown["type"] == "session.status_terminated" or time.monotonic() > until:
                    raise SystemExit("The session did not finish.")
        raise SystemExit("The stream ended before the session did.")

    def maybe_kill(self, use: dict[str, Any]) -> None:
        """Kill the worker in the middle of a slow command."""
        slow = SLOW_MARK in str(use["input"].get("command"))
        if use["name"] != "bash" or (self.platform.scripted and not slow):
            return
        time.sleep(1)
        if self.results(use["id"]):
            return
        why: Any = self.client.get(f"/v1/sessions/{self.session_id}/why", cast_to=object)
        killed = self.platform.kill(owner_in(why))
        self.killed_call = use["id"]
        say(
            f"the command is still running; SIGKILL to {killed}, which held the session", "bold red"
        )

    def results(self, call_id: str) -> list[Any]:
        """The results of a call in the log."""
        listed = self.client.beta.sessions.events.list(self.session_id, types=["agent.tool_result"])
        return [event for event in listed if getattr(event, "tool_use_id", None) == call_id]

    def check(self) -> None:
        """The log holds one result per call, and the slow command ran once."""
        log = [
            e.model_dump(mode="json")
            for e in self.client.beta.sessions.events.list(self.session_id)
        ]
        uses = [event["id"] for event in log if event["type"] == "agent.tool_use"]
        results = [event["tool_use_id"] for event in log if event["type"] == "agent.tool_result"]
        if sorted(uses) != sorted(results):
            raise SystemExit(f"{len(uses)} calls, but results for {results}")
        texts = {
            e["tool_use_id"]: text_of(e["content"]) for e in log if e["type"] == "agent.tool_result"
        }
        read = {e["input"].get("file_path"): e["id"] for e in log if e.get("name") == "read"}
        if self.killed_call is None:
            say("the kill was skipped: no command of the model ran longer than a second", "yellow")
        else:
            seen = read.get("/workspace/runs.log") or looked_at(log, "runs.log")
            runs = texts[seen].count("analysis started") if seen else 1
            if runs != 1:
                raise SystemExit(f"The command ran {runs} times.")
            proof = "as runs.log shows" if seen else "with one result in the log"
            say(f"the other worker took over; the killed worker's command ran once, {proof}")
        say(f"the log holds {len(log)} events; {len(uses)} tool calls, one result each")
        report = texts.get(read.get("/workspace/report.md", ""), "(the report was not read)")
        console.print(Panel(Text(report.strip()), title="report.md"), soft_wrap=False)


def looked_at(log: list[dict[str, Any]], name: str) -> str | None:
    """The call by which the model showed itself a file with the shell."""
    for event in log:
        command = str(event.get("input", {}).get("command", ""))
        if (
            event.get("name") == "bash"
            and command.startswith(("cat ", "tail "))
            and name in command
        ):
            return str(event["id"])
    return None


def owner_in(why: Any) -> str:
    """The worker that holds the session, from what `/why` says."""
    return str(why["lease"]["owner"])


@contextmanager
def temporary_dir() -> Iterator[Path]:
    """A directory for this run. As root others may pass through it: the database and the sandbox
    run under users of their own.
    """
    place = Path(tempfile.mkdtemp(prefix="agentstead-demo-"))
    if os.geteuid() == 0:
        place.chmod(0o711)
    try:
        yield place
    finally:
        shutil.rmtree(place)


if __name__ == "__main__":
    sys.exit(main())
