"""Workers are killed while sessions work: nothing is lost, nothing happens twice.

Everything is real: `serve`, worker processes, PostgreSQL, sandboxes, SIGKILL. Only the words of the
model are scripted. Each command appends its own token to a file in its session's workspace, so that
a command which ran twice, or never, shows. `make test` kills a few, `make chaos` twenty; `SEED=n`
repeats a run's choices.
"""

import json
import os
import random
import secrets
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import Platform, Running, quick_platform

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180), pytest.mark.xdist_group("processes")]

KILLS = int(os.environ.get("AGENTSTEAD_TEST_KILLS", "5"))
SESSIONS = 12 if KILLS > 5 else 8
KILLS_IN_A_CALL = KILLS // 4
WORKERS = 4
READY = 2
"""Workers that are ready before one of them is killed: on a slow machine too, one goes on."""
STEPS = 3
"""Model requests with a command, per message."""
END_SECONDS = 60.0


def scenario() -> dict[str, Any]:
    """`job X` runs three commands, each noting its token; `report` shows the notes."""
    command = "echo {{match.job}}-%d >> /workspace/notes && sleep 0.%d"
    return {
        "scripts": [
            {
                "when": {"regex": r"job (?P<job>\w+)"},
                "turns": [
                    {"tools": [{"name": "bash", "input": {"command": command % (step, 3 + step)}}]}
                    for step in range(STEPS)
                ]
                + [{"text": "done {{match.job}}"}],
            },
            {
                "when": {"contains": "report"},
                "turns": [
                    {"tools": [{"name": "bash", "input": {"command": "cat /workspace/notes"}}]},
                    {"text": "reported"},
                ],
            },
        ]
    }


@dataclass
class Work:
    """A session and what it was asked to do."""

    session_id: str
    jobs: list[str] = field(default_factory=list)

    @property
    def tokens(self) -> list[str]:
        """What its notes must hold, each line once."""
        return [f"{job}-{step}" for job in self.jobs for step in range(STEPS)]


class Chaos:
    """The sessions, the workers, and the one who kills them."""

    def __init__(self, place: Platform, seed: int) -> None:
        self.platform = place
        self.client = place.client()
        self.rng = random.Random(seed)
        self.works: list[Work] = []
        self.workers: list[Running] = []
        self.in_a_call = 0

    def begin(self) -> None:
        """Workers, then sessions with a first job each."""
        self.workers = [self.platform.worker() for _ in range(WORKERS)]
        beta = self.client.beta
        agent = beta.agents.create(
            name="chaos", model="scripted-demo", tools=[{"type": "agent_toolset_20260401"}]
        )
        environment = beta.environments.create(name="chaos")
        for _ in range(SESSIONS):
            session = beta.sessions.create(agent=agent.id, environment_id=environment.id)
            self.works.append(Work(session.id))
            self.next_job(self.works[-1])

    def say(self, work: Work, text: str) -> None:
        """Send a message."""
        content = [{"type": "text", "text": text}]
        self.client.beta.sessions.events.send(
            work.session_id, events=[{"type": "user.message", "content": content}]
        )

    def next_job(self, work: Work) -> None:
        """Give a session its next job."""
        work.jobs.append(f"{work.session_id[-6:]}x{len(work.jobs)}")
        self.say(work, f"job {work.jobs[-1]}")

    def keep_busy(self) -> None:
        """Whoever is idle gets another job."""
        idle = self.idle()
        for work in self.works:
            if work.session_id in idle:
                self.next_job(work)

    def idle(self) -> set[str]:
        """Sessions that wait for a message."""
        return {s.id for s in self.client.beta.sessions.list(limit=100) if s.status == "idle"}

    def kill_one(self) -> None:
        """SIGKILL a worker that is ready; remember whether it was inside a tool call."""
        killed = self.rng.choice([worker for worker in self.workers if worker.ready])
        driven = [work for work in self.works if str(killed.pid) in self.owner(work).split(":")]
        killed.kill()
        self.workers.remove(killed)
        self.in_a_call += any(self.open_calls(work) for work in driven)
        self.workers.append(self.platform.worker())

    def owner(self, work: Work) -> str:
        """Who holds the session's lease, as `/why` says."""
        why = self.why(work.session_id)
        return str(why["lease"]["owner"] if why["lease"] else "")

    def why(self, session_id: str) -> dict[str, Any]:
        """Why it is in its state."""
        return self.client.get(f"/v1/sessions/{session_id}/why", cast_to=dict[str, Any])

    def open_calls(self, work: Work) -> set[str]:
        """Calls without a result."""
        events = self.events(work)
        uses = {event["id"] for event in events if event["type"] == "agent.tool_use"}
        return uses - {e["tool_use_id"] for e in events if e["type"] == "agent.tool_result"}

    def events(self, work: Work) -> list[dict[str, Any]]:
        """The whole list of a session."""
        listed = self.client.beta.sessions.events.list(work.session_id, limit=1000)
        return [event.to_dict(mode="json") for event in listed]

    def settle(self) -> None:
        """Wait until every session is idle."""
        until = time.monotonic() + END_SECONDS
        everyone = {work.session_id for work in self.works}
        while missing := everyone - self.idle():
            if time.monotonic() > until:
                whys = [self.why(session_id) for session_id in missing]
                raise AssertionError(f"not idle after {END_SECONDS:g} s: {json.dumps(whys)}")
            time.sleep(0.2)


def check(chaos: Chaos, work: Work) -> None:
    """Nothing lost, nothing twice, and the session says that it is done."""
    events = chaos.events(work)
    uses = [event["id"] for event in events if event["type"] == "agent.tool_use"]
    results = Counter(e["tool_use_id"] for e in events if e["type"] == "agent.tool_result")
    assert results == Counter(uses), f"{work.session_id}: uses and results do not pair up"
    errors = [event["error"] for event in events if event["type"] == "session.error"]
    assert not errors, f"{work.session_id}: {errors}"
    bad = [e for e in events if e["type"] == "agent.tool_result" and e.get("is_error")]
    assert not bad, f"{work.session_id}: {bad}"
    messages = [event for event in events if event["type"] == "user.message"]
    assert len(messages) == len(work.jobs) + 1
    assert all(message["processed_at"] for message in messages)
    said = [e["content"][0]["text"] for e in events if e["type"] == "agent.message"]
    assert said == [*(f"done {job}" for job in work.jobs), "reported"]
    report = next(e for e in reversed(events) if e["type"] == "agent.tool_result")
    notes = report["content"][0]["text"].split()
    assert notes == work.tokens, f"{work.session_id}: {Counter(notes) - Counter(work.tokens)}"
    assert events[-1]["type"] == "session.status_idle"
    assert events[-1]["stop_reason"]["type"] == "end_turn"


def test_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    seed = int(os.environ.get("SEED") or secrets.randbelow(1_000_000))
    print(f"\nseed {seed}: repeat with `make chaos SEED={seed}`")
    script = tmp_path / "scenario.json"
    script.write_text(json.dumps(scenario()))
    with quick_platform(scripted_file=str(script)) as place:
        place.serve("--workers", "0")
        chaos = Chaos(place, seed)
        chaos.begin()
        began = time.monotonic()
        for _ in range(KILLS):
            until = time.monotonic() + chaos.rng.uniform(0.6, 1.8)
            while time.monotonic() < until or sum(worker.ready for worker in chaos.workers) < READY:
                chaos.keep_busy()
                time.sleep(0.1)
            chaos.kill_one()
        chaos.settle()
        for work in chaos.works:
            chaos.say(work, "report")
        chaos.settle()
        for work in chaos.works:
            check(chaos, work)
        calls = sum(len(work.tokens) for work in chaos.works)
        spent = time.monotonic() - began
        print(
            f"{KILLS} kills, {chaos.in_a_call} inside a tool call; {SESSIONS} sessions, "
            f"{calls} commands, each once; {spent:.0f} s"
        )
        assert chaos.in_a_call >= KILLS_IN_A_CALL
