"""APIs over HTTP as tools: by endpoint (list, get, create, update, delete) or by OpenAPI document.

Promises: a request stays below the declared endpoint, whatever a model puts into an id or a parameter;
its method is that of the tool, and nothing in it asks the target for another one; every write carries
the call's key as an idempotency key.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import quote, urlsplit

import httpx2
from pydantic import AfterValidator, Field, StringConstraints

from agentstead.errors import ConnectorFault
from agentstead.sandbox.sandbox import Outcome
from agentstead.tools.connectors import openapi, rest
from agentstead.tools.connectors.connector import (
    OUTPUT_CHARACTERS_MAX,
    ConnectorCall,
    ConnectorTool,
    Declared,
    Means,
)
from agentstead.tools.connectors.http import Answer, Http, Request
from agentstead.tools.connectors.operation import KEY_HEADER, NOT_TO_SET, Operation
from agentstead.tools.tool import Effect
from agentstead.wire.shape import Id, OneOf, Shape, Text, printable

OVERRIDES = frozenset({"_method", "_httpmethod", "x-http-method-override", "x-method-override"})
"""Parameters by which some frameworks are told to take another method than the request's."""


def _endpoint(url: str) -> str:
    try:
        parts = urlsplit(url)
        _ = parts.port
        parsed = httpx2.URL(url)
    except (ValueError, httpx2.InvalidURL):
        raise ValueError("Not a valid URL") from None
    if parts.scheme not in ("http", "https") or not parsed.host:
        raise ValueError("Must begin with https:// or http:// and name a host")
    if parts.username or parts.password:
        raise ValueError("Credentials do not belong into the URL; use auth")
    if parts.query or parts.fragment:
        raise ValueError("Must have no query and no fragment")
    if any(part in (".", "..") for part in parts.path.split("/")):
        raise ValueError("Must have no . or .. in its path")
    return url


def _headers(given: dict[str, str]) -> dict[str, str]:
    for name in given:
        if name.lower() in NOT_TO_SET:
            raise ValueError(f"{name} cannot be set here")
    return given


Secret = Annotated[str, StringConstraints(min_length=1, max_length=8192), AfterValidator(printable)]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$")]
HeaderValue = Annotated[str, StringConstraints(max_length=8192), AfterValidator(printable)]


class Bearer(Shape):
    """A token in `Authorization`."""

    type: Literal["bearer"]
    token: Secret


class Header(Shape):
    """A secret in a header of any name."""

    type: Literal["header"]
    name: HeaderName
    value: Secret


class Basic(Shape):
    """User and password."""

    type: Literal["basic"]
    username: Secret
    password: Secret


class FromVault(Shape):
    """A credential of a vault, as a bearer token."""

    type: Literal["vault"]
    vault_id: Id
    credential_id: Id


Auth = Annotated[Bearer | Header | Basic | FromVault, OneOf()]


class ApiConfig(Shape):
    """An API."""

    type: Literal["api"]
    endpoint: Annotated[Text, StringConstraints(max_length=2048), AfterValidator(_endpoint)]
    auth: Auth | None = None
    headers: (
        Annotated[dict[HeaderName, HeaderValue], Field(max_length=32), AfterValidator(_headers)]
        | None
    ) = None
    openapi: dict[str, Any] | None = None
    """An OpenAPI 3 document; its servers do not count, the endpoint does."""
    update_method: Literal["PATCH", "PUT"] = "PATCH"
    idempotency_keys: bool = False
    """The target does a write once per `Idempotency-Key`: so one may be sent again after a fault."""


class Api:
    """The kind."""

    name: ClassVar[str] = "api"
    config: ClassVar[type[Shape]] = ApiConfig
    effects: ClassVar[tuple[Effect, ...]] = (Effect.READ, Effect.WRITE, Effect.DELETE)

    def divided(
        self,
        given: Mapping[str, Any],
        means: Means,  # noqa: ARG002
    ) -> tuple[dict[str, Any], dict[str, str]]:
        """Settings and secrets."""
        config, secrets = dict(given), {}
        auth = dict(config.get("auth") or {})
        for name in ("token", "value", "password"):
            if name in auth:
                secrets[name] = auth.pop(name)
        if auth:
            config["auth"] = auth
        if config.get("openapi") is not None:
            openapi.operations("x", config["openapi"])
        return config, secrets

    def open(self, declared: Declared, means: Means) -> "ApiConnector":
        """The connector."""
        return ApiConnector(declared, means)


@dataclass(frozen=True, slots=True)
class Offered:
    """A tool and what it sends."""

    tool: ConnectorTool
    operation: Operation


class ApiConnector:
    """One API."""

    def __init__(self, declared: Declared, means: Means) -> None:
        config = declared.config
        self.declared = declared
        self.endpoint = httpx2.URL(config["endpoint"])
        self.http = Http(self.endpoint.host, means.targets, means.clock)
        document = config.get("openapi")
        found = (
            rest.operations(declared.name, config.get("update_method", "PATCH"))
            if document is None
            else openapi.operations(declared.name, document)
        )
        keyed = bool(config.get("idempotency_keys"))
        self.offered = {one.name: Offered(one.tool(keyed), one) for one in found}

    @property
    def tools(self) -> Sequence[ConnectorTool]:
        """All of it."""
        return [one.tool for one in self.offered.values()]

    async def call(self, call: ConnectorCall) -> Outcome:
        """Send it once."""
        operation = self.offered[call.tool.name].operation
        headers = {**self._headers(), **operation.headers(call.input)}
        if call.tool.effect is not Effect.READ:
            headers[KEY_HEADER] = call.key
        params, body = operation.params(call.input), operation.body(call.input)
        for one in (params, body):
            no_override(one)
        request = Request(
            operation.method,
            below(self.endpoint, operation.path(call.input)),
            headers,
            params,
            body,
        )
        return shown(await self.http.done(request))

    async def check(self) -> None:
        """A HEAD to the endpoint: any answer that does not refuse access will do."""
        answer = await self.http.send(Request("HEAD", self.endpoint, self._headers()))
        if answer.status in (401, 403, 407):
            raise ConnectorFault(f"HTTP status {answer.status}.", kind="auth")

    async def close(self) -> None:
        """Close the connections."""
        await self.http.close()

    def _headers(self) -> dict[str, str]:
        config, secrets = self.declared.config, self.declared.secrets
        headers = {"accept": "application/json, text/*;q=0.9, */*;q=0.1"}
        headers |= {name.lower(): value for name, value in (config.get("headers") or {}).items()}
        auth = config.get("auth") or {}
        kind = auth.get("type")
        if kind in ("bearer", "vault"):
            headers["authorization"] = f"Bearer {secrets['token']}"
        elif kind == "header":
            headers[auth["name"].lower()] = secrets["value"]
        elif kind == "basic":
            pair = f"{auth['username']}:{secrets['password']}".encode()
            headers["authorization"] = f"Basic {b64encode(pair).decode()}"
        return headers


def below(endpoint: httpx2.URL, segments: Sequence[str]) -> httpx2.URL:
    """An address under the endpoint; each segment is one, whatever is in it. ConnectorFault."""
    for segment in segments:
        if segment in ("", ".", ".."):
            raise ConnectorFault(f'"{segment}" cannot be part of an address.', kind="invalid")
    base = endpoint.raw_path.decode().rstrip("/")
    path = "/".join((base, *(quote(segment, safe="") for segment in segments)))
    return endpoint.copy_with(raw_path=(path or "/").encode())


def no_override(given: Any) -> None:
    """A parameter that asks for another method is refused."""
    if isinstance(given, Mapping):
        for name in given:
            if str(name).lower() in OVERRIDES:
                raise ConnectorFault(
                    f"{name} is not allowed: a tool has one method.", kind="denied"
                )


def shown(answer: Answer) -> Outcome:
    """An answer as a model reads it."""
    text = answer.text
    if text is None:
        return Outcome.text(
            f"HTTP status {answer.status}: {len(answer.body)} bytes of {answer.content_type}, "
            "which is no text."
        )
    if len(text) > OUTPUT_CHARACTERS_MAX:
        left = len(text) - OUTPUT_CHARACTERS_MAX
        text = (
            f"{text[:OUTPUT_CHARACTERS_MAX]}\n[{left} more characters are left out; ask for less]"
        )
    return Outcome.text(text or f"HTTP status {answer.status}.")
