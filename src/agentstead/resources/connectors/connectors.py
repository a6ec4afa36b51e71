"""Connectors: declared tools, by name in a workspace.

Promises: what is wrong is said by field, before anything is made; no answer, message or audit row holds
a secret; a change makes a new version, which the next call uses, and one that changes nothing makes none;
the tools in an answer are those that a model is offered.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from agentstead.api.router import Call, Router
from agentstead.errors import Conflict, ConnectorFault, Invalid
from agentstead.ids import CONNECTOR
from agentstead.resources.connectors.stored import declared, opened_for, sealed
from agentstead.resources.listing import newest_first
from agentstead.store.table import Filter, Row, Table, Write
from agentstead.tools.connectors.connector import SCHEME, ConnectorTool
from agentstead.tools.connectors.guard import granted
from agentstead.tools.connectors.kinds import KINDS, Config
from agentstead.tools.tool import Effect
from agentstead.wire.answers.answer import Deleted, Page
from agentstead.wire.answers.connector import Connector, ConnectorTest
from agentstead.wire.shape import Description, Metadata, MetadataPatch, Shape, patch_metadata

router = Router("Connectors")
connectors = Table("connectors", "connector")
ONE = "/v1/connectors/{connector_id}"
TIMEOUT_SECONDS, TIMEOUT_SECONDS_MAX = 30.0, 600.0
RETRIES, RETRIES_MAX = 2, 10
UNVERSIONED = frozenset({"description", "metadata"})
"""What changes nothing of how it is called."""

ConnectorName = Annotated[
    str, StringConstraints(max_length=32, pattern=r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$")
]
Permissions = dict[str, bool]


class RateLimit(Shape):
    """How often a connector may be called; half of it may come at once."""

    requests: Annotated[int, Field(ge=1, le=1_000_000)]
    per_seconds: Annotated[float, Field(gt=0, le=86_400)] = 1.0


class ConnectorCreate(Shape):
    """A new connector."""

    name: ConnectorName
    config: Config
    permissions: Permissions
    description: Description | None = None
    rate_limit: RateLimit | None = None
    session_rate_limit: RateLimit | None = None
    timeout_seconds: Annotated[float, Field(gt=0, le=TIMEOUT_SECONDS_MAX)] = TIMEOUT_SECONDS
    retries_max: Annotated[int, Field(ge=0, le=RETRIES_MAX)] = RETRIES
    metadata: Metadata | None = None


class ConnectorUpdate(Shape):
    """What changes of a connector; its name and kind stay."""

    config: Config | None = None
    """The whole of it, secrets too."""
    permissions: Permissions | None = None
    description: Description | None = None
    rate_limit: RateLimit | None = None
    session_rate_limit: RateLimit | None = None
    timeout_seconds: Annotated[float, Field(gt=0, le=TIMEOUT_SECONDS_MAX)] | None = None
    retries_max: Annotated[int, Field(ge=0, le=RETRIES_MAX)] | None = None
    metadata: MetadataPatch | None = None


@router.post("/v1/connectors", ConnectorCreate, answer=Connector)
async def create(call: Call, body: ConnectorCreate) -> Mapping[str, Any]:
    """Declare a connector. Its target is not tried out."""
    connector_id = call.services.ids.new(CONNECTOR)
    values = {
        "id": connector_id,
        "name": body.name,
        "version": 1,
        "kind": body.config.type,
        "description": body.description or None,
        **settled(call, connector_id, body.config),
        "permissions": resolved(body.config.type, body.permissions),
        "rate_limit": limit(body.rate_limit),
        "session_rate_limit": limit(body.session_rate_limit),
        "timeout_seconds": body.timeout_seconds,
        "retries_max": body.retries_max,
        "metadata": patch_metadata({}, body.metadata),
    }
    async with call.services.database.transaction() as tx:
        write = call.write(tx)
        await check_name(write, body.name)
        await opens(call, {**values, "workspace_id": call.workspace_id})
        await connectors.insert(write, values)
        return await answer(call, await connectors.retrieve(tx, call.workspace_id, connector_id))


@router.get(
    "/v1/connectors", query=("include_archived", "limit", "name", "page"), answer=Page[Connector]
)
async def list_connectors(call: Call) -> Mapping[str, Any]:
    """List connectors, newest first."""
    filters = [] if call.query.flag("include_archived") else [Filter("t.archived_at is null")]
    name = call.query.text("name")
    if name:
        filters.append(Filter("t.name = %s", (name,)))
    found = await newest_first(call, connectors, f"connectors:{name or ''}", filters, dict)
    return {**found, "data": [await answer(call, row) for row in found["data"]]}


@router.get(ONE, answer=Connector)
async def retrieve(call: Call, connector_id: str) -> Mapping[str, Any]:
    """Retrieve a connector; never its secrets."""
    return await answer(call, await find(call, connector_id))


@router.post(ONE, ConnectorUpdate, answer=Connector)
async def update(call: Call, connector_id: str, body: ConnectorUpdate) -> Mapping[str, Any]:
    """Change a connector; sessions use it as it is from their next call on."""
    async with call.services.database.transaction() as tx:
        write = call.write(tx)
        row = await connectors.lock(write, connector_id)
        if row["archived_at"] is not None:
            raise Invalid(f"Connector {connector_id} is archived and cannot be changed.")
        values = changed(call, row, body)
        news = {name for name in values if values[name] != row[name]}
        if news:
            await opens(call, {**row, **values})
            if news - UNVERSIONED:
                values["version"] = row["version"] + 1
            await connectors.update(write, connector_id, values)
        return await answer(call, await connectors.retrieve(tx, call.workspace_id, connector_id))


@router.post(ONE + "/archive", answer=Connector)
async def archive(call: Call, connector_id: str) -> Mapping[str, Any]:
    """Archive a connector: its secrets are gone for good, its name is free, calls of it fail."""
    async with call.services.database.transaction() as tx:
        write = call.write(tx)
        row = await connectors.archive(write, connector_id)
        await tx.execute("update connectors set sealed = '{}' where id = %s", (connector_id,))
        return await answer(call, row)


@router.delete(ONE, answer=Deleted)
async def delete(call: Call, connector_id: str) -> Mapping[str, Any]:
    """Delete a connector; calls of it fail."""
    async with call.services.database.transaction() as tx:
        await connectors.delete(call.write(tx), connector_id)
        await tx.execute(
            "delete from connector_rates where workspace_id = %s and (key = %s or key like %s)",
            (call.workspace_id, connector_id, f"{connector_id}:%"),
        )
    return {"id": connector_id, "type": "connector_deleted"}


@router.post(ONE + "/test", answer=ConnectorTest)
async def test(call: Call, connector_id: str) -> Mapping[str, Any]:
    """Try to reach a connector's target, without changing anything there."""
    row = await find(call, connector_id)
    if row["archived_at"] is not None:
        raise Invalid(f"Connector {connector_id} is archived and cannot be tried out.")
    began, fault = call.services.clock.monotonic(), None
    try:
        one = await opened_for(call.services, row)
        await call.services.connectors.check(one)
    except ConnectorFault as found:
        fault = found
    return {
        "type": "connector_test",
        "connector_id": connector_id,
        "ok": fault is None,
        "kind": fault and fault.kind,
        "message": fault and fault.message,
        "seconds": round(call.services.clock.monotonic() - began, 3),
    }


def changed(call: Call, row: Row, body: ConnectorUpdate) -> dict[str, Any]:
    """The columns after an update."""
    given = body.given()
    values: dict[str, Any] = {
        "description": given.get("description", row["description"]) or None,
        "metadata": patch_metadata(row["metadata"], body.metadata),
        "timeout_seconds": body.timeout_seconds or row["timeout_seconds"],
        "retries_max": row["retries_max"] if body.retries_max is None else body.retries_max,
    }
    for name in ("rate_limit", "session_rate_limit"):
        values[name] = limit(given[name]) if name in given else row[name]
    if body.config is not None:
        if body.config.type != row["kind"]:
            raise Invalid(f"config.type: It is {row['kind']} and stays so; make another connector.")
        values |= settled(call, row["id"], body.config, row)
    if body.permissions is not None:
        values["permissions"] = resolved(row["kind"], body.permissions)
    return values


def settled(call: Call, connector_id: str, config: Shape, row: Row | None = None) -> dict[str, Any]:
    """Settings and secrets as stored; secrets that are as before keep the seal they have."""
    kind = KINDS[config.type]  # type: ignore[attr-defined]  # every shape of a kind has one
    shown, secrets = kind.divided(config.as_sent(), call.services.connectors.means)
    seal = call.services.seal
    if row is not None and shown == row["config"] and secrets == declared(seal, row).secrets:
        return {}
    return {"config": shown, "sealed": sealed(seal, connector_id, secrets)}


def resolved(kind: str, given: Mapping[str, bool]) -> dict[str, bool]:
    """Every permission of a kind; what is not given is not granted."""
    names = [effect.value for effect in KINDS[kind].effects]
    for name in given:
        if name not in names:
            raise Invalid(
                f"permissions.{name}: There is no such permission; there are {', '.join(names)}."
            )
    return {name: given.get(name, False) for name in names}


def limit(given: RateLimit | None) -> dict[str, Any] | None:
    """A limit as stored."""
    return None if given is None else given.model_dump()


async def opens(call: Call, row: Mapping[str, Any]) -> None:
    """Invalid when the whole of it makes no connector."""
    one = declared(call.services.seal, row)
    await call.services.connectors.try_open(one)


async def check_name(write: Write, name: str) -> None:
    """Conflict when the workspace has a connector of this name."""
    taken = await write.tx.fetch_one(
        "select id from connectors where workspace_id = %s and name = %s and archived_at is null",
        (write.workspace_id, name),
    )
    if taken is not None:
        raise Conflict(f'name: There is a connector "{name}" already: {taken["id"]}.')


async def find(call: Call, connector_id: str) -> Row:
    """One connector; NotFound."""
    return await connectors.retrieve(call.services.database, call.workspace_id, connector_id)


async def answer(call: Call, row: Mapping[str, Any]) -> dict[str, Any]:
    """The Connector of a row."""
    tools: list[ConnectorTool] = []
    if row["archived_at"] is None:
        one = declared(call.services.seal, row)
        tools = granted(one, (await call.services.connectors.open(one)).tools)
    return {
        "id": row["id"],
        "type": "connector",
        "name": row["name"],
        "version": row["version"],
        "description": row["description"],
        "url": SCHEME + row["name"],
        "config": row["config"],
        "permissions": row["permissions"],
        "rate_limit": row["rate_limit"],
        "session_rate_limit": row["session_rate_limit"],
        "timeout_seconds": row["timeout_seconds"],
        "retries_max": row["retries_max"],
        "tools": [shown(tool) for tool in tools],
        "metadata": row["metadata"],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
        "archived_at": row["archived_at"],
    }


def shown(tool: ConnectorTool) -> dict[str, Any]:
    """A tool on the wire."""
    return {
        "name": tool.name,
        "description": tool.description,
        "input_schema": dict(tool.input_schema),
        "effect": Effect(tool.effect).value,
    }
