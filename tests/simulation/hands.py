"""A self-hosted worker: runs the calls that the platform leaves to it, well and badly.

It reads the log like the official worker: a call that asks is run once its confirmation is there,
also when that is still queued; what has a result is not run again. It may die in the middle and be
followed by one that begins anew, answer late, or twice.
"""

import asyncio
from dataclasses import dataclass, field

from agentstead.harness.place import HANDS
from agentstead.wire.events.stored import Event
from tests.simulation import door

PEEK_SECONDS = 0.3
RESULTS = ("user.tool_result", "agent.tool_result")


@dataclass(frozen=True)
class Skill:
    """How well it works."""

    seconds: float = 1.0
    """Up to so long for a call."""
    dies: float = 0.0
    """How likely it dies before it has sent a result; the next one comes later."""
    away_seconds: float = 8.0
    """Up to so long until the next one comes."""
    twice: float = 0.0
    """How likely a result is sent again, with other words."""
    failed: float = 0.0
    """How likely a call fails."""


@dataclass
class Hands:
    """The worker of one session."""

    client: object
    skill: Skill
    sent: set[str] = field(default_factory=set)
    """Calls whose result was taken: it does not send them again, unless it has died since."""

    async def run(self) -> None:
        """Until the world ends."""
        while True:
            for event in self.open_calls():
                await self.serve(event)
            await asyncio.sleep(PEEK_SECONDS)

    @property
    def rng(self):
        return self.client.world.rng

    def open_calls(self) -> list[Event]:
        """Calls that may be run now and have no result, as far as the log and the inbox say."""
        session = self.client.session
        said = [*session.events, *session.inbox]
        done = {one.payload["tool_use_id"] for one in said if one.type in RESULTS}
        allowed = {
            one.payload["tool_use_id"]
            for one in said
            if one.type == "user.tool_confirmation" and one.payload["result"] == "allow"
        }
        return [
            event
            for event in session.events
            if event.type == "agent.tool_use"
            and event.payload["name"] in HANDS
            and event.id not in done | self.sent
            and (event.payload["evaluated_permission"] == "allow" or event.id in allowed)
        ]

    async def serve(self, event: Event) -> None:
        """Run one call and send its result."""
        await self.client.pause(self.skill.seconds)
        if self.rng.random() < self.skill.dies and not self.client.world.calm:
            await self.client.pause(self.skill.away_seconds)
            self.sent.clear()
            return
        await self.send(event, f"{event.payload['name']} {event.payload['input'].get('n')}")
        if self.rng.random() < self.skill.twice:
            await self.client.pause(1.0)
            await self.send(event, "and again")

    async def send(self, event: Event, text: str) -> None:
        """A result, through the door."""
        client = self.client
        primary = client.session.row.primary_thread_id
        made = client.incoming(
            "user.tool_result",
            None if event.thread_id == primary else event.thread_id,
            received=True,
            tool_use_id=event.id,
            content=[{"type": "text", "text": text}],
            is_error=self.rng.random() < self.skill.failed,
        )
        client.world.say(client, made.type, event.id[-6:])
        if await client.send(door.answer(made, event.id), event.id):
            self.sent.add(event.id)
