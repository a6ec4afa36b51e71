"""Environments: recipes of a place to work. Unversioned; sessions keep what they were made with."""

import asyncio
from collections.abc import Mapping
from typing import Any

from agentstead.api.router import Call, Router
from agentstead.errors import Invalid
from agentstead.ids import ENVIRONMENT
from agentstead.resources.listing import newest_first
from agentstead.sandbox.images.images import Images, NoSuchImage
from agentstead.sandbox.packages.recipe import BESIDE_A_SYSTEM, NEEDS_IMAGE, NEEDS_ROOT, wanted
from agentstead.sandbox.packages.workshop import installs_into
from agentstead.store.table import Filter, Row, Table
from agentstead.wire import environment as wire
from agentstead.wire import extension
from agentstead.wire.answers.answer import Deleted, Page
from agentstead.wire.answers.environment import Environment
from agentstead.wire.environment import BAD_METADATA, EnvironmentCreate, EnvironmentUpdate
from agentstead.wire.extension import EnvironmentExtension
from agentstead.wire.shape import patch_metadata

router = Router("Environments")
environments = Table("environments", "environment", missing="environment_not_found")
STOP_QUEUED = """
    update work set state = 'stopped', stopped_at = clock_timestamp(),
        updated_at = clock_timestamp(), reason = %s
    where environment_id = %s and state = 'queued'
"""
"""Workers that have a session may finish it."""
END_KEYS = """
    update environment_keys set revoked_at = coalesce(revoked_at, clock_timestamp())
    where environment_id = %s
"""


@router.post("/v1/environments", EnvironmentCreate, answer=Environment)
async def create(call: Call, body: EnvironmentCreate) -> Mapping[str, Any]:
    """Create an environment."""
    check_scope(body.scope)
    config = wire.merged(None, body.config)
    values = {
        "id": call.services.ids.new(ENVIRONMENT),
        "name": body.name,
        "description": body.description,
        "config": config,
        "metadata": patch_metadata({}, body.metadata, empty_deletes=True, code=BAD_METADATA),
        "scope": "organization",
        "agentstead": extension.merged(None, body.agentstead, maxima(call)),
    }
    check_own(values)
    await check_image(call, body.agentstead)
    await check_packages(call, values)
    async with call.services.database.transaction() as tx:
        await environments.insert(call.write(tx), values)
        return wire.answer(await environments.retrieve(tx, call.workspace_id, str(values["id"])))


@router.get(
    "/v1/environments", query=("include_archived", "limit", "page"), answer=Page[Environment]
)
async def list_environments(call: Call) -> Mapping[str, Any]:
    """List environments, newest first."""
    hide = not call.query.flag("include_archived")
    filters = [Filter("t.archived_at is null")] if hide else []
    return await newest_first(call, environments, "environments", filters, wire.answer)


@router.get("/v1/environments/{environment_id}", answer=Environment)
async def retrieve(call: Call, environment_id: str) -> Mapping[str, Any]:
    """Retrieve an environment."""
    return wire.answer(
        await environments.retrieve(call.services.database, call.workspace_id, environment_id)
    )


@router.post("/v1/environments/{environment_id}", EnvironmentUpdate, answer=Environment)
async def update(call: Call, environment_id: str, body: EnvironmentUpdate) -> Mapping[str, Any]:
    """Change an environment; sandboxes that exist are not touched."""
    await check_image(call, body.agentstead)
    async with call.services.database.transaction() as tx:
        write = call.write(tx)
        row = await environments.lock(write, environment_id)
        if row["archived_at"] is not None:
            raise Invalid(
                f"Environment {environment_id} is archived and cannot be changed.",
                code="environment_archived",
            )
        values = changed(row, body, maxima(call))
        check_own(values)
        if any(values[name] != row[name] for name in ("config", "agentstead")):
            await check_packages(call, values)
        if any(values[name] != row[name] for name in values):
            await environments.update(write, environment_id, values)
        return wire.answer(await environments.retrieve(tx, call.workspace_id, environment_id))


@router.post("/v1/environments/{environment_id}/archive", answer=Environment)
async def archive(call: Call, environment_id: str) -> Mapping[str, Any]:
    """Archive an environment: no new sessions and no changes."""
    async with call.services.database.transaction() as tx:
        row = await environments.archive(call.write(tx), environment_id)
        await tx.execute(STOP_QUEUED, ("Its environment was archived.", environment_id))
        return wire.answer(row)


@router.delete("/v1/environments/{environment_id}", answer=Deleted)
async def delete(call: Call, environment_id: str) -> Mapping[str, Any]:
    """Delete an environment; sessions made with it go on."""
    async with call.services.database.transaction() as tx:
        await environments.delete(call.write(tx), environment_id)
        await tx.execute(STOP_QUEUED, ("Its environment was deleted.", environment_id))
        await tx.execute(END_KEYS, (environment_id,))
    return {"id": environment_id, "type": "environment_deleted"}


def changed(row: Row, body: EnvironmentUpdate, limits_max: Mapping[str, float]) -> dict[str, Any]:
    """The columns after an update."""
    check_scope(body.scope)
    given = body.given()
    return {
        "name": row["name"] if body.name is None else body.name,
        "description": given.get("description", row["description"]),
        "config": wire.merged(row["config"], body.config),
        "metadata": patch_metadata(
            row["metadata"], body.metadata, empty_deletes=True, code=BAD_METADATA
        ),
        "agentstead": extension.merged(row["agentstead"], body.agentstead, limits_max)
        if "agentstead" in given
        else row["agentstead"],
    }


def check_own(values: Mapping[str, Any]) -> None:
    """Only our own sandboxes can be limited by us, and made from our images."""
    own = values["agentstead"] or {}
    if values["config"]["type"] != "self_hosted":
        return
    if "limits" in own:
        raise Invalid(
            "agentstead.limits: The sandboxes of a self_hosted environment are limited by whoever runs "
            "them."
        )
    if "image" in own:
        raise Invalid(
            "agentstead.image: The sandboxes of a self_hosted environment are made by whoever runs them."
        )


async def check_image(call: Call, given: EnvironmentExtension | None) -> None:
    """An image that is chosen exists."""
    if given is not None and given.image is not None:
        await image_id(call, given.image, "agentstead.image")


async def image_id(call: Call, given: str | None, path: str) -> str:
    """The id of a named image, or of the one in force; empty: the host's system directories, or an engine's."""
    hands = call.services.settings.sandbox
    if hands != "bubblewrap":
        if given:
            raise Invalid(
                f"{path}: Sandboxes on {hands} are made from the engine's image, which the operator"
                " chooses (AGENTSTEAD_CONTAINER_IMAGE); name none."
            )
        return ""
    try:
        return await asyncio.to_thread(Images.of(call.services.settings).resolve, given)
    except NoSuchImage as error:
        raise Invalid(f"{path}: {error.message}") from None


async def check_packages(call: Call, values: Mapping[str, Any]) -> None:
    """What cannot be installed is refused here, and not found out by a session."""
    settings = call.services.settings
    for manager in wanted(values["config"]):
        where = f"config.packages.{manager}"
        if settings.sandbox != "bubblewrap":
            raise Invalid(
                f"{where}: Packages cannot be installed: sandboxes on {settings.sandbox} have what the "
                "engine's image brings."
            )
        if settings.sandbox_network == "none":
            raise Invalid(
                f"{where}: Packages cannot be installed: sandboxes have no network on this server."
            )
        if manager in BESIDE_A_SYSTEM:
            continue
        image = await image_id(call, (values["agentstead"] or {}).get("image"), where)
        if not image:
            raise Invalid(f"{where}: {manager} cannot install on this server. {NEEDS_IMAGE}")
        if not await asyncio.to_thread(installs_into, Images.of(settings), image):
            raise Invalid(f"{where}: {manager} cannot install on this server. {NEEDS_ROOT}")


def maxima(call: Call) -> Mapping[str, float]:
    """How much an environment may allow its sandboxes."""
    return call.services.settings.sandbox_limits_max


def check_scope(scope: str | None) -> None:
    """There are no personal environments here."""
    if scope == "account":
        raise Invalid('scope: Only "organization" is available on this server.')
