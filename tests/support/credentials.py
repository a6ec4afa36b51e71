"""A platform with a vault's variables, sandboxes that are real, and hosts that say everything back."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentstead.sandbox.bubblewrap import Bubblewrap
from agentstead.sandbox.network import Egress
from tests.support.egress import certificate
from tests.support.reflecting import Reflecting, reflecting
from tests.support.sandboxes import needed, real_sandboxes
from tests.support.server import MODEL, Running, serving

NAMES = {"api.test": "127.0.0.1", "other.test": "127.0.0.1"}
SCRIPT: Any = {
    "turns": [{"tools": [{"name": "bash", "input": {"command": "{{user}}"}}]}, {"text": "{{results}}"}]
}  # fmt: skip
"""Each message is a command; the model says what came of it."""
TOOLS: Any = [{"type": "agent_toolset_20260401"}]
API: dict[str, Any] = {"type": "limited", "allowed_hosts": ["api.test"]}


@dataclass
class Stage:
    """All of it."""

    server: Running
    client: Any
    hands: Bubblewrap
    tls: Reflecting
    plain: Reflecting

    async def vault(self, values: Mapping[str, str], **more: Any) -> Any:
        """A vault with these variables, for api.test unless said otherwise."""
        vault = await self.client.beta.vaults.create(display_name="v")
        for name, value in values.items():
            auth = {
                "type": "environment_variable", "secret_name": name, "secret_value": value,
                "networking": API, **more,
            }  # fmt: skip
            await self.client.beta.vaults.credentials.create(vault.id, auth=auth)
        return vault

    async def session(self, *vault_ids: str, networking: Any = None) -> Any:
        """A session that uses these vaults."""
        agent = await self.client.beta.agents.create(name="a", model=MODEL, tools=TOOLS)
        config: Any = {"type": "cloud", "networking": networking or {"type": "unrestricted"}}
        environment = await self.client.beta.environments.create(name="e", config=config)
        return await self.client.beta.sessions.create(
            agent=agent.id, environment_id=environment.id, vault_ids=list(vault_ids)
        )

    async def bash(self, session: Any, command: str) -> str:
        """What a command of this session prints."""
        found = ""
        events = self.client.beta.sessions.events
        say: Any = {"type": "user.message", "content": [{"type": "text", "text": command}]}
        async with await events.stream(session.id) as stream:
            await events.send(session.id, events=[say])
            async for event in stream:
                if event.type == "agent.tool_result":
                    found = event.content[0].text
                elif event.type == "session.status_idle":
                    break
        return found


@asynccontextmanager
async def staged(database_url: str, folder: Path, **settings: Any) -> AsyncIterator[Stage]:
    """It; the hosts are api.test and other.test, at two ports: one speaks TLS, the other does not."""
    await needed()
    tls, authority = certificate(folder, *NAMES)
    async with reflecting(tls) as secure, reflecting(None) as plain:
        egress = Egress(
            openings=(f"127.0.0.1:{secure.port}", f"127.0.0.1:{plain.port}"),
            names=NAMES,
            authorities=authority.read_text(),
        )
        async with (
            real_sandboxes(egress=egress) as hands,
            serving(database_url, workers=1, script=SCRIPT, sandbox=hands, **settings) as server,
        ):
            yield Stage(server, server.sdk(), hands, secure, plain)
