"""The description of the API (OpenAPI 3.1), made from the routers.

Promises: each mounted route is in it, with its body's schema and the parameters it reads.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from agentstead import __version__
from agentstead.api.downloads import Download
from agentstead.api.router import JSON, Handler, Route, Router
from agentstead.api.sse import Stream

TAKEN: JsonSchemaMode = "validation"
GIVEN: JsonSchemaMode = "serialization"
PLAIN = {Stream: "text/event-stream", Download: "application/octet-stream"}
"""Answers that are no JSON."""
PARAMETER = re.compile(r"{(\w+)(?::\w+)?}")
ERROR = {
    "type": "object",
    "required": ["type", "error", "request_id"],
    "properties": {
        "type": {"const": "error"},
        "error": {
            "type": "object",
            "required": ["type", "message"],
            "properties": {
                "type": {"type": "string"},
                "message": {"type": "string"},
                "details": {
                    "type": "object",
                    "properties": {"error_code": {"type": "string"}},
                },
            },
        },
        "request_id": {"type": "string"},
    },
}


def describe(routers: Iterable[Router]) -> dict[str, Any]:
    """The whole description."""
    pairs = [(router, route) for router in routers for route in router.routes]
    shapes = {
        (one, mode): TypeAdapter(one)
        for _, route in pairs
        for one, mode in ((route.body, TAKEN), (route.answer, GIVEN))
        if one is not None and one not in PLAIN
    }
    names, schemas = TypeAdapter.json_schemas(
        [(one, mode, adapter) for (one, mode), adapter in shapes.items()],
        ref_template="#/components/schemas/{model}",
    )
    paths: dict[str, dict[str, Any]] = {}
    for router, route in pairs:
        paths.setdefault(PARAMETER.sub(r"{\1}", route.path), {})[route.method.lower()] = operation(
            router, route, names.get((route.body, TAKEN)), success(route, names)
        )
    return {
        "openapi": "3.1.0",
        "info": {"title": "Agentstead", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": {**schemas.get("$defs", {}), "Error": ERROR},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
        "security": [{"bearer": []}, {"key": []}],
    }


def operation(router: Router, route: Route, schema: Any, content: dict[str, Any]) -> dict[str, Any]:
    """One method on one path."""
    summary, _, more = (route.handler.__doc__ or "").strip().partition("\n")
    found: dict[str, Any] = {
        "tags": [router.tag],
        "operationId": name_of(route.handler),
        "summary": summary.rstrip("."),
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in PARAMETER.findall(route.path)
        ]
        + [{"name": name, "in": "query", "schema": {"type": "string"}} for name in route.query],
        "responses": {
            "200": {"description": "Done.", "content": content},
            "default": {
                "description": "Not done.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
            },
        },
    }
    if more.strip():
        found["description"] = more.strip()
    if schema is not None:
        found["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema}},
        }
    if route.form is not None:
        form = {"type": "object", "properties": dict(route.form.schema)}
        found["requestBody"] = {
            "required": True,
            "content": {"multipart/form-data": {"schema": form}},
        }
    if not route.needs_key:
        found["security"] = []
    return found


def success(route: Route, names: Mapping[Any, Any]) -> dict[str, Any]:
    """The content of an answer."""
    if route.answer in PLAIN:
        return {PLAIN[route.answer]: {"schema": {"type": "string"}}}
    return {JSON: {"schema": names.get((route.answer, GIVEN), {})}}


def name_of(handler: Handler) -> str:
    """A handler's name and the noun it belongs to, e.g. `vaults_credentials_create`."""
    room = handler.__module__.removeprefix("agentstead.").removeprefix("resources.")
    return f"{room}.{handler.__name__}".replace(".", "_")
