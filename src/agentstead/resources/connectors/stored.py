"""Connectors as they are stored, and as those who call them need them: with their secrets opened.

Promises: a secret is sealed and bound to its row and name; one that is handed out for a session is
masked in its log from then on; a credential from a vault is read anew for each call.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from agentstead.api.ports import Services
from agentstead.errors import ConnectorFault
from agentstead.resources.vaults.credentials import opened as credential_secret
from agentstead.resources.vaults.oauth import Oauth
from agentstead.store.seal import Seal
from agentstead.store.table import Row, readable
from agentstead.tools.connectors.connector import Declared, Rate

NAMED = """
    select c.* from sessions s join connectors c on c.workspace_id = s.workspace_id
    where s.id = %s and c.name = %s and c.archived_at is null
"""
CREDENTIAL = """
    select * from vault_credentials
    where workspace_id = %s and vault_id = %s and id = %s and archived_at is null
"""


def sealed(seal: Seal, connector_id: str, secrets: Mapping[str, str]) -> dict[str, str]:
    """Secrets as they are stored."""
    return {name: seal.seal(context(connector_id, name), text) for name, text in secrets.items()}


def context(connector_id: str, name: str) -> str:
    """What a sealed text is bound to."""
    return f"{connector_id}.{name}"


def declared(seal: Seal, row: Mapping[str, Any]) -> Declared:
    """A row as those need it who call the connector; without what lies in a vault."""
    secrets = {
        name: seal.open(context(row["id"], name), text) for name, text in row["sealed"].items()
    }
    return Declared(
        id=row["id"],
        workspace_id=row["workspace_id"],
        name=row["name"],
        version=row["version"],
        config=row["config"],
        secrets=secrets,
        permissions=row["permissions"],
        timeout_seconds=row["timeout_seconds"],
        retries_max=row["retries_max"],
        rate=rate(row["rate_limit"]),
        session_rate=rate(row["session_rate_limit"]),
    )


def rate(stored: Mapping[str, Any] | None) -> Rate | None:
    """A limit."""
    return None if stored is None else Rate(stored["requests"], stored["per_seconds"])


@dataclass(frozen=True, slots=True)
class StoredConnectors:
    """Whoever knows what is declared (`worker.servers.Source`)."""

    oauth: Oauth
    mask: Callable[[str, str], None]
    """Takes a session's id and every secret that is used for it."""

    async def named(self, session_id: str, name: str) -> Declared | None:
        """The connector of this name in a session's workspace."""
        row = await self.oauth.database.fetch_one(NAMED, (session_id, name))
        if row is None:
            return None
        found = await whole(self.oauth, declared(self.oauth.seal, row))
        for secret in found.secrets.values():
            self.mask(session_id, secret)
        return found


async def opened_for(services: Services, row: Row) -> Declared:
    """A connector that is called without a session. ConnectorFault."""
    oauth = Oauth(services.database, services.seal, services.http, services.clock, services.ids)
    return await whole(oauth, declared(services.seal, row))


async def whole(oauth: Oauth, found: Declared) -> Declared:
    """With the token that lies in a vault. ConnectorFault when there is none."""
    auth = found.config.get("auth") or {}
    if auth.get("type") != "vault":
        return found
    row = await oauth.database.fetch_one(
        CREDENTIAL, (found.workspace_id, auth["vault_id"], auth["credential_id"])
    )
    token = None if row is None else await _token(oauth, readable(row))
    if token is None:
        raise ConnectorFault(
            f"The credential {auth['credential_id']} of {found.name} is archived, deleted or cannot be "
            "renewed.",
            kind="auth",
        )
    return replace(found, secrets={**found.secrets, "token": token})


async def _token(oauth: Oauth, row: Row) -> str | None:
    if row["kind"] == "mcp_oauth":
        return await oauth.fresh(row)
    name = "token" if row["kind"] == "static_bearer" else "secret_value"
    return credential_secret(oauth.seal, row, name)
