"""Vaults and credentials; no secret is ever in an answer."""

from typing import Any, Literal

from agentstead.wire.answers.answer import Answer, Bag, Time


class Vault(Answer):
    """A box of credentials."""

    id: str
    type: Literal["vault"]
    display_name: str
    metadata: Bag
    created_at: Time
    updated_at: Time
    archived_at: Time | None


class Credential(Answer):
    """A credential without its secrets."""

    id: str
    type: Literal["vault_credential"]
    vault_id: str
    display_name: str | None
    metadata: Bag
    auth: dict[str, Any]
    created_at: Time
    updated_at: Time
    archived_at: Time | None


class Validation(Answer):
    """How a credential did on its server."""

    type: Literal["vault_credential_validation"]
    vault_id: str
    credential_id: str
    validated_at: Time
    status: Literal["valid", "invalid", "unknown"]
    has_refresh_token: bool
    mcp_probe: dict[str, Any] | None
    refresh: dict[str, Any] | None
