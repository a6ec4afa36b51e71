"""Tools by declaration: connectors of the platform, and functions of this program."""

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_type_hints

from pydantic import create_model

from agentstead.clock import SystemClock
from agentstead.errors import Invalid

CONNECTOR_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
FUNCTION_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
Function = Callable[..., Any | Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class ConnectorTool:
    """A connector as it is declared."""

    name: str
    body: Mapping[str, Any] = field(repr=False)
    """What `/v1/connectors` takes."""
    ask: Sequence[str] = ()
    """Names of its tools, without the connector's, that a person has to allow call by call."""


@dataclass(frozen=True, slots=True)
class FunctionTool:
    """A function of this program, which answers the agent's calls."""

    name: str
    description: str
    input_schema: Mapping[str, Any]
    shape: Any = field(repr=False)
    function: Function = field(repr=False)

    def __call__(self, *given: Any, **named: Any) -> Any:
        """Call it as before it was declared."""
        return self.function(*given, **named)

    async def answer(self, given: Mapping[str, Any]) -> Any:
        """What it answers to an input of the model's."""
        checked = self.shape.model_validate(dict(given))
        result = self.function(
            **{name: getattr(checked, name) for name in type(checked).model_fields}
        )
        return await result if inspect.isawaitable(result) else result


def api_tool(
    name: str,
    endpoint: str,
    permissions: Mapping[str, bool],
    *,
    auth: Mapping[str, Any] | None = None,
    openapi: Mapping[str, Any] | None = None,
    ask: Sequence[str] = (),
    headers: Mapping[str, str] | None = None,
    update_method: str | None = None,
    idempotency_keys: bool | None = None,
    **limits: Any,
) -> ConnectorTool:
    """An API over HTTP: its collection (list, get, create, update, delete), or an OpenAPI document's operations.

    `permissions`: read, write, delete. `auth`: `{"type": "bearer", "token": …}`, `header` (name, value),
    `basic` (username, password), `vault` (vault_id, credential_id). `ask`: e.g. `["create"]`. `limits`:
    rate_limit and session_rate_limit `{"requests": 10, "per_seconds": 1}`, timeout_seconds, retries_max.
    Raises Invalid, naming the field.
    """
    config = {
        "type": "api",
        "endpoint": endpoint,
        "auth": auth,
        "openapi": openapi,
        "headers": headers,
        "update_method": update_method,
        "idempotency_keys": idempotency_keys,
    }
    return connector(name, config, permissions, ask, limits)


def database_tool(
    name: str,
    connection: str,
    permissions: Mapping[str, bool],
    *,
    ask: Sequence[str] = (),
    rows_max: int | None = None,
    functions: Sequence[str] | None = None,
    **limits: Any,
) -> ConnectorTool:
    """A database: `postgresql://user:password@host/database`, `mysql://…`, `sqlite:////path`.

    `permissions`: read, write, delete. `ask`: e.g. `["execute"]`. `limits`: as of `api_tool`. Raises
    Invalid, naming the field and never the password.
    """
    config = {
        "type": "database",
        "connection": connection,
        "rows_max": rows_max,
        "functions": functions,
    }
    return connector(name, config, permissions, ask, limits)


def notification_tool(
    name: str,
    channel: str,
    permissions: Mapping[str, bool],
    *,
    via: str | None = None,
    url: str | None = None,
    credential: str | None = None,
    template: str | None = None,
    ask: Sequence[str] = (),
    **limits: Any,
) -> ConnectorTool:
    """A channel to people: Slack unless `via` says email, webhook or apprise.

    `permissions`: send. Without `url` and `credential` the operator's default is used. `limits`: as of
    `api_tool`. Raises Invalid, naming the field.
    """
    config = {
        "type": "notification",
        "channel": channel,
        "via": via or ("email" if name in ("email", "mail") else None),
        "url": url,
        "credential": credential,
        "template": template,
    }
    return connector(name, config, permissions, ask, limits)


def connector(
    name: str,
    config: Mapping[str, Any],
    permissions: Mapping[str, bool],
    ask: Sequence[str],
    limits: Mapping[str, Any],
) -> ConnectorTool:
    """A declaration, checked as the platform will check it."""
    from agentstead.resources.connectors.connectors import ConnectorCreate, resolved
    from agentstead.tools.connectors.apprise import ALLOWED
    from agentstead.tools.connectors.connector import Means
    from agentstead.tools.connectors.kinds import KINDS
    from agentstead.tools.connectors.targets import Targets
    from agentstead.wire.shape import validate

    given = {key: value for key, value in config.items() if value is not None}
    body = {"name": name, "config": given, "permissions": dict(permissions), **limits}
    validate(ConnectorCreate, body)
    resolved(str(config["type"]), permissions)
    if (
        config["type"] != "notification" or "url" in given
    ):  # else only the server knows its defaults
        means = Means(SystemClock(), Targets(), {ALLOWED: "there"})
        KINDS[str(config["type"])].divided(given, means)
    return ConnectorTool(name, body, tuple(ask))


def tool(function: Function) -> FunctionTool:
    """A function with type hints as a tool; its docstring is what the model reads. Invalid."""
    name = function.__name__
    words = inspect.getdoc(function)
    if not FUNCTION_NAME.fullmatch(name):
        raise Invalid(f"name: {name!r} cannot be the name of a tool.")
    if not words:
        raise Invalid(f"{name}: It needs a docstring: the model reads there what it does.")
    hints = get_type_hints(function)
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
            parameter.POSITIONAL_ONLY,
        ):
            raise Invalid(f"{name}.{parameter.name}: A tool takes named parameters only.")
        if parameter.name not in hints:
            raise Invalid(f"{name}.{parameter.name}: It needs a type.")
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (hints[parameter.name], default)
    shape = create_model(name, **fields)
    schema = {key: value for key, value in shape.model_json_schema().items() if key != "title"}
    return FunctionTool(name, words, schema, shape, function)
