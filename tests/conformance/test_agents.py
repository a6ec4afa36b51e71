"""wire §18 step 1 and what belongs to it: agents through the official SDK."""

from typing import Any

import anthropic
import pytest

from tests.conformance.requirements import requirement
from tests.support.server import MODEL, Running, serving

TOOLSET = "agent_toolset_20260401"
LOOKUP: Any = {
    "type": "custom",
    "name": "lookup",
    "description": "Look up an order",
    "input_schema": {"type": "object", "properties": {"id": {"type": "string"}}},
}


@requirement("agents:life", "agents:no-change", "agents:stale-version", "agents:versions")
async def test_an_agents_life(client: Any, environment: Any) -> None:
    agent = await client.beta.agents.create(
        name="Fixer",
        model=MODEL,
        metadata={"team": "a", "gone": "x"},
        mcp_servers=[{"type": "url", "name": "docs", "url": "https://mcp.example.com/"}],
        tools=[
            {
                "type": TOOLSET,
                "configs": [{"name": "bash", "permission_policy": {"type": "always_ask"}}],
            },
            {"type": "mcp_toolset", "mcp_server_name": "docs"},
            LOOKUP,
        ],
    )
    assert agent.version == 1
    assert agent.id.startswith("agent_01")
    assert await client.beta.agents.retrieve(agent.id) == agent
    same = await client.beta.agents.update(
        agent.id, name="Fixer", metadata={"team": "a"}, version=1
    )
    assert same == agent
    second = await client.beta.agents.update(
        agent.id, system="Be brief.", metadata={"gone": None, "new": "y"}, version=1
    )
    assert (second.version, second.system) == (2, "Be brief.")
    assert second.metadata == {"team": "a", "new": "y"}
    with pytest.raises(anthropic.ConflictError) as conflict:
        await client.beta.agents.update(agent.id, name="Other", version=1)
    assert conflict.value.response.headers["x-should-retry"] == "false"
    assert conflict.value.type == "conflict_error"
    versions = [one async for one in client.beta.agents.versions.list(agent.id, limit=1)]
    assert [one.version for one in versions] == [2, 1]
    assert versions[1].system is None
    assert await client.beta.agents.retrieve(agent.id, version=1) == versions[1]
    archived = await client.beta.agents.archive(agent.id)
    assert archived.archived_at is not None
    assert await client.beta.agents.archive(agent.id) == archived
    with pytest.raises(anthropic.BadRequestError, match="archived"):
        await client.beta.sessions.create(agent=agent.id, environment_id=environment.id)
    with pytest.raises(anthropic.BadRequestError, match="archived"):
        await client.beta.agents.update(agent.id, name="x")


@requirement("agents:every-field")
async def test_an_agent_has_every_field(server: Running) -> None:
    body = {
        "name": "Fixer",
        "model": {"id": MODEL, "effort": "high"},
        "tools": [{"type": TOOLSET}, LOOKUP],
    }
    made = (await server.http().post("/v1/agents?beta=true", json=body)).json()
    assert made == {
        "id": made["id"], "type": "agent", "version": 1, "name": "Fixer", "description": None,
        "model": {"id": MODEL, "effort": {"type": "high"}, "speed": "standard", "inference_geo": None},
        "system": None, "mcp_servers": [], "skills": [], "multiagent": None, "metadata": {},
        "execution_identity": {"type": "service_account"},
        "tools": [
            {"type": TOOLSET, "configs": [],
             "default_config": {"enabled": True, "permission_policy": {"type": "always_allow"}}},
            LOOKUP,
        ],
        "created_at": made["created_at"], "updated_at": made["created_at"], "archived_at": None,
    }  # fmt: skip


@requirement("agents:omit-and-null")
async def test_omitted_keeps_and_null_clears(client: Any) -> None:
    made = await client.beta.agents.create(
        name="a", model={"id": MODEL, "effort": "low", "speed": "fast"}, description="d", system="s",
        tools=[LOOKUP],
    )  # fmt: skip
    kept = await client.beta.agents.update(made.id, name="b")
    assert (kept.description, kept.system, kept.tools) == ("d", "s", made.tools)
    cleared = await client.beta.agents.update(made.id, description=None, system="", tools=None)
    assert (cleared.description, cleared.system, cleared.tools) == (None, None, [])
    same_model = await client.beta.agents.update(made.id, model={"id": MODEL})
    assert (same_model.model.effort.type, same_model.model.speed) == ("low", "standard")
    other_model = await client.beta.agents.update(made.id, model="scripted-other")
    assert other_model.model.effort.type == "high"
    for wrong in ({"name": None}, {"model": None}, {"name": ""}):
        with pytest.raises(anthropic.BadRequestError, match=next(iter(wrong))):
            await client.beta.agents.update(made.id, **wrong)
    assert (await client.beta.agents.retrieve(made.id)).version == other_model.version


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "name: Should have at least 1 character"),
    ({"name": "x" * 257}, "name: Should have at most 256"),
    ({"name": "a\nb"}, "name: Control characters"),
    ({"model": ""}, "model: Should have at least 1 character"),
    ({"model": "x" * 257}, "model: Should have at most 256"),
    ({"model": "gpt-none"}, "model.id: there is no model 'gpt-none' here. There are:"),
    ({"model": {"id": MODEL, "effort": "huge"}}, "model.effort: Input should be"),
    ({"skills": [{"type": "anthropic", "skill_id": "xlsx"}]}, "skills.0.skill_id: The hosted service's own"),
    ({"execution_identity": {"type": "aws_role", "role_arn": "arn:x"}}, "execution_identity.type"),
    ({"metadata": {str(n): "x" for n in range(17)}}, "metadata: At most 16 pairs"),
    ({"system": "x" * 100_001}, "system: Should have at most 100000"),
    ({"mcp_servers": [{"type": "url", "name": "s", "url": "https://x.example"}]},
     "mcp_servers.0.name: No mcp_toolset"),
    ({"tools": [{"type": TOOLSET, "configs": [{"name": "bash"}, {"name": "bsh"}]}]},
     "tools.0.configs.1.name: Expected one of"),
    ({"colour": "red"}, "colour: Extra inputs are not permitted."),
]  # fmt: skip


@requirement("agents:model-settings")
async def test_speed_and_region_are_the_models_to_give(database_url: str) -> None:
    settings = {
        "anthropic_api_key": "none",
        "openai_base_url": "http://127.0.0.1:9/v1",
        "model_default": "openai_compatible:qwen3",
    }
    async with serving(database_url, **settings) as server:
        client = server.sdk()

        async def made(**model: Any) -> Any:
            return (await client.beta.agents.create(name="a", model=model)).model.to_dict()

        opus = await made(id="claude-opus-5", speed="fast", inference_geo="us")
        assert (opus["speed"], opus["inference_geo"]) == ("fast", "us")
        for model, said in (
            ({"id": "claude-haiku-4-5", "speed": "fast"}, r"model\.speed: claude-haiku-4-5 has no"),
            ({"id": "claude-opus-5", "inference_geo": "eu"}, r'model\.inference_geo: .*"us" or'),
            ({"id": "local", "inference_geo": "us"}, r"model\.inference_geo: .*leave it out"),
            ({"id": "local", "speed": "fast"}, r"model\.speed: "),
            ({"id": "claude-opus-4-5", "effort": "max"}, r"model\.effort: .*low, medium, high"),
        ):
            with pytest.raises(anthropic.BadRequestError, match=said):
                await made(**model)


@requirement("agents:refused-by-path", "agents:unknown-model")
async def test_a_wrong_agent_is_refused(server: Running) -> None:
    http = server.http()
    for more, said in WRONG:
        answer = await http.post("/v1/agents", json={"name": "n", "model": MODEL, **more})
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["type"] == "invalid_request_error"
        assert answer.json()["error"]["message"].startswith(said), answer.text
    assert (await http.get("/v1/agents")).json() == {"data": [], "next_page": None}


@requirement("paging:newest-first", "paging:last-page")
async def test_agents_are_listed_newest_first(client: Any, server: Running) -> None:
    made = [await client.beta.agents.create(name=str(n), model=MODEL) for n in range(5)]
    await client.beta.agents.archive(made[2].id)
    shown = [one.name async for one in client.beta.agents.list(limit=1)]
    assert shown == ["4", "3", "1", "0"]
    everything = [one.name async for one in client.beta.agents.list(include_archived=True, limit=2)]
    assert everything == ["4", "3", "2", "1", "0"]
    since = [one.name async for one in client.beta.agents.list(created_at_gte=made[3].created_at)]
    assert since == ["4", "3"]
    page = await client.beta.agents.list(limit=4)
    assert page.next_page is None
    assert (await server.http().get("/v1/agents?limit=101")).status_code == 400


@requirement("agents:unknown")
async def test_an_unknown_agent_or_version_is_not_found(client: Any, agent: Any) -> None:
    for wrong in ("agent_none", "sesn_x"):
        with pytest.raises(anthropic.NotFoundError):
            await client.beta.agents.retrieve(wrong)
    with pytest.raises(anthropic.NotFoundError, match="no version 9"):
        await client.beta.agents.retrieve(agent.id, version=9)
    with pytest.raises(anthropic.BadRequestError, match="version"):
        await client.beta.agents.retrieve(agent.id, version=0)
