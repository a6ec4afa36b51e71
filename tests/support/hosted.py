"""A self-hosted environment for a test: an agent, keys, sessions, and what a worker would do by hand."""

import base64
import json
from dataclasses import dataclass, field
from typing import Any

from agentstead.resources import environment_keys
from tests.support.server import MODEL, Running

TOOLSET: Any = [{"type": "agent_toolset_20260401"}]
SHORT: dict[str, Any] = {
    "work_lease_min_seconds": 1,
    "work_lease_seconds": 3,
    "work_ack_seconds": 3.0,
    "work_requeue_first_seconds": 0.05,
}
"""Settings under which a lost worker is noticed within a test's patience."""


def says(text: str) -> Any:
    """A client's message."""
    return {"type": "user.message", "content": [{"type": "text", "text": text}]}


def token_of(secret: str) -> str:
    """The sessions token, by both alphabets of base64."""
    both = {base64.b64decode(secret), base64.urlsafe_b64decode(secret)}
    assert len(both) == 1
    token: str = json.loads(both.pop())["sessions_token"]
    return token


@dataclass
class Hosted:
    """One self-hosted environment of a server."""

    server: Running
    environment: Any
    agent: Any
    key: str
    key_id: str
    client: Any
    """With the API key."""
    sessions: list[Any] = field(default_factory=list)

    @property
    def work(self) -> Any:
        """The queue's routes, with the API key."""
        return self.client.beta.environments.work

    def bearer(self, token: str, **more: Any) -> Any:
        """The SDK with another credential."""
        return self.server.sdk(api_key=None, auth_token=token, **more)

    async def session(self, *texts: str, **more: Any) -> Any:
        """A session, with its first messages."""
        session = await self.client.beta.sessions.create(
            agent=self.agent.id, environment_id=self.environment.id, **more
        )
        self.sessions.append(session)
        for text in texts:
            await self.send(session, says(text))
        return session

    async def send(self, session: Any, *events: Any, client: Any = None) -> Any:
        """Send events."""
        client = client or self.client
        return await client.beta.sessions.events.send(session.id, events=list(events))

    async def poll(self, **more: Any) -> Any:
        """Poll with the API key."""
        return await self.work.poll(self.environment.id, **more)

    async def taken(self, **more: Any) -> Any:
        """An item, polled and acknowledged; its secret."""
        item = await self.poll(block_ms=999, **more)
        assert item is not None
        await self.work.ack(item.id, environment_id=self.environment.id)
        return item

    async def beat(self, item: Any, expected: str | None = "NO_HEARTBEAT", **more: Any) -> Any:
        """A heartbeat with the API key."""
        if expected is not None:
            more["expected_last_heartbeat"] = expected
        return await self.work.heartbeat(item.id, environment_id=self.environment.id, **more)

    async def stop(self, item: Any, **more: Any) -> Any:
        """Stop an item with the API key."""
        return await self.work.stop(item.id, environment_id=self.environment.id, **more)

    async def events(self, session: Any, *kinds: str) -> list[Any]:
        """The session's log, or what it has of these types."""
        page = await self.client.beta.sessions.events.list(session.id, limit=1000)
        return [one for one in page.data if not kinds or one.type in kinds]

    async def why(self, session: Any) -> Any:
        """`/why`."""
        answer = await self.server.http().get(f"/v1/sessions/{session.id}/why")
        return answer.json()


async def self_hosted(server: Running, **agent: Any) -> Hosted:
    """An environment with its key, and an agent."""
    client = server.sdk()
    environment = await client.beta.environments.create(name="mine", config={"type": "self_hosted"})
    made = await client.beta.agents.create(
        **{"name": "Fixer", "model": MODEL, "tools": TOOLSET, **agent}
    )
    row, key = await environment_keys.create(server.database, environment.id, "test")
    return Hosted(server, environment, made, key, row["id"], client)
