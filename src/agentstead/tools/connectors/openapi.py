"""Operations from an OpenAPI 3 document. What cannot be offered faithfully is refused when it is declared."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agentstead.errors import Invalid
from agentstead.tools.connectors.operation import EFFECTS, NOT_TO_SET, Operation

OPERATIONS_MAX = 200
DEPTH_MAX = 24
NAME_CHARACTERS_MAX = 64
FIELD = "config.openapi"
SET_BY_US = frozenset({"accept", "authorization", "content-type"})
"""Header parameters that a document may describe and a model never sets."""
TEMPLATE = re.compile(r"\{([^{}]+)\}")


def operations(name: str, document: Mapping[str, Any]) -> Sequence[Operation]:
    """All of a document; Invalid says where it is wrong."""
    if not str(document.get("openapi", "")).startswith("3."):
        raise Invalid(f"{FIELD}: Must be an OpenAPI document of version 3.")
    paths = document.get("paths")
    if not isinstance(paths, Mapping) or not paths:
        raise Invalid(f"{FIELD}.paths: There are none.")
    found: dict[str, Operation] = {}
    for one in _each(name, document, paths):
        if one.name in found:
            raise Invalid(
                f"{FIELD}: Two operations would be called {one.name}; give them operationIds."
            )
        found[one.name] = one
        if len(found) > OPERATIONS_MAX:
            raise Invalid(
                f"{FIELD}: More than {OPERATIONS_MAX} operations; leave out what is not needed."
            )
    if not found:
        raise Invalid(f"{FIELD}.paths: There is no operation in them.")
    return tuple(found.values())


def _each(name: str, document: Mapping[str, Any], paths: Mapping[str, Any]) -> Iterator[Operation]:
    for path, item in paths.items():
        if not isinstance(item, Mapping) or not str(path).startswith("/"):
            raise Invalid(f'{FIELD}.paths: "{path}" must begin with / and hold an object.')
        for method, operation in item.items():
            if method.upper() in EFFECTS and isinstance(operation, Mapping):
                shared = item.get("parameters") or []
                yield _operation(name, document, str(path), method.upper(), operation, shared)


def _operation(
    name: str,
    document: Mapping[str, Any],
    path: str,
    method: str,
    operation: Mapping[str, Any],
    shared: Sequence[Any],
) -> Operation:
    where = f"{FIELD}.paths.{path}.{method.lower()}"
    placed: dict[str, dict[str, Mapping[str, Any]]] = {"path": {}, "query": {}, "header": {}}
    for parameter in [*shared, *(operation.get("parameters") or [])]:
        one = resolved(document, parameter)
        place, label = one.get("in"), one.get("name")
        if place in placed and isinstance(label, str):
            placed[place][label] = one
    for label in [one for one in placed["header"] if _ours(one)]:
        del placed["header"][label]
    template = tuple(_template(where, path, placed["path"]))
    properties: dict[str, Any] = {}
    required: list[str] = []
    for place, parameters in placed.items():
        for label, parameter in parameters.items():
            if label in properties:
                raise Invalid(f"{where}: Two parameters are called {label}.")
            properties[label] = _described(parameter)
            if place == "path" or parameter.get("required"):
                required.append(label)
    body = _body(where, document, operation, properties, required)
    words = operation.get("description") or operation.get("summary") or f"{method} {path}"
    return Operation(
        name=_name(name, method, path, operation),
        description=str(words)[:4000],
        method=method,
        template=template,
        input_schema={
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        },
        query=frozenset(placed["query"]),
        header_fields=frozenset(placed["header"]),
        body_field=body,
    )


def _ours(header: str) -> bool:
    return header.lower() in NOT_TO_SET | SET_BY_US


def _template(where: str, path: str, parameters: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    for segment in path.strip("/").split("/") if path.strip("/") else ():
        whole = TEMPLATE.fullmatch(segment)
        if whole is None and TEMPLATE.search(segment):
            raise Invalid(
                f'{where}: "{segment}" mixes text and a parameter, which is not supported.'
            )
        if whole is not None and whole[1] not in parameters:
            raise Invalid(f'{where}: The path names "{whole[1]}", which is no path parameter.')
        yield (whole[1], True) if whole else (segment, False)


def _described(parameter: Mapping[str, Any]) -> dict[str, Any]:
    schema = dict(parameter.get("schema") or {"type": "string"})
    if parameter.get("description"):
        schema.setdefault("description", str(parameter["description"]))
    return schema


def _body(
    where: str,
    document: Mapping[str, Any],
    operation: Mapping[str, Any],
    properties: dict[str, Any],
    required: list[str],
) -> str | None:
    """Add the body to a tool's fields; the field's name."""
    if not operation.get("requestBody"):
        return None
    given = resolved(document, operation["requestBody"])
    content = given.get("content") or {}
    kind = next((one for one in content if one.partition(";")[0].endswith("json")), None)
    if kind is None:
        if given.get("required"):
            raise Invalid(f"{where}: Its body is not JSON, which is the only one supported.")
        return None
    label = "body" if "body" not in properties else "request_body"
    properties[label] = (content[kind] or {}).get("schema") or {}
    if given.get("required"):
        required.append(label)
    return label


def _name(name: str, method: str, path: str, operation: Mapping[str, Any]) -> str:
    said = operation.get("operationId") or f"{method.lower()}_{path}"
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", str(said))
    plain = re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")
    return f"{name}_{plain}"[:NAME_CHARACTERS_MAX].rstrip("_")


def resolved(document: Mapping[str, Any], value: Any) -> Mapping[str, Any]:
    """A part of the document with its references put in; what refers to itself ends as anything."""
    found = _resolved(document, value, ())
    return found if isinstance(found, Mapping) else {}


def _resolved(document: Mapping[str, Any], value: Any, seen: tuple[str, ...]) -> Any:
    if len(seen) > DEPTH_MAX:
        return {}
    if isinstance(value, list):
        return [_resolved(document, one, seen) for one in value]
    if not isinstance(value, Mapping):
        return value
    reference = value.get("$ref")
    if isinstance(reference, str):
        if reference in seen:
            return {}
        return _resolved(document, _at(document, reference), (*seen, reference))
    return {
        name: _resolved(document, one, seen)
        for name, one in value.items()
        if name not in ("example", "examples", "xml", "externalDocs")
    }


def _at(document: Mapping[str, Any], reference: str) -> Any:
    if not reference.startswith("#/"):
        raise Invalid(f'{FIELD}: "{reference}" lies outside of the document; put it inside.')
    found: Any = document
    for step in reference[2:].split("/"):
        name = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(found, Mapping) or name not in found:
            raise Invalid(f'{FIELD}: "{reference}" is not in the document.')
        found = found[name]
    return found
