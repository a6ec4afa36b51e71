"""Vaults: named places for credentials, chosen per session.

Promises: archiving purges every secret of the vault in the same transaction and keeps the records;
deleting leaves nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, StringConstraints

from agentstead.api.router import Call, Router
from agentstead.errors import Invalid
from agentstead.resources.listing import newest_first
from agentstead.resources.vaults.credentials import credentials, purge
from agentstead.store.table import Filter, Row, Table
from agentstead.wire.answers.answer import Deleted, Page
from agentstead.wire.answers.vault import Vault
from agentstead.wire.shape import Metadata, MetadataPatch, Shape, patch_metadata, printable

router = Router("Vaults")
vaults = Table("vaults", "vault")
VAULT = "vlt"

VaultName = Annotated[
    str, StringConstraints(min_length=1, max_length=255), AfterValidator(printable)
]


class VaultCreate(Shape):
    """A new vault."""

    display_name: VaultName
    metadata: Metadata | None = None


class VaultUpdate(Shape):
    """A vault's new name or metadata."""

    display_name: VaultName | None = None
    metadata: MetadataPatch | None = None


@router.post("/v1/vaults", VaultCreate, answer=Vault)
async def create(call: Call, body: VaultCreate) -> Mapping[str, Any]:
    """Create a vault."""
    vault_id = call.services.ids.new(VAULT)
    values = {
        "id": vault_id,
        "display_name": body.display_name,
        "metadata": patch_metadata({}, body.metadata),
    }
    async with call.services.database.transaction() as tx:
        await vaults.insert(call.write(tx), values)
        return answer(await vaults.retrieve(tx, call.workspace_id, vault_id))


@router.get("/v1/vaults", query=("include_archived", "limit", "page"), answer=Page[Vault])
async def list_vaults(call: Call) -> Mapping[str, Any]:
    """List vaults, newest first."""
    hide = not call.query.flag("include_archived")
    filters = [Filter("t.archived_at is null")] if hide else []
    return await newest_first(call, vaults, "vaults", filters, answer)


@router.get("/v1/vaults/{vault_id}", answer=Vault)
async def retrieve(call: Call, vault_id: str) -> Mapping[str, Any]:
    """Retrieve a vault."""
    return answer(await vaults.retrieve(call.services.database, call.workspace_id, vault_id))


@router.post("/v1/vaults/{vault_id}", VaultUpdate, answer=Vault)
async def update(call: Call, vault_id: str, body: VaultUpdate) -> Mapping[str, Any]:
    """Change a vault's name or metadata."""
    async with call.services.database.transaction() as tx:
        write = call.write(tx)
        row = usable(await vaults.lock(write, vault_id))
        values = {
            "display_name": body.display_name or row["display_name"],
            "metadata": patch_metadata(row["metadata"], body.metadata),
        }
        if any(values[name] != row[name] for name in values):
            await vaults.update(write, vault_id, values)
        return answer(await vaults.retrieve(tx, call.workspace_id, vault_id))


@router.post("/v1/vaults/{vault_id}/archive", answer=Vault)
async def archive(call: Call, vault_id: str) -> Mapping[str, Any]:
    """Archive a vault and its credentials; their secrets are gone for good."""
    async with call.services.database.transaction() as tx:
        write = call.write(tx)
        row = await vaults.archive(write, vault_id)
        await purge(write, vault_id)
        return answer(row)


@router.delete("/v1/vaults/{vault_id}", answer=Deleted)
async def delete(call: Call, vault_id: str) -> Mapping[str, Any]:
    """Delete a vault with everything in it."""
    async with call.services.database.transaction() as tx:
        write = call.write(tx)
        await vaults.lock(write, vault_id)
        held = await tx.fetch(
            "delete from vault_credentials where vault_id = %s returning id", (vault_id,)
        )
        for row in held:
            await credentials.note(write, "delete", row["id"])
        await vaults.delete(write, vault_id)
    return {"id": vault_id, "type": "vault_deleted"}


def usable(row: Row) -> Row:
    """A vault that may be changed; Invalid when it is archived."""
    if row["archived_at"] is not None:
        raise Invalid(f"Vault {row['id']} is archived and cannot be changed.")
    return row


async def live(call: Call, vault_ids: Sequence[str]) -> tuple[str, ...]:
    """The vaults of a new session, as given; Invalid unless each may be used."""
    for place, vault_id in enumerate(vault_ids):
        row = await vaults.find(call.services.database, call.workspace_id, vault_id)
        if row is None:
            raise Invalid(f'vault_ids.{place}: There is no vault "{vault_id}".')
        if row["archived_at"] is not None:
            raise Invalid(f"vault_ids.{place}: Vault {vault_id} is archived.")
        if vault_id in vault_ids[:place]:
            raise Invalid(f"vault_ids.{place}: Vault {vault_id} is named twice.")
    return tuple(vault_ids)


def answer(row: Row) -> dict[str, Any]:
    """The wire's Vault of a row."""
    return {
        "id": row["id"],
        "type": "vault",
        "display_name": row["display_name"],
        "metadata": row["metadata"],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
        "archived_at": row["archived_at"],
    }
