"""The whole path for real: SDK, server, database, worker, sandbox; only the words are scripted."""

from typing import Any

from tests.conformance.requirements import requirement
from tests.support.sandboxes import needed, real_sandboxes
from tests.support.server import MODEL, serving

TOOLSET: Any = [{"type": "agent_toolset_20260401"}]
WORK = {
    "turns": [
        {"text": "Counting.", "tools": [{"name": "bash", "input": {"command": "echo $((6*7)) | tee n.txt"}}]},
        {"tools": [{"name": "edit", "input": {"file_path": "/workspace/n.txt", "old_string": "42", "new_string": "43"}},
                   {"name": "write", "input": {"file_path": "/workspace/r.md", "content": "# Report\n"}}]},
        {"tools": [{"name": "bash", "input": {"command": "cat n.txt r.md"}}, {"name": "glob", "input": {"pattern": "*.md"}}]},
        {"text": "It says:\n{{results}}"},
    ]
}  # fmt: skip


@requirement("turns:real-hands")
async def test_an_agent_works_in_a_real_sandbox(database_url: str) -> None:
    await needed()
    async with (
        real_sandboxes() as hands,
        serving(database_url, workers=1, script=WORK, sandbox=hands) as server,
    ):
        client = server.sdk()
        agent = await client.beta.agents.create(name="a", model=MODEL, tools=TOOLSET)
        environment = await client.beta.environments.create(name="e")
        session = await client.beta.sessions.create(agent=agent.id, environment_id=environment.id)
        say: Any = {"type": "user.message", "content": [{"type": "text", "text": "go"}]}
        async with await client.beta.sessions.events.stream(session.id) as stream:
            await client.beta.sessions.events.send(session.id, events=[say])
            events = []
            async for event in stream:
                events.append(event)
                if event.type == "session.status_idle":
                    break
        results = [one for one in events if one.type == "agent.tool_result"]
        assert [one.is_error for one in results] == [False] * 5
        assert results[0].content[0].text.strip() == "42"
        last = [one for one in events if one.type == "agent.message"][-1].content[0].text
        assert "43" in last
        assert "# Report" in last
        assert "r.md" in last
        await client.beta.sessions.archive(session.id)
