"""Multiagent blocks through the official SDK."""

from typing import Any

import anthropic
import pytest

from tests.conformance.requirements import requirement
from tests.support.server import MODEL, Running

MEMBERS = "multiagent_20261001"


@pytest.fixture
async def child(client: Any) -> Any:
    return await client.beta.agents.create(name="child", model=MODEL)


def coordinator(*agents: Any) -> dict[str, Any]:
    return {"type": "coordinator", "agents": list(agents)}


def pinned(agent: Any, version: int | None = None) -> dict[str, Any]:
    return {"type": "agent", "id": agent.id, "version": version or agent.version}


@requirement("multiagent:coordinator", "multiagent:advisor-model")
async def test_a_coordinators_roster_is_answered_at_versions(client: Any, child: Any) -> None:
    other = await client.beta.agents.create(name="other", model=MODEL)
    await client.beta.agents.update(other.id, name="other two")
    made = await client.beta.agents.create(
        name="boss",
        model=MODEL,
        multiagent=coordinator(
            {"type": "advisor", "model": "scripted-wise"},
            child.id,
            {"type": "agent", "id": other.id, "version": 1},
            {"type": "self"},
        ),
    )
    assert made.multiagent.to_dict() == coordinator(
        pinned(child),
        pinned(other, 1),
        pinned(made),
        {"type": "advisor", "model": "scripted-wise"},
    )
    assert await client.beta.agents.retrieve(made.id) == made
    latest = await client.beta.agents.create(
        name="b", model=MODEL, multiagent=coordinator({"type": "agent", "id": other.id})
    )
    assert latest.multiagent.to_dict() == coordinator(pinned(other, 2))
    cleared = await client.beta.agents.update(made.id, multiagent=None)
    assert cleared.multiagent is None


@requirement("multiagent:pins")
async def test_versions_are_taken_when_the_roster_is_sent(client: Any, child: Any) -> None:
    roster = coordinator(child.id, {"type": "self"})
    made = await client.beta.agents.create(name="boss", model=MODEL, multiagent=roster)
    same = await client.beta.agents.update(made.id, multiagent=roster)
    assert same == made
    await client.beta.agents.update(child.id, name="child two")
    kept = await client.beta.agents.update(made.id, name="chief")
    assert kept.multiagent == made.multiagent
    sent = await client.beta.agents.update(made.id, multiagent=roster)
    assert sent.version == 3
    assert sent.multiagent.to_dict() == coordinator(pinned(child, 2), pinned(sent))
    assert (await client.beta.agents.update(made.id, multiagent=roster)) == sent
    # An agent of the roster may be archived later; what names it goes on.
    await client.beta.agents.archive(child.id)
    assert (await client.beta.agents.update(made.id, name="c")).multiagent == sent.multiagent


@requirement("multiagent:members")
async def test_members_are_merged_level_by_level(client: Any, child: Any) -> None:
    made = await client.beta.agents.create(name="b", model=MODEL, multiagent={"type": MEMBERS})
    on = {"type": "enabled", "inline_agents": {"type": "enabled"}, "predefined_agents": []}
    whole = {"type": MEMBERS, "subagents": on, "workflows": on, "advisor": {"type": "disabled"}}
    assert made.multiagent.to_dict() == whole
    inline_off = {"type": "enabled", "inline_agents": {"type": "disabled"}}
    changed = await client.beta.agents.update(
        made.id,
        multiagent={
            "type": MEMBERS,
            "subagents": {**inline_off, "predefined_agents": [child.id, {"type": "self"}]},
            "advisor": {"type": "enabled", "model": MODEL},
        },
    )
    both = [pinned(child), pinned(changed)]
    assert changed.multiagent.to_dict() == {
        **whole,
        "subagents": {**inline_off, "predefined_agents": both},
        "advisor": {"type": "enabled", "model": MODEL},
    }
    merged = await client.beta.agents.update(
        made.id, multiagent={"type": MEMBERS, "workflows": {"type": "disabled"}, "advisor": None}
    )
    assert merged.multiagent.to_dict() == {
        **whole,
        "subagents": {**inline_off, "predefined_agents": both},
        "workflows": {"type": "disabled"},
    }
    with pytest.raises(
        anthropic.BadRequestError, match=r"multiagent\.subagents\.predefined_agents"
    ):
        await client.beta.agents.update(
            made.id,
            multiagent={"type": MEMBERS, "subagents": {"type": "enabled", "predefined_agents": []}},
        )
    # Another type replaces, and back again: nothing of before is kept.
    await client.beta.agents.update(made.id, multiagent=coordinator(child.id))
    again = await client.beta.agents.update(made.id, multiagent={"type": MEMBERS})
    assert again.multiagent.to_dict() == whole


@requirement("multiagent:roster", "multiagent:advisor-model")
async def test_a_wrong_roster_is_refused(client: Any, server: Running, child: Any) -> None:
    boss = await client.beta.agents.create(
        name="boss", model=MODEL, multiagent=coordinator(child.id)
    )
    gone = await client.beta.agents.create(name="gone", model=MODEL)
    await client.beta.agents.archive(gone.id)
    bound = await client.beta.agents.create(name="b", model={"id": MODEL, "inference_geo": "us"})
    reserved = await client.beta.agents.create(name="anthropic.advisor", model=MODEL)
    advisor = {"type": "advisor", "model": MODEL}
    wrong: list[tuple[Any, str]] = [
        ({"type": "team"}, "multiagent.type: Expected one of"),
        (coordinator(), "multiagent.agents: Should have at least 1 item"),
        (coordinator(*[child.id] * 21), "multiagent.agents: Should have at most 20 items"),
        (coordinator(child.id, pinned(child)), f"multiagent.agents.1: Agent {child.id} is named twice"),
        (coordinator({"type": "self"}, {"type": "self"}), "multiagent.agents.1: Agent"),
        (coordinator(advisor, advisor), "multiagent.agents.1: There can be only one advisor"),
        (coordinator("agent_none"), "multiagent.agents.0: Agent agent_none not found"),
        (coordinator(pinned(child, 9)), f"multiagent.agents.0: Agent {child.id} has no version 9"),
        (coordinator(gone.id), f"multiagent.agents.0: Agent {gone.id} is archived"),
        (coordinator(boss.id), f"multiagent.agents.0: Agent {boss.id} hands on work itself"),
        (coordinator(bound.id), "multiagent.agents.0: The inference_geo"),
        (coordinator(reserved.id), "multiagent.agents.0: The name"),
        (coordinator({"type": "inline"}), "multiagent.agents.0.type: Expected one of"),
        (coordinator(child.id, {"type": "advisor", "model": "gpt-none"}), "multiagent: The advisor's model.id"),
        ({"type": MEMBERS, "subagents": {}}, "multiagent.subagents.type: Expected one of"),
        ({"type": MEMBERS, "advisor": {"type": "enabled"}}, "multiagent.advisor.model: Field required"),
        ({"type": MEMBERS, "subagents": {"type": "enabled", "predefined_agents": [advisor]}},
         "multiagent.subagents.predefined_agents.0.type: Expected one of"),
        ({"type": MEMBERS, "workflows": {"type": "enabled", "predefined_agents": ["agent_none"]}},
         "multiagent.workflows.predefined_agents.0: Agent agent_none not found"),
    ]  # fmt: skip
    http = server.http()
    before = len((await http.get("/v1/agents")).json()["data"])
    for block, said in wrong:
        answer = await http.post(
            "/v1/agents", json={"name": "n", "model": MODEL, "multiagent": block}
        )
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["message"].startswith(said), answer.text
    assert len((await http.get("/v1/agents")).json()["data"]) == before
    with pytest.raises(anthropic.BadRequestError, match="names itself with"):
        await client.beta.agents.update(boss.id, multiagent=coordinator(boss.id))
    with pytest.raises(
        anthropic.BadRequestError, match=r"multiagent\.agents\.0: The inference_geo"
    ):
        await client.beta.agents.update(boss.id, model={"id": MODEL, "inference_geo": "us"})
    advised = coordinator(child.id, advisor)
    with pytest.raises(anthropic.BadRequestError, match="name: "):
        await client.beta.agents.create(name="anthropic.advisor", model=MODEL, multiagent=advised)


@requirement("multiagent:not-started")
async def test_a_session_that_would_need_others_is_refused(
    client: Any, environment: Any, child: Any
) -> None:
    off = {"type": "disabled"}
    quiet = {"type": MEMBERS, "subagents": off, "workflows": off}
    for block, said in (
        (coordinator(child.id), "threads for several agents"),
        ({"type": MEMBERS}, "threads for several agents"),
        ({**quiet, "workflows": {"type": "enabled"}}, "workflow runs"),
        ({**quiet, "advisor": {"type": "enabled", "model": MODEL}}, "advisors"),
    ):
        agent = await client.beta.agents.create(name="b", model=MODEL, multiagent=block)
        for named in (agent.id, {"type": "agent_with_overrides", "id": agent.id, "system": "x"}):
            with pytest.raises(anthropic.BadRequestError, match=said):
                await client.beta.sessions.create(agent=named, environment_id=environment.id)
    alone = await client.beta.agents.create(name="b", model=MODEL, multiagent=quiet)
    session = await client.beta.sessions.create(agent=alone.id, environment_id=environment.id)
    assert session.agent.multiagent.to_dict() == {**quiet, "advisor": off}
    threads = await client.beta.sessions.threads.list(session.id)
    assert "multiagent" not in threads.data[0].agent.to_dict()
