"""From a declaration to what the platform keeps of it: found by name, made where it is not there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentstead.client.declared import ConnectorTool, FunctionTool
from agentstead.client.first_model import first_model
from agentstead.client.remote import Json, Remote

MARK = {"agentstead_declared": "1"}
"""Metadata of agents made here: others of the same name are somebody else's."""
ALLOW, ASK = {"type": "always_allow"}, {"type": "always_ask"}
ENVIRONMENT = "declared agents"


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a program declares."""

    name: str
    system: str
    model: str | None
    connectors: Sequence[ConnectorTool]
    functions: Sequence[FunctionTool]
    built_in: Sequence[str]
    environment: str | Mapping[str, Any] | None
    limits: Mapping[str, Any] | None


async def reconciled(remote: Remote, declared: Declaration) -> str:
    """The id of the agent, as it is declared; its connectors first. Raises Refused."""
    urls = [await connector(remote, one) for one in declared.connectors]
    wanted: dict[str, Any] = {
        "name": declared.name,
        "model": declared.model or await first_model(remote),
        "system": declared.system,
        "tools": tools(declared),
        "mcp_servers": [
            {"type": "url", "name": one.name, "url": url}
            for one, url in zip(declared.connectors, urls, strict=True)
        ],
        "metadata": MARK,
    }
    async for agent in remote.pages("/v1/agents", {"limit": 100}):
        if agent["name"] == declared.name and agent["metadata"].items() >= MARK.items():
            return str((await remote.post(f"/v1/agents/{agent['id']}", wanted))["id"])
    return str((await remote.post("/v1/agents", wanted))["id"])


async def connector(remote: Remote, declared: ConnectorTool) -> str:
    """The address of a connector, as it is declared."""
    async for one in remote.pages("/v1/connectors", {"name": declared.name}):
        if one["config"]["type"] != declared.body["config"]["type"]:
            await remote.post(f"/v1/connectors/{one['id']}/archive")
            break
        unset = dict.fromkeys(("rate_limit", "session_rate_limit"))
        body = {key: value for key, value in declared.body.items() if key != "name"}
        return str((await remote.post(f"/v1/connectors/{one['id']}", {**unset, **body}))["url"])
    return str((await remote.post("/v1/connectors", declared.body))["url"])


def tools(declared: Declaration) -> list[Json]:
    """The tools of an agent on the wire: what is declared is allowed, but for what has to be asked."""
    found: list[Json] = []
    if declared.built_in:
        configs = [{"name": name, "enabled": True} for name in declared.built_in]
        off = {"enabled": False}
        found.append({"type": "agent_toolset_20260401", "default_config": off, "configs": configs})
    found += [
        {
            "type": "mcp_toolset",
            "mcp_server_name": one.name,
            "default_config": {"permission_policy": ALLOW},
            "configs": [{"name": f"{one.name}_{ask}", "permission_policy": ASK} for ask in one.ask],
        }
        for one in declared.connectors
    ]
    found += [
        {
            "type": "custom",
            "name": one.name,
            "description": one.description,
            "input_schema": dict(one.input_schema),
        }
        for one in declared.functions
    ]
    return found


async def environment_of(remote: Remote, declared: Declaration) -> str:
    """The id of the environment to run in."""
    if isinstance(declared.environment, str):
        return declared.environment
    own = declared.environment is not None or declared.limits is not None
    body: dict[str, Any] = {"name": declared.name if own else ENVIRONMENT}
    if declared.environment is not None:
        body["config"] = declared.environment
    if declared.limits is not None:
        body["agentstead"] = {"limits": dict(declared.limits)}
    async for one in remote.pages("/v1/environments", {"limit": 100}):
        if one["name"] == body["name"]:
            return str((await remote.post(f"/v1/environments/{one['id']}", body))["id"])
    return str((await remote.post("/v1/environments", body))["id"])
