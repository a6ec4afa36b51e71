"""Files with the official Python SDKs that people have, old and new."""

import asyncio
from typing import Any

import pytest

from agentstead.clock import SystemClock
from agentstead.testing.fake_sandbox import Behaviour, FakeSandbox
from tests.conformance.requirements import requirement
from tests.conformance.sdks import places
from tests.conformance.test_sdk_versions import scenario
from tests.support.server import MODEL, serving

TURNS = {"turns": [{"tools": [{"name": "bash", "input": {"command": "x"}}]}, {"text": "Done."}]}


def driven(unnamed: str) -> dict[str, Any]:
    """What a namespace sees; old versions name a stream without a name themselves."""
    return {
        "made": [
            ["one.txt", "text/plain", 6, False],
            ["two.csv", "text/csv", 6, False],
            [unnamed, "application/pdf", 8, False],
        ],
        "metadata": True,
        "paged": [unnamed, "two.csv", "one.txt"],
        "download": "file_not_downloadable",
        "deleted": ["file_deleted"] * 3,
        "gone": "not_found_error",
    }


@requirement("files:versions")
@pytest.mark.timeout(150)  # the first time a place is made for each
@pytest.mark.parametrize("version", [places.INSTALLED, *places.PYTHON])
async def test_files_with_this_sdk(database_url: str, version: str) -> None:
    command = await asyncio.to_thread(places.python, version, "files")
    hands = FakeSandbox(SystemClock(), lambda _: Behaviour(writes={"report.md": b"# Report\n"}))
    async with serving(database_url, workers=1, script=TURNS, sandbox=hands) as server:
        client: Any = server.sdk()
        toolset: Any = [{"type": "agent_toolset_20260401"}]
        agent = await client.beta.agents.create(name="a", model=MODEL, tools=toolset)
        place = await client.beta.environments.create(name="e")
        session = await client.beta.sessions.create(agent=agent.id, environment_id=place.id)
        say: Any = {"type": "user.message", "content": [{"type": "text", "text": "go"}]}
        async with await client.beta.sessions.events.stream(session.id) as stream:
            await client.beta.sessions.events.send(session.id, events=[say])
            async for event in stream:
                if event.type == "session.status_idle":
                    break
        seen = await scenario(*command, server.url, server.key, session.id)
    assert seen.pop("sdk") == version
    expected = driven("unnamed.pdf" if version == places.INSTALLED else "upload")
    assert seen.pop("beta") == expected
    assert seen.pop("ga") == (None if version == "0.121.0" else expected)
    assert seen == {"scoped": [["report.md", True]], "body": "# Report\n"}
