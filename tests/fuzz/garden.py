"""Real things for the fuzz to meet: without their ids nearly every request would be a 404.

Promises: a garden has one of each kind in each state that matters; `season` puts their ids where a
generated request names such a thing, most of the time.
"""

import random
import time
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.support.server import MODEL

SCRIPT: dict[str, Any] = {
    "scripts": [
        {"when": {"contains": "call"}, "turns": [
            {"text": "Looking.", "tools": [{"name": "lookup", "input": {}},
                                           {"name": "bash", "input": {"command": "ls"}}]},
            {"text": "Done."}]},
    ],
    "otherwise": "Nothing to do.",
}  # fmt: skip
TOOLS: list[Any] = [
    {"type": "agent_toolset_20260401",
     "configs": [{"name": "bash", "permission_policy": {"type": "always_ask"}}]},
    {"type": "custom", "name": "lookup", "description": "d", "input_schema": {"type": "object"}},
]  # fmt: skip
WAIT_SECONDS = 10.0
SHARE = 0.85
"""How often a real id takes the place of a generated one."""


@dataclass
class Garden:
    """What there is, by the name under which requests ask for it."""

    http: httpx2.Client
    ids: dict[str, list[str]] = field(default_factory=dict)
    threads: dict[str, str] = field(default_factory=dict)
    """Session → its primary thread."""
    calls: list[str] = field(default_factory=list)
    cursors: list[str] = field(default_factory=list)

    def post(self, path: str, body: Any = None) -> Any:
        """A request that must succeed."""
        answer = self.http.post(path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def keep(self, name: str, thing: Any) -> Any:
        """Remember it."""
        self.ids.setdefault(name, []).append(thing["id"])
        return thing

    def agent(self) -> Any:
        """One more agent."""
        return self.keep("agent_id", self.post("/v1/agents", agent_body()))

    def environment(self, **config: Any) -> Any:
        """One more environment."""
        body = {"name": "e", **({"config": config} if config else {})}
        return self.keep("environment_id", self.post("/v1/environments", body))

    def session(self, agent: Any, environment: Any, **more: Any) -> Any:
        """One more session."""
        body = {"agent": agent["id"], "environment_id": environment["id"], **more}
        made = self.keep("session_id", self.post("/v1/sessions", body))
        page = self.http.get(f"/v1/sessions/{made['id']}/threads").json()
        self.threads[made["id"]] = page["data"][0]["id"]
        return made

    def grow(self) -> "Garden":
        """Everything once."""
        agent, environment = self.agent(), self.environment()
        old = self.agent()
        self.post(f"/v1/agents/{old['id']}/archive")
        self.environment(type="self_hosted")
        closed = self.environment(type="cloud", networking={"type": "limited"})
        self.post(f"/v1/environments/{closed['id']}/archive")
        self.session(agent, environment, title="idle")
        self.session(agent, environment, title="waits", initial_events=[says("call")])
        ended = self.session(agent, environment, title="ended", metadata={"a": "b"})
        self.post(f"/v1/sessions/{ended['id']}/archive")
        self.ids["model_id"] = [MODEL]
        self.wait()
        for path in ("agents", "sessions", f"sessions/{self.ids['session_id'][1]}/events"):
            self.cursors.append(self.http.get(f"/v1/{path}?limit=1").json()["next_page"])
        self.ids["thread_id"] = list(self.threads.values())
        return self

    def wait(self) -> None:
        """Until the session that waits does so."""
        path = f"/v1/sessions/{self.ids['session_id'][1]}/events"
        until = time.monotonic() + WAIT_SECONDS
        while True:
            events = self.http.get(path).json()["data"]
            if events[-1]["type"] == "session.status_idle":
                self.calls = [one["id"] for one in events if one["type"].endswith("tool_use")]
                return
            assert time.monotonic() < until, events
            time.sleep(0.01)

    def queue(self) -> None:
        """A self-hosted environment whose queue has an item."""
        place = self.environment(type="self_hosted")
        self.session(self.agent(), place, initial_events=[says("call")])
        for item in self.http.get(f"/v1/environments/{place['id']}/work").json()["data"]:
            self.keep("work_id", item)

    def replant(self) -> None:
        """What a request may have ended, anew: one of each."""
        self.session(self.agent(), self.environment())
        self.ids["thread_id"] = list(self.threads.values())


def agent_body() -> dict[str, Any]:
    """An agent with tools that ask and tools of the client."""
    return {"name": "a", "model": MODEL, "tools": TOOLS, "metadata": {"a": "b"}}


def says(text: str) -> dict[str, Any]:
    """A message."""
    return {"type": "user.message", "content": [{"type": "text", "text": text}]}


def season(garden: Garden, chance: random.Random, path: dict[str, Any]) -> dict[str, Any]:
    """The path's ids, most of them real; a thread is its session's."""
    found = dict(path)
    for name in path:
        if garden.ids.get(name) and chance.random() < SHARE:
            # Half of the time the newest, which nothing has ended yet.
            newest = chance.random() < 0.5
            found[name] = garden.ids[name][-1] if newest else chance.choice(garden.ids[name][:8])
    if found.get("session_id") in garden.threads and "thread_id" in found:
        found["thread_id"] = garden.threads[found["session_id"]]
    return found


def season_query(garden: Garden, chance: random.Random, query: dict[str, Any]) -> dict[str, Any]:
    """Likewise the query: ids, cursors, sizes."""
    found = dict(query)
    for name in query:
        if chance.random() >= SHARE:
            continue
        if garden.ids.get(name):
            found[name] = chance.choice(garden.ids[name])
        elif name == "page":
            found[name] = chance.choice(garden.cursors)
        elif name == "limit":
            found[name] = str(chance.choice([0, 1, 2, 100, 101, 1000, 10**30]))
        elif name == "order":
            found[name] = chance.choice(["asc", "desc"])
    return found


def season_body(garden: Garden, chance: random.Random, value: Any, name: str = "") -> Any:
    """Likewise a body, all the way down."""
    if isinstance(value, list):
        return [season_body(garden, chance, each, name) for each in value]
    real = chance.random() < SHARE
    if isinstance(value, dict):
        if real and name == "agent" and "id" in value:
            value = {**value, "id": chance.choice(garden.ids["agent_id"]), "version": 1}
        return {key: season_body(garden, chance, each, str(key)) for key, each in value.items()}
    if not real or not isinstance(value, str):
        return value
    if name == "agent":
        return chance.choice(garden.ids["agent_id"])
    if name in ("tool_use_id", "custom_tool_use_id"):
        return chance.choice(garden.calls)
    if name == "session_thread_id":
        return chance.choice(garden.ids["thread_id"])
    if name == "model":
        return MODEL
    return chance.choice(garden.ids[name]) if name in garden.ids else value
