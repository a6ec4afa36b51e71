"""A server that is killed in the middle of a checkout, and after one."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.git_hosts import NAME, GitHost, git_host
from tests.support.processes import Platform, eventually, quick_platform
from tests.support.sandboxes import needed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120), pytest.mark.xdist_group("processes")]

COMMANDS = {
    "change": "cd /workspace/tools && cat README.md && echo mine >> README.md",
    "look": "cd /workspace/tools && cat README.md && git status -s",
}
SCENARIO = {
    "scripts": [
        {
            "when": {"contains": said},
            "turns": [
                {"tools": [{"name": "bash", "input": {"command": command}}]},
                {"text": "{{results}}"},
            ],
        }
        for said, command in COMMANDS.items()
    ]
}


@pytest.fixture
def host(tmp_path: Path) -> Iterator[GitHost]:
    with git_host(tmp_path) as found:
        found.make("tools", {"README.md": "theirs\n"})
        yield found


@pytest.fixture
def place(host: GitHost, tmp_path: Path) -> Iterator[Platform]:
    asyncio.run(needed())
    script = tmp_path / "scenario.json"
    script.write_text(json.dumps(SCENARIO))
    with quick_platform(
        scripted_file=str(script),
        repository_hosts=json.dumps([host.netloc]),
        repository_private_networks=json.dumps(["127.0.0.1"]),
        repository_ca_file=str(tmp_path / "authority.pem"),
        egress_names=json.dumps({NAME: "127.0.0.1"}),
    ) as made:
        made.serve()
        yield made


def again(place: Platform) -> None:
    """Kill the server, and start another one."""
    assert place.server is not None
    place.server.kill()
    (place.data_dir / "serve.json").unlink(missing_ok=True)
    place.serve()


def send(place: Platform, session_id: str, text: str) -> None:
    content: list[Any] = [{"type": "text", "text": text}]
    event: Any = {"type": "user.message", "content": content}
    place.client().beta.sessions.events.send(session_id, events=[event])


def answers(place: Platform, session_id: str, number: int) -> list[str]:
    """What the agent has said, once it has said so much and rests."""
    beta = place.client().beta

    def found() -> list[str]:
        events = list(beta.sessions.events.list(session_id))
        said = [one.content[0].text for one in events if one.type == "agent.message"]
        return said if len(said) >= number and events[-1].type == "session.status_idle" else []

    result: list[str] = eventually(found, f"answer {number}")
    return result


def test_a_checkout_is_made_again_and_what_it_became_stays(place: Platform, host: GitHost) -> None:
    beta = place.client().beta
    agent = beta.agents.create(
        name="a", model="scripted-demo", tools=[{"type": "agent_toolset_20260401"}]
    )
    session = beta.sessions.create(
        agent=agent.id,
        environment_id=beta.environments.create(name="e").id,
        resources=[{"type": "github_repository", "url": host.url("tools")}],
    )
    host.opened.clear()
    send(place, session.id, "change")
    assert host.reached.wait(20)
    half = place.data_dir / "checkouts" / session.id
    assert half.is_dir()
    again(place)
    host.opened.set()
    assert answers(place, session.id, 1) == ["theirs"]
    eventually(lambda: not half.exists(), "the end of what was half done")
    asked = len(host.requests)
    again(place)
    send(place, session.id, "look")
    assert answers(place, session.id, 2)[1] == "theirs\nmine\n M README.md"
    assert len(host.requests) == asked
    events = list(place.client().beta.sessions.events.list(session.id))
    assert [one for one in events if one.type == "session.error"] == []
