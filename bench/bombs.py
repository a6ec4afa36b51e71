"""A neighbour's `echo` while other sandboxes misbehave: a fork, a memory, a disk and an output bomb.

One platform as real processes, with the limits every environment has by default. The time of a call
is from its `agent.tool_use` to its `agent.tool_result` in the log, quiet first, then while the four
bombs run; the ratio of the two p95 is what counts. `/readyz` is asked all the while.
"""

import argparse
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
from tests.support.processes import Platform, platform

from bench.report import keep, line, milliseconds, percentile, title
from bench.served import call_seconds

ECHOES = 100
RATIO_MAX = 10.0
SETTLE_SECONDS = 3.0
"""From the start of the bombs to the first echo that counts."""
BOMBS = {
    "fork": "b() { b | b & }; b; sleep 20; echo over",
    "memory": (
        "for i in 1 2 3 4; do python3 -c 'x = [bytearray(64 << 20) for _ in range(1000)]' & done; wait"
    ),
    "disk": "for i in $(seq 100000); do head -c 50M /dev/zero > f$i || break; done; rm -f f*",
    "output": "cat /dev/zero",
}
ROUNDS = 50
"""A bomb that was ended goes off again, until the measurement is over."""


def scenario() -> dict[str, Any]:
    """What the model says: to `quiet` or `loud` a hundred echoes, to a bomb's name the bomb."""
    echo = {"tools": [{"name": "bash", "input": {"command": "echo"}}]}
    scripts = [{"when": {"contains": "echo"}, "turns": [echo] * ECHOES + [{"text": "done"}]}]
    for name, command in BOMBS.items():
        call = {"tools": [{"name": "bash", "input": {"command": command, "timeout_ms": 20_000}}]}
        scripts.append({"when": {"contains": name}, "turns": [call] * ROUNDS})
    return {"scripts": scripts}


class Bombed:
    """The platform with a neighbour and four bombs."""

    def __init__(self, place: Platform, only: list[str]) -> None:
        self.client = place.client()
        self.url = place.url
        self.bombs = only
        self.agent = self.client.beta.agents.create(
            name="bench", model="scripted-demo", tools=[{"type": "agent_toolset_20260401"}]
        )
        self.environment = self.client.beta.environments.create(name="bench")
        self.neighbour = self.session()

    def session(self) -> str:
        """A new one."""
        made = self.client.beta.sessions.create(
            agent=self.agent.id, environment_id=self.environment.id
        )
        return made.id

    def say(self, session_id: str, text: str) -> None:
        """A message of the user."""
        content = [{"type": "text", "text": text}]
        self.client.beta.sessions.events.send(
            session_id, events=[{"type": "user.message", "content": content}]
        )

    def echoes(self) -> list[float]:
        """Seconds of each of the neighbour's calls."""
        with self.client.beta.sessions.events.stream(self.neighbour) as stream:
            self.say(self.neighbour, "echo")
            spent = call_seconds(stream)
        assert len(spent) == ECHOES
        return spent

    @contextmanager
    def bombs_going_off(self) -> Iterator[dict[str, str]]:
        """They go on until the end of the block; their sessions by name."""
        sessions = {name: self.session() for name in self.bombs}
        for name, session_id in sessions.items():
            self.say(session_id, name)
        try:
            yield sessions
        finally:
            for session_id in sessions.values():
                self.client.beta.sessions.events.send(
                    session_id, events=[{"type": "user.interrupt"}]
                )
            for session_id in sessions.values():
                while self.client.beta.sessions.retrieve(session_id).status != "idle":
                    time.sleep(0.1)

    def said(self, session_id: str) -> list[str]:
        """What a bomb's calls gave so far: the last line of each."""
        events = self.client.beta.sessions.events.list(session_id, types=["agent.tool_result"])
        texts = [event.content[0].text for event in events if event.type == "agent.tool_result"]
        return [text.splitlines()[-1][-160:] for text in texts]


class Readiness:
    """Asks `/readyz` every quarter of a second."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.seconds: list[float] = []
        self.refused: list[str] = []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.ask)

    def ask(self) -> None:
        """Until the end."""
        with httpx2.Client(timeout=10) as http:
            while not self.over.wait(0.25):
                began = time.perf_counter()
                answer = http.get(f"{self.url}/readyz")
                self.seconds.append(time.perf_counter() - began)
                if answer.status_code != 200:
                    self.refused.append(answer.text)

    def __enter__(self) -> "Readiness":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()


def measure(only: list[str]) -> bool:
    """One run; whether it holds the bar."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "scenario.json")
        file.write_text(json.dumps(scenario()))
        with platform(scripted_file=str(file)) as place:
            place.serve()
            bombed = Bombed(place, only)
            bombed.echoes()  # starts the sandbox
            quiet = bombed.echoes()
            with bombed.bombs_going_off() as sessions, Readiness(place.url) as readiness:
                time.sleep(SETTLE_SECONDS)
                began = time.monotonic()
                loud = bombed.echoes()
                while time.monotonic() - began < SETTLE_SECONDS:
                    loud += bombed.echoes()
                said = {name: bombed.said(each) for name, each in sessions.items()}
    line("a neighbour's echo, quiet", milliseconds(quiet))
    line(f"… while {', '.join(only)} bombs run", milliseconds(loud))
    ratio = percentile(loud, 0.95) / percentile(quiet, 0.95)
    line("ratio of the p95", f"{ratio:.2f}")
    line(
        "/readyz meanwhile", f"{milliseconds(readiness.seconds)}, {len(readiness.refused)} refused"
    )
    for name, lines in said.items():
        line(f"  {name}", f"{len(lines)} calls ended; the last: {lines[-1] if lines else '-'}")
    keep("bombs", quiet_p95=percentile(quiet, 0.95), loud_p95=percentile(loud, 0.95), ratio=ratio)
    return ratio <= RATIO_MAX and not readiness.refused


def main() -> None:
    """Measure and print."""
    title("a neighbour's echo beside bombs (bar: 10 times its quiet p95, /readyz 200)")
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="*", default=list(BOMBS), choices=list(BOMBS))
    parser.add_argument("--check", action="store_true", help="Exit 1 when the bar is missed.")
    given, _ = parser.parse_known_args(sys.argv[1:])
    if not measure(given.only) and given.check:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
