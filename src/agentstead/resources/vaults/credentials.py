"""Credentials of a vault.

Promises: what is stored of a secret is sealed and bound to its row and field; no answer, message or
audit row holds one; an archived credential has none any more.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, StringConstraints

from agentstead.api.query import instant
from agentstead.api.router import Call, Router
from agentstead.clock import rfc3339
from agentstead.errors import Conflict, Invalid, NotFound
from agentstead.resources.listing import newest_first
from agentstead.resources.vaults.auth import Auth, AuthUpdate
from agentstead.resources.vaults.kept import Future, Kept, changed, kept
from agentstead.store.seal import Seal
from agentstead.store.table import Asks, Filter, Row, Table, Write, moment
from agentstead.wire.answers.answer import Deleted, Page
from agentstead.wire.answers.vault import Credential
from agentstead.wire.shape import Metadata, MetadataPatch, Shape, patch_metadata, printable

router = Router("Vaults")
credentials = Table("vault_credentials", "vault_credential")
CREDENTIAL = "vcrd"
CREDENTIALS_MAX = 20
PATH = "/v1/vaults/{vault_id}/credentials"
ONE = PATH + "/{credential_id}"


class CredentialCreate(Shape):
    """A new credential."""

    auth: Auth
    display_name: (
        Annotated[str, StringConstraints(max_length=255), AfterValidator(printable)] | None
    ) = None
    metadata: Metadata | None = None


class CredentialUpdate(Shape):
    """New secrets, or what may change of a credential's settings."""

    auth: AuthUpdate | None = None
    display_name: (
        Annotated[str, StringConstraints(min_length=1, max_length=255), AfterValidator(printable)]
        | None
    ) = None
    metadata: MetadataPatch | None = None


@router.post(PATH, CredentialCreate, answer=Credential)
async def create(call: Call, vault_id: str, body: CredentialCreate) -> Mapping[str, Any]:
    """Create a credential. It is not tried out."""
    auth = kept(body.auth, future(call.now))
    credential_id = call.services.ids.new(CREDENTIAL)
    values = {
        "id": credential_id,
        "vault_id": vault_id,
        "display_name": body.display_name or None,
        "metadata": patch_metadata({}, body.metadata),
        "kind": auth.shown["type"],
        "key": auth.key,
        "auth": auth.shown,
        "sealed": sealed(call.services.seal, credential_id, auth.secrets),
    }
    async with call.services.database.transaction() as tx:
        write = call.write(tx)
        await lock_vault(write, vault_id)
        await check_room(write, vault_id, auth)
        await credentials.insert(write, values)
        return answer(await find(tx, call.workspace_id, vault_id, credential_id))


@router.get(PATH, query=("include_archived", "limit", "page"), answer=Page[Credential])
async def list_credentials(call: Call, vault_id: str) -> Mapping[str, Any]:
    """List a vault's credentials, newest first."""
    await check_vault(call.services.database, call.workspace_id, vault_id)
    filters = [Filter("t.vault_id = %s", (vault_id,))]
    if not call.query.flag("include_archived"):
        filters.append(Filter("t.archived_at is null"))
    return await newest_first(call, credentials, f"credentials:{vault_id}", filters, answer)


@router.get(ONE, answer=Credential)
async def retrieve(call: Call, vault_id: str, credential_id: str) -> Mapping[str, Any]:
    """Retrieve a credential; never its secrets."""
    found = await find(call.services.database, call.workspace_id, vault_id, credential_id)
    return answer(found)


@router.post(ONE, CredentialUpdate, answer=Credential)
async def update(
    call: Call, vault_id: str, credential_id: str, body: CredentialUpdate
) -> Mapping[str, Any]:
    """Change a credential; running sessions use it as it is from their next request on."""
    async with call.services.database.transaction() as tx:
        write = call.write(tx)
        row = await lock(write, vault_id, credential_id)
        if row["archived_at"] is not None:
            raise Invalid(f"Credential {credential_id} is archived and cannot be changed.")
        values: dict[str, Any] = {
            "display_name": body.display_name or row["display_name"],
            "metadata": patch_metadata(row["metadata"], body.metadata),
        }
        if body.auth is not None:
            auth = changed(row["auth"], body.auth, future(call.now))
            values["auth"] = auth.shown
            if auth.secrets:
                new = sealed(call.services.seal, credential_id, auth.secrets)
                values["sealed"] = {**row["sealed"], **new}
        if any(values[name] != row[name] for name in values):
            await credentials.update(write, credential_id, values)
        return answer(await find(tx, call.workspace_id, vault_id, credential_id))


@router.post(ONE + "/archive", answer=Credential)
async def archive(call: Call, vault_id: str, credential_id: str) -> Mapping[str, Any]:
    """Archive a credential: its secrets are gone for good, its place is free."""
    async with call.services.database.transaction() as tx:
        write = call.write(tx)
        row = await lock(write, vault_id, credential_id)
        if row["archived_at"] is None:
            await put_away(write, credential_id)
        return answer(await find(tx, call.workspace_id, vault_id, credential_id))


@router.delete(ONE, answer=Deleted)
async def delete(call: Call, vault_id: str, credential_id: str) -> Mapping[str, Any]:
    """Delete a credential."""
    async with call.services.database.transaction() as tx:
        write = call.write(tx)
        await lock(write, vault_id, credential_id)
        await credentials.delete(write, credential_id)
    return {"id": credential_id, "type": "vault_credential_deleted"}


async def purge(write: Write, vault_id: str) -> None:
    """Archive every live credential of a vault."""
    live = await write.tx.fetch(
        "select id from vault_credentials where vault_id = %s and archived_at is null"
        " order by id for update",
        (vault_id,),
    )
    for row in live:
        await put_away(write, row["id"])


async def put_away(write: Write, credential_id: str) -> None:
    """Archive one: the record stays, without secrets."""
    values = {"sealed": {}, "archived_at": moment(write.at)}
    await credentials.update(write, credential_id, values, "archive")


async def check_room(write: Write, vault_id: str, auth: Kept) -> None:
    """Invalid when the vault is full, Conflict when the credential's place is taken."""
    live = await write.tx.fetch(
        "select kind, key from vault_credentials where vault_id = %s and archived_at is null",
        (vault_id,),
    )
    variable = auth.shown["type"] == "environment_variable"
    for row in live:
        if row["key"] == auth.key and (row["kind"] == "environment_variable") == variable:
            name = "secret_name" if variable else "mcp_server_url"
            raise Conflict(
                f"auth.{name}: The vault already has a live credential for {auth.shown[name]}; "
                "archive it first."
            )
    if len(live) >= CREDENTIALS_MAX:
        raise Invalid(f"A vault holds at most {CREDENTIALS_MAX} credentials that are not archived.")


async def check_vault(asks: Asks, workspace_id: str, vault_id: str) -> None:
    """NotFound unless there is such a vault."""
    found = await asks.fetch_one(
        "select 1 from vaults where workspace_id = %s and id = %s", (workspace_id, vault_id)
    )
    if found is None:
        raise NotFound(f"Vault {vault_id} not found.")


async def lock_vault(write: Write, vault_id: str) -> None:
    """Hold a vault that takes new credentials; NotFound, or Invalid when it is archived."""
    row = await write.tx.fetch_one(
        "select archived_at from vaults where workspace_id = %s and id = %s for update",
        (write.workspace_id, vault_id),
    )
    if row is None:
        raise NotFound(f"Vault {vault_id} not found.")
    if row["archived_at"] is not None:
        raise Invalid(f"Vault {vault_id} is archived and takes no credentials.")


async def find(asks: Asks, workspace_id: str, vault_id: str, credential_id: str) -> Row:
    """One credential of this vault; NotFound."""
    return within(vault_id, await credentials.retrieve(asks, workspace_id, credential_id))


async def lock(write: Write, vault_id: str, credential_id: str) -> Row:
    """The same, locked until the transaction ends."""
    return within(vault_id, await credentials.lock(write, credential_id))


def within(vault_id: str, row: Row) -> Row:
    """The row, if it is of this vault; NotFound."""
    if row["vault_id"] != vault_id:
        raise NotFound(f"Vault credential {row['id']} not found.")
    return row


def sealed(seal: Seal, credential_id: str, secrets: Mapping[str, str]) -> dict[str, str]:
    """Secrets as they are stored."""
    return {name: seal.seal(context(credential_id, name), text) for name, text in secrets.items()}


def opened(seal: Seal, row: Row, name: str) -> str | None:
    """One secret of a stored credential; None when it has none of this name."""
    text = row["sealed"].get(name)
    return None if text is None else seal.open(context(row["id"], name), text)


def context(credential_id: str, name: str) -> str:
    """What a sealed text is bound to."""
    return f"{credential_id}.{name}"


def future(now: float) -> Future:
    """Checks times that must lie ahead of `now`."""

    def checked(text: str | None, path: str) -> str | None:
        if text is None:
            return None
        try:
            at = instant(text)
        except ValueError:
            raise Invalid(f"{path}: Must be an RFC 3339 time.") from None
        if at <= now:
            raise Invalid(f"{path}: Must be in the future.")
        return rfc3339(at)

    return checked


def answer(row: Row) -> dict[str, Any]:
    """The wire's Credential of a row."""
    return {
        "id": row["id"],
        "type": "vault_credential",
        "vault_id": row["vault_id"],
        "display_name": row["display_name"],
        "metadata": row["metadata"],
        "auth": row["auth"],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
        "archived_at": row["archived_at"],
    }
