"""Processes are told to stop, one by one, while sessions run: nobody who watches sees an error.

The longest pause between two events of a session is printed beside that of a run in peace; how long
it is depends on the machine, so that no time is asserted.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import psycopg
import pytest

from tests.support.places import memory_dir
from tests.support.processes import Platform, Running, eventually, platform_in
from tests.support.sandboxes import needed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150), pytest.mark.xdist_group("processes")]

SESSIONS, STEPS = 3, 12
STEP = {"tools": [{"name": "bash", "input": {"command": "echo step >> steps; wc -l < steps"}}]}
SCENARIO = {
    "turns": [STEP] * STEPS + [{"text": "All steps are done."}],
    "delays": {"first_seconds": 0.3},
}
GO: Any = {"type": "user.message", "content": [{"type": "text", "text": "Go."}]}


@pytest.fixture
def place(database_url: str, tmp_path: Path) -> Iterator[Platform]:
    """On a database of its own, so that servers can come and go."""
    asyncio.run(needed())
    script = tmp_path / "scenario.json"
    script.write_text(json.dumps(SCENARIO))
    settings = {"DATABASE_URL": database_url, "SCRIPTED_FILE": str(script), "LOG_LEVEL": "info"}
    with (
        memory_dir() as folder,
        platform_in(
            folder / "data", {f"AGENTSTEAD_{name}": text for name, text in settings.items()}
        ) as made,
    ):
        yield made


class Server:
    """One API server."""

    def __init__(self, place: Platform) -> None:
        self.process = place.start("serve", "--port", "0", "--workers", "0")
        eventually(lambda: "is ready at" in self.process.said[0], "a server's readiness")
        self.url = self.process.said[0].split("is ready at ")[1].split()[0]


class Watcher:
    """Follows a session to its end over whichever server is there, as a client behind a balancer."""

    def __init__(self, servers: list[Server], key: str, session_id: str) -> None:
        self.servers = servers
        self.key = key
        self.session_id = session_id
        self.seen: list[str] = []
        self.times: list[float] = []
        self.streams = 0
        self.errors: list[Exception] = []

    async def watch(self) -> None:
        """Until the turn is over."""
        while not await self.followed():
            pass

    async def followed(self) -> bool:
        """One stream to its end; whether the turn is over. It goes on where the last one ended."""
        server = self.servers[-1]
        self.streams += 1
        headers = {"last-event-id": self.seen[-1]} if self.seen else {}
        client = anthropic.AsyncAnthropic(base_url=server.url, api_key=self.key, max_retries=0)
        try:
            async with (
                client,
                await client.beta.sessions.events.stream(
                    self.session_id, extra_headers=headers
                ) as stream,
            ):
                async for event in stream:
                    if getattr(event, "processed_at", None) is not None:
                        self.seen.append(event.id)
                        self.times.append(time.monotonic())
                    if event.type == "session.status_idle":
                        return True
        except (anthropic.APIError, httpx2.HTTPError) as error:
            self.errors.append(error)
        return False

    @property
    def pause(self) -> float:
        """The longest time without an event."""
        return max(later - at for at, later in zip(self.times, self.times[1:], strict=False))


async def run(place: Platform, servers: list[Server], restart: Any = None) -> list[Watcher]:
    """Sessions to their end, with whatever happens meanwhile."""
    async with anthropic.AsyncAnthropic(base_url=servers[-1].url, api_key=place.key) as client:
        beta = client.beta
        agent = await beta.agents.create(
            name="Stepper", model="scripted-demo", tools=[{"type": "agent_toolset_20260401"}]
        )
        environment = await beta.environments.create(name="plain")
        sessions = [
            await beta.sessions.create(
                agent=agent.id, environment_id=environment.id, initial_events=[GO]
            )
            for _ in range(SESSIONS)
        ]
    watchers = [Watcher(servers, place.key, session.id) for session in sessions]
    watching = asyncio.gather(*(watcher.watch() for watcher in watchers))
    if restart is not None:
        await asyncio.to_thread(restart)
    async with asyncio.timeout(60):
        await watching
    return watchers


def check(place: Platform, server: Server, watchers: list[Watcher]) -> None:
    """Everything was seen once and in order, and every call was made once."""
    client = anthropic.Anthropic(base_url=server.url, api_key=place.key)
    for watcher in watchers:
        assert watcher.errors == []
        events = list(client.beta.sessions.events.list(watcher.session_id))
        ids = [event.id for event in events]
        # a turn's first events may be there before its first stream is
        assert watcher.seen == ids[len(ids) - len(watcher.seen) :]
        kinds = Counter(event.type for event in events)
        assert kinds["agent.tool_use"] == kinds["agent.tool_result"] == STEPS
        assert kinds["session.error"] == 0
        results = [event for event in events if event.type == "agent.tool_result"]
        lines = [int(result.content[0].text) for result in results]  # type: ignore[index,union-attr]
        assert lines == list(range(1, STEPS + 1))
    client.close()


def busiest(database_url: str, workers: list[Running]) -> Running:
    """The worker that has most of the sessions."""
    asked = (
        "select split_part(lease_owner, ':', 2)::int, count(*) from sessions"
        " where lease_owner is not null group by 1 order by 2 desc"
    )

    def found() -> Running | None:
        with psycopg.connect(database_url) as connection:
            pids = [row[0] for row in connection.execute(asked).fetchall()]
        return next((one for pid in pids for one in workers if one.pid == pid), None)

    process: Running = eventually(found, "a claim")
    return process


def test_processes_go_one_by_one_while_sessions_run(place: Platform, database_url: str) -> None:
    servers = [Server(place), Server(place)]
    workers = [place.worker() for _ in range(3)]
    eventually(lambda: all(worker.ready for worker in workers), "the workers", 60)
    stopped: list[tuple[Running, float, int]] = []

    def stop(process: Running) -> None:
        """SIGTERM, and how long it took to go."""
        began = time.monotonic()
        code, _, _ = process.stop()
        stopped.append((process, time.monotonic() - began, code))

    def restart() -> None:
        """Those that have the sessions first; the third worker takes what they leave."""
        for _ in range(2):
            worker = busiest(database_url, workers)
            workers.remove(worker)
            stop(worker)
        stop(servers.pop().process)

    calm = asyncio.run(run(place, servers))
    check(place, servers[0], calm)
    rolled = asyncio.run(run(place, servers, restart))
    check(place, servers[0], rolled)
    assert [code for _, _, code in stopped] == [0, 0, 0]
    assert "leaves a step's border" in stopped[0][0].said[1]
    assert max(watcher.streams for watcher in rolled) == 2
    pauses = [max(watcher.pause for watcher in each) for each in (calm, rolled)]
    text = (
        f"longest pause between two events: in peace {pauses[0]:.2f} s, while two workers and a"
        f" server went {pauses[1]:.2f} s; they took {[round(each[1], 2) for each in stopped]} s"
    )
    print(text)
