"""`agentstead stop`: what it takes, and on a platform that runs."""

from typing import Any

import pytest

from agentstead.cli.stop import check, chosen
from agentstead.errors import Misconfigured
from tests.support.processes import Platform, eventually, run

NOTHING: dict[str, Any] = {"everything": False, "agent": None, "metadata": [], "session": None}


def test_a_scope_is_one_of_four() -> None:
    assert chosen(**NOTHING) is None
    assert chosen(**{**NOTHING, "everything": True}) == {"type": "all"}
    found = chosen(**{**NOTHING, "metadata": ["team=red", "note=a=b"]})
    assert found == {"type": "metadata", "metadata": {"team": "red", "note": "a=b"}}
    with pytest.raises(Misconfigured, match="Give one of"):
        chosen(**{**NOTHING, "agent": "agent_1", "session": "sesn_1"})
    with pytest.raises(Misconfigured, match="key=value"):
        chosen(**{**NOTHING, "metadata": ["team"]})


def test_it_does_one_thing_and_wants_a_reason() -> None:
    with pytest.raises(Misconfigured, match="Say whom to stop"):
        check(None, None, None, show=False)
    with pytest.raises(Misconfigured, match="Say whom to stop"):
        check({"type": "all"}, "stop_1", "x", show=False)
    with pytest.raises(Misconfigured, match="--reason"):
        check({"type": "all"}, None, None, show=False)
    check(None, None, None, show=True)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_stop_from_the_command_line_holds(platform: Platform) -> None:
    place = ("--data-dir", str(platform.data_dir))
    platform.serve()
    with platform.http(platform.key) as client:
        agent = client.post("/v1/agents", json={"name": "a", "model": "scripted-demo"}).json()["id"]
        where = client.post("/v1/environments", json={"name": "e"}).json()["id"]
        body = {"agent": agent, "environment_id": where}
        session = client.post("/v1/sessions", json=body).json()["id"]
        made = run("stop", "--all", "--reason", "Enough.", *place)
        assert made.returncode == 0, made.stderr
        stop_id = made.stdout.strip()
        assert "1 sessions are stopped" in made.stderr
        listed = run("stop", "--list", *place).stdout
        assert stop_id in listed
        assert "Enough." in listed
        hello = {"type": "user.message", "content": [{"type": "text", "text": "hello"}]}
        client.post(f"/v1/sessions/{session}/events", json={"events": [hello]})
        shown = client.get(f"/v1/sessions/{session}").json()
        assert (shown["status"], shown["agentstead"]["stop_id"]) == ("idle", stop_id)
        assert run("stop", "--lift", stop_id, *place).returncode == 0

        def answered() -> bool:
            events = client.get(f"/v1/sessions/{session}/events").json()["data"]
            return any(event["type"] == "agent.message" for event in events)

        eventually(answered, "the answer to what had waited", 20)
    assert run("stop", "--lift", "stop_no", *place).returncode == 1
