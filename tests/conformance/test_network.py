"""What a session's sandbox reaches is what its environment said when the session was made."""

from typing import Any

import pytest

from agentstead.sandbox.network import Egress
from tests.conformance.requirements import requirement
from tests.support.egress import origin
from tests.support.sandboxes import needed, real_sandboxes
from tests.support.server import MODEL, serving

NAMES = {"a.test": "127.0.0.1", "b.test": "127.0.0.1"}


async def results(client: Any, session_id: str) -> list[str]:
    """What the tools of the session's first turn gave."""
    found = []
    async with await client.beta.sessions.events.stream(session_id) as stream:
        async for event in stream:
            if event.type == "agent.tool_result":
                found.append(event.content[0].text)
            elif event.type == "session.status_idle":
                break
    return found


@requirement("environments:network")
@pytest.mark.timeout(60)
async def test_a_session_keeps_the_network_it_was_made_with(database_url: str) -> None:
    await needed()
    async with origin() as shop:
        script: Any = {
            "turns": [
                {"tools": [{"name": "bash", "input": {"command": f"curl -sS http://{name}:{shop.port}/"}}]}
                for name in NAMES
            ]
            + [{"text": "Done."}]
        }  # fmt: skip
        egress = Egress(openings=(f"127.0.0.1:{shop.port}",), names=NAMES)
        async with (
            real_sandboxes(egress=egress) as hands,
            serving(database_url, workers=1, script=script, sandbox=hands) as server,
        ):
            client = server.sdk()
            toolset: Any = [{"type": "agent_toolset_20260401"}]
            agent = await client.beta.agents.create(name="a", model=MODEL, tools=toolset)
            network: Any = {"type": "limited", "allowed_hosts": ["a.test"]}
            environment = await client.beta.environments.create(
                name="e", config={"type": "cloud", "networking": network}
            )
            given = {"agent": agent.id, "environment_id": environment.id}
            before = await client.beta.sessions.create(**given)
            await client.beta.environments.update(
                environment.id,
                config={"type": "cloud", "networking": {"type": "limited", "allowed_hosts": ["b.test"]}},
            )  # fmt: skip
            after = await client.beta.sessions.create(**given)
            say: Any = {"type": "user.message", "content": [{"type": "text", "text": "go"}]}
            for session, allowed in ((before, "a.test"), (after, "b.test")):
                await client.beta.sessions.events.send(session.id, events=[say])
                said = dict(zip(NAMES, await results(client, session.id), strict=True))
                assert said.pop(allowed) == "hello"
                ((other, refused),) = said.items()
                assert (
                    f"{other} is not an allowed host. Allowed hosts of this environment: {allowed}."
                    in refused
                )
