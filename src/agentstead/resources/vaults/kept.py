"""What is kept of a credential's authentication: the part that is shown, and the secrets.

Promises: a secret is in no value that is shown and in no message; what identifies a credential (its
type, server, variable, token endpoint, client) never changes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from agentstead.errors import Invalid
from agentstead.resources.vaults.auth import (
    Auth,
    AuthUpdate,
    NoClientSecret,
    Oauth,
    OauthUpdate,
    StaticBearer,
    StaticBearerUpdate,
    Variable,
    VariableUpdate,
)
from agentstead.wire.shape import Shape

Future = Callable[[str | None, str], str | None]
"""Checks that the time of a field lies ahead, and gives it as it is shown."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A credential's authentication as it is stored."""

    shown: dict[str, Any]
    """As on the wire: no secret."""
    secrets: Mapping[str, str]
    """token | access_token | refresh_token | client_secret | secret_value, those that are new."""

    @property
    def key(self) -> str:
        """By what it is found; unique among a vault's live credentials of its sort."""
        if self.shown["type"] == "environment_variable":
            return str(self.shown["secret_name"])
        return normalised(str(self.shown["mcp_server_url"]))


def normalised(url: str) -> str:
    """A server's URL as credentials are matched by: scheme and host in lower case, no default port,
    no slash at the end.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    default = {"http": 80, "https": 443}.get(parts.scheme.lower())
    port = "" if parts.port in (None, default) else f":{parts.port}"
    path = parts.path.removesuffix("/")
    return urlunsplit((parts.scheme.lower(), host + port, path, parts.query, ""))


def kept(auth: Auth, future: Future) -> Kept:
    """A new credential."""
    match auth:
        case StaticBearer():
            shown = {"type": auth.type, "mcp_server_url": auth.mcp_server_url}
            return Kept(shown, {"token": auth.token})
        case Oauth():
            return _new_oauth(auth, future)
        case Variable():
            return Kept(
                {
                    "type": auth.type,
                    "secret_name": auth.secret_name,
                    "networking": auth.networking.model_dump(mode="json"),
                    "injection_location": _injected(auth.injection_location.model_dump()),
                },
                {"secret_value": auth.secret_value},
            )


def _new_oauth(auth: Oauth, future: Future) -> Kept:
    secrets = {"access_token": auth.access_token}
    refresh = None
    if auth.refresh is not None:
        way = auth.refresh.token_endpoint_auth
        secrets["refresh_token"] = auth.refresh.refresh_token
        if not isinstance(way, NoClientSecret):
            secrets["client_secret"] = way.client_secret
        refresh = {
            "token_endpoint": auth.refresh.token_endpoint,
            "client_id": auth.refresh.client_id,
            "token_endpoint_auth": {"type": way.type},
            "scope": auth.refresh.scope,
            "resource": auth.refresh.resource,
        }
    shown = {
        "type": auth.type,
        "mcp_server_url": auth.mcp_server_url,
        "expires_at": future(auth.expires_at, "auth.expires_at"),
        "refresh": refresh,
    }
    return Kept(shown, secrets)


def changed(
    stored: Mapping[str, Any],
    auth: AuthUpdate,
    future: Future,
) -> Kept:
    """A credential after an update; Invalid when that would change what it is."""
    if auth.type != stored["type"]:
        raise Invalid(
            f'auth.type: The type of a credential cannot change from "{stored["type"]}" to '
            f'"{auth.type}".'
        )
    match auth:
        case StaticBearerUpdate():
            _same(stored, auth, "auth", "mcp_server_url")
            return Kept(dict(stored), _given(auth, "token"))
        case OauthUpdate():
            return _changed_oauth(stored, auth, future)
        case VariableUpdate():
            _same(stored, auth, "auth", "secret_name")
            shown = dict(stored)
            if auth.networking is not None:
                shown["networking"] = auth.networking.model_dump(mode="json")
            places = {**stored["injection_location"], **auth.injection_location.given()}
            shown["injection_location"] = _injected(places)
            return Kept(shown, _given(auth, "secret_value"))


def _changed_oauth(
    stored: Mapping[str, Any],
    auth: OauthUpdate,
    future: Future,
) -> Kept:
    _same(stored, auth, "auth", "mcp_server_url")
    shown = dict(stored)
    secrets = _given(auth, "access_token")
    if "expires_at" in auth.model_fields_set:
        shown["expires_at"] = future(auth.expires_at, "auth.expires_at")
    if auth.refresh is None:
        return Kept(shown, secrets)
    before = stored["refresh"]
    if before is None:
        raise Invalid("auth.refresh: This credential was made without refresh; make a new one.")
    _same(before, auth.refresh, "auth.refresh", "token_endpoint", "client_id", "resource")
    secrets |= _given(auth.refresh, "refresh_token")
    way = auth.refresh.token_endpoint_auth
    if way is not None:
        if before["token_endpoint_auth"]["type"] == "none":
            raise Invalid(
                "auth.refresh.token_endpoint_auth: This credential's client has no secret; "
                "make a new credential for one that has."
            )
        secrets |= _given(way, "client_secret")
    shown["refresh"] = dict(before)
    if auth.refresh.scope is not None:
        shown["refresh"]["scope"] = auth.refresh.scope or None
    return Kept(shown, secrets)


def _given(shape: Shape, name: str) -> dict[str, str]:
    value = getattr(shape, name)
    return {} if value is None else {name: value}


def _same(stored: Mapping[str, Any], shape: Shape, path: str, *names: str) -> None:
    for name in names:
        value = getattr(shape, name)
        if value is not None and value != stored[name]:
            raise Invalid(f"{path}.{name}: This cannot be changed; make a new credential.")


def _injected(places: dict[str, bool]) -> dict[str, bool]:
    if not any(places.values()):
        raise Invalid("auth.injection_location: At least one of header and body must be true.")
    return {"header": places["header"], "body": places["body"]}
