"""The client of a chaos run: makes sessions, gives them job after job, and keeps account of it.

A message whose sending was cut off is looked for before it is sent again, as a careful client does.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from agentstead.chaos.jobs import SERVER, Job, job
from agentstead.chaos.remote import Json, Refused, Remote, Unanswered
from agentstead.clock import Clock

LOOK_SECONDS = 0.25
MODEL = "claude-sonnet-5-5"
TAIL = 40
"""Events that are looked at for the end of a job."""
TAIL_MAX = 1000
SESSIONS_MAX = 100
WORKING = ("running", "rescheduling")


@dataclass
class Account:
    """A session and what it was asked to do."""

    name: str
    session_id: str
    jobs: list[Job] = field(default_factory=list)
    """Sent, or perhaps sent, in this order; the last one may be under way."""
    state: str = "idle"
    """idle: wants a job | sending: not known whether it came | busy: has one | ended: takes no more."""

    @property
    def busy(self) -> bool:
        """Whether it has work to do."""
        return self.state in ("busy", "sending")


class Driver:
    """Keeps sessions busy until told to stop."""

    def __init__(
        self, remote: Remote, seed: int, clock: Clock, rests: Callable[[str], None]
    ) -> None:
        self.remote = remote
        self.seed = seed
        self.clock = clock
        self.rests = rests
        """Told of each session that has done its job."""
        self.accounts: dict[str, Account] = {}
        self.refused: list[str] = []
        """Answers that blame the client, which did nothing wrong."""
        self.unanswered = 0
        self.giving = True
        """Whether idle sessions get another job."""

    async def begin(self, number: int, notes_url: str) -> None:
        """Make an agent, an environment and this many sessions."""
        allow = {"enabled": True, "permission_policy": {"type": "always_allow"}}
        agent = await self.remote.ask("POST", "/v1/agents", {
            "name": "chaos",
            "model": MODEL,
            "mcp_servers": [{"type": "url", "name": SERVER, "url": notes_url}],
            "tools": [
                {"type": "agent_toolset_20260401"},
                {"type": "mcp_toolset", "mcp_server_name": SERVER, "default_config": allow},
            ],
        })  # fmt: skip
        environment = await self.remote.ask("POST", "/v1/environments", {"name": "chaos"})
        wanted = {"agent": agent["id"], "environment_id": environment["id"]}
        for count in range(number):
            made = await self.remote.ask("POST", "/v1/sessions", wanted)
            self.accounts[f"s{count}"] = Account(f"s{count}", made["id"])

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                page = await self.remote.get("/v1/sessions", limit=SESSIONS_MAX)
                states = {one["id"]: one["status"] for one in page["data"]}
                for account in self.accounts.values():
                    await self.look_after(account, states.get(account.session_id, "missing"))
            except Unanswered:
                self.unanswered += 1
            await self.clock.sleep(LOOK_SECONDS)

    async def look_after(self, account: Account, status: str) -> None:
        """The next thing to do for a session. Raises Unanswered."""
        try:
            if account.state == "idle" and self.giving:
                account.jobs.append(job(self.seed, f"{account.name}x{len(account.jobs)}"))
                account.state = "sending"
                await self.send(account)
            elif account.state == "sending":
                await self.send_again(account)
            elif account.state == "busy" and status not in WORKING:
                await self.look(account)
        except Refused as error:
            self.refused.append(error.message)
            account.state = "ended"

    async def send(self, account: Account) -> None:
        """Send the last job."""
        text = {"type": "text", "text": account.jobs[-1].message}
        body = {"events": [{"type": "user.message", "content": [text]}]}
        await self.remote.ask("POST", f"/v1/sessions/{account.session_id}/events", body)
        account.state = "busy"

    async def send_again(self, account: Account) -> None:
        """Send the last job unless it has come."""
        for event in await self.tail(account, TAIL_MAX):
            if event["type"] == "user.message" and said(event) == account.jobs[-1].message:
                account.state = "busy"
                return
        await self.send(account)

    async def look(self, account: Account) -> None:
        """See whether the last job is over."""
        for event in await self.tail(account):
            if event["type"] == "user.message" and said(event) == account.jobs[-1].message:
                return
            if event["type"] == "session.status_idle":
                account.state = "idle"
                self.rests(account.name)
                return
            if event["type"] in ("session.status_terminated", "session.deleted"):
                account.state = "ended"
                return

    async def tail(self, account: Account, limit: int = TAIL) -> list[Json]:
        """The latest events, newest first."""
        path = f"/v1/sessions/{account.session_id}/events"
        page = await self.remote.get(path, order="desc", limit=limit)
        return list(page["data"])

    async def whys(self) -> dict[str, Mapping[str, Any]]:
        """Name → `/why` of every session that has work; those that can be had."""
        found: dict[str, Mapping[str, Any]] = {}

        async def one(account: Account) -> None:
            with suppress(Unanswered, Refused):
                path = f"/v1/sessions/{account.session_id}/why"
                found[account.name] = await self.remote.get(path)

        await asyncio.gather(*(one(each) for each in self.busy()))
        return found

    def busy(self) -> list[Account]:
        """Those with work to do."""
        return [account for account in self.accounts.values() if account.busy]


def said(event: Mapping[str, Any]) -> str:
    """The words of a message."""
    return "\n".join(block.get("text", "") for block in event.get("content", ()))
