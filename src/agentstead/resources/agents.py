"""Agents: what can be run, with all its versions.

Promises: a version is written once and never changes; an update that changes nothing makes none;
with `version` given, an update of something newer is a Conflict and changes nothing.
"""

from collections.abc import Mapping
from typing import Any

from agentstead.api.paging import Cursor, cursor, limit, page
from agentstead.api.ports import Services
from agentstead.api.router import Call, Router
from agentstead.errors import Conflict, Invalid
from agentstead.ids import AGENT
from agentstead.providers.provider import Capabilities
from agentstead.resources import rosters
from agentstead.resources.agent_versions import agents, at_version, past
from agentstead.resources.listing import LIMIT, LIMIT_MAX, newest_first
from agentstead.resources.skills.chosen import chosen
from agentstead.store.table import Filter, Write, moment, storable
from agentstead.wire import agent as wire
from agentstead.wire.agent import AgentCreate, AgentUpdate, AwsRole, ModelConfig
from agentstead.wire.answers.agent import Agent
from agentstead.wire.answers.answer import Page
from agentstead.wire.shape import patch_metadata
from agentstead.wire.tool import check_tools

router = Router("Agents")
VERSION_MAX = 2**31 - 1


@router.post("/v1/agents", AgentCreate, answer=Agent)
async def create(call: Call, body: AgentCreate) -> Mapping[str, Any]:
    """Create an agent at version 1."""
    snapshot = {
        "name": body.name,
        "description": body.description or None,
        "model": model(call.services, wire.model_config(body.model)),
        "system": body.system or None,
        "tools": wire.tools(body.tools),
        "mcp_servers": wire.servers(body.mcp_servers),
        "skills": await chosen(call, body.skills),
        "multiagent": None,
        "execution_identity": identity(body.execution_identity),
        "metadata": patch_metadata({}, body.metadata),
    }
    check(snapshot)
    agent_id = call.services.ids.new(AGENT)
    async with call.services.database.transaction() as tx:
        write = call.write(tx)
        resolver = rosters.Resolver(call, tx, rosters.owner(agent_id, 1, snapshot))
        snapshot["multiagent"] = await resolver.block(body.multiagent, None)
        await agents.insert(write, {"id": agent_id, "version": 1})
        await keep_version(write, agent_id, 1, snapshot)
        return wire.answer(await agents.retrieve(tx, call.workspace_id, agent_id))


@router.get(
    "/v1/agents",
    query=("created_at[gte]", "created_at[lte]", "include_archived", "limit", "page"),
    answer=Page[Agent],
)
async def list_agents(call: Call) -> Mapping[str, Any]:
    """List agents, newest first, each at its latest version."""
    times = call.query.times("created_at")
    signs = {"gte": ">=", "lte": "<=", "gt": ">", "lt": "<"}
    filters = [
        Filter(f"t.created_at {signs[comparison]} %s", (moment(at),))
        for comparison, at in times.items()
    ]
    if not call.query.flag("include_archived"):
        filters.append(Filter("t.archived_at is null"))
    return await newest_first(call, agents, "agents", filters, wire.answer)


@router.get("/v1/agents/{agent_id}", query=("version",), answer=Agent)
async def retrieve(call: Call, agent_id: str) -> Mapping[str, Any]:
    """Retrieve an agent, at its latest version or the one asked for."""
    version = call.query.number("version", 1, VERSION_MAX)
    return wire.answer(
        await at_version(call.services.database, call.workspace_id, agent_id, version)
    )


@router.post("/v1/agents/{agent_id}", AgentUpdate, answer=Agent)
async def update(call: Call, agent_id: str, body: AgentUpdate) -> Mapping[str, Any]:
    """Change an agent: a new version when something really changes."""
    async with call.services.database.transaction() as tx:
        write = call.write(tx)
        row = await agents.lock(write, agent_id)
        if row["archived_at"] is not None:
            raise Invalid(f"Agent {agent_id} is archived and cannot be changed.")
        if body.version is not None and body.version != row["version"]:
            raise Conflict(
                f"version: The agent is at version {row['version']}, not {body.version}; "
                "read it again and repeat your change."
            )
        given = "skills" in body.model_fields_set
        skills = await chosen(call, body.skills) if given else None
        snapshot = changed(call.services, row["body"], body, skills)
        check(snapshot)
        snapshot = await rosters.after_update(call, tx, row, snapshot, body)
        if snapshot != row["body"]:
            version = row["version"] + 1
            await keep_version(write, agent_id, version, snapshot)
            await agents.update(write, agent_id, {"version": version})
        return wire.answer(await agents.retrieve(tx, call.workspace_id, agent_id))


@router.post("/v1/agents/{agent_id}/archive", answer=Agent)
async def archive(call: Call, agent_id: str) -> Mapping[str, Any]:
    """Archive an agent: read-only from then on, and no new sessions."""
    async with call.services.database.transaction() as tx:
        return wire.answer(await agents.archive(call.write(tx), agent_id))


@router.get("/v1/agents/{agent_id}/versions", query=("limit", "page"), answer=Page[Agent])
async def versions(call: Call, agent_id: str) -> Mapping[str, Any]:
    """List all versions of an agent, newest first."""
    database = call.services.database
    row = await agents.retrieve(database, call.workspace_id, agent_id)
    kind = f"agent_versions:{agent_id}"
    after = cursor(call.query, kind, "desc", (int,))
    most = limit(call.query, LIMIT, LIMIT_MAX)
    found = await database.fetch(
        "select version, body, created_at from agent_versions"
        " where workspace_id = %s and agent_id = %s and version < %s order by version desc limit %s",
        (call.workspace_id, agent_id, after.key[0] if after else VERSION_MAX, most + 1),
    )
    shown = [wire.answer(past(row, one)) for one in found[:most]]
    last = Cursor(kind, "desc", (shown[-1]["version"],)) if len(found) > most else None
    return page(shown, last)


async def keep_version(
    write: Write, agent_id: str, version: int, snapshot: Mapping[str, Any]
) -> None:
    """Write one version down."""
    await write.tx.execute(
        "insert into agent_versions (agent_id, version, workspace_id, body, created_at)"
        " values (%s, %s, %s, %s, %s)",
        (agent_id, version, write.workspace_id, storable(dict(snapshot)), moment(write.at)),
    )


def changed(
    services: Services,
    stored: Mapping[str, Any],
    body: AgentUpdate,
    skills: list[dict[str, Any]] | None,
) -> dict[str, Any]:
    """The snapshot after an update; `skills`: the new ones, None keeps."""
    given = body.given()
    after = dict(stored)
    for name in ("description", "system"):
        if name in given:
            after[name] = given[name] or None
    if "name" in given:
        after["name"] = body.name
    if "model" in given:
        after["model"] = model(services, wire.model_config(body.model), stored["model"])
    if "tools" in given:
        after["tools"] = wire.tools(body.tools)
    if "mcp_servers" in given:
        after["mcp_servers"] = wire.servers(body.mcp_servers)
    if skills is not None:
        after["skills"] = skills
    if "execution_identity" in given:
        after["execution_identity"] = identity(body.execution_identity)
    after["metadata"] = patch_metadata(stored["metadata"], body.metadata)
    return after


def check(snapshot: Mapping[str, Any]) -> None:
    """The rules that reach over several fields."""
    check_tools(snapshot["tools"], snapshot["mcp_servers"], snapshot["skills"])


def model(
    services: Services, given: ModelConfig, stored: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A model as stored: known to the catalogue, its effort resolved."""
    capabilities = known_model(services, given.id)
    level = given.level
    if level is None and stored is not None and stored["id"] == given.id:
        level = stored["effort"]["type"]
    elif level is None:
        level = capabilities.default_effort
    elif capabilities.efforts and level not in capabilities.efforts:
        raise Invalid(
            f'model.effort: {given.id} does not take effort "{level}"; '
            f"it takes {', '.join(capabilities.efforts)}."
        )
    speed = given.speed or "standard"
    if speed not in capabilities.speeds:
        raise Invalid(f'model.speed: {given.id} has no speed "{speed}".')
    if given.inference_geo is not None and given.inference_geo not in capabilities.inference_geos:
        known = " or ".join(f'"{one}"' for one in capabilities.inference_geos)
        raise Invalid(
            f'model.inference_geo: {given.id} cannot be bound to "{given.inference_geo}" here; '
            + (f"it can be bound to {known}." if known else "leave it out or send null.")
        )
    return {
        "id": given.id,
        "effort": {"type": level},
        "speed": speed,
        "inference_geo": given.inference_geo,
    }


def known_model(services: Services, name: str) -> Capabilities:
    """What a model can do; Invalid when nobody here answers for it."""
    try:
        found: Capabilities = services.catalogue.resolve(name).capabilities
    except Invalid as error:
        raise Invalid(named("model", error.message), code=error.code) from None
    return found


def named(path: str, message: str) -> str:
    """A message that begins with the field's path."""
    return message if message.startswith(path) else f"{path}: {message}"


def identity(given: Any) -> dict[str, Any]:
    """The platform's own account is the only one."""
    if isinstance(given, AwsRole):
        raise Invalid(
            'execution_identity.type: Only "service_account" is available on this server.'
        )
    return dict(wire.SERVICE_ACCOUNT)
