"""Checks a call's input against its tool's schema, and says which field is wrong.

Knows the part of JSON Schema that our tools use. A field given as null counts as left out: models
write that for optional fields.
"""

from collections.abc import Mapping
from typing import Any

KINDS: Mapping[str, Any] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "array": (list, tuple),
}
ARTICLES = {"string": "a string", "boolean": "true or false", "integer": "an integer"}


def given(tool_input: Mapping[str, Any]) -> dict[str, Any]:
    """The input without the fields that are null."""
    return {name: value for name, value in tool_input.items() if value is not None}


def problem(schema: Mapping[str, Any], tool_input: Mapping[str, Any]) -> str | None:
    """What is wrong with the input, starting with the field; None when nothing is."""
    fields = schema["properties"]
    for name in schema.get("required", ()):
        if name not in tool_input:
            return f"{name}: is required"
    for name, value in tool_input.items():
        if name not in fields:
            known = ", ".join(fields)
            return f"{name}: there is no such field; there are: {known}"
        wrong = _wrong(fields[name], value)
        if wrong:
            return f"{name}: {wrong}"
    return None


def _wrong(schema: Mapping[str, Any], value: Any) -> str | None:
    kind = schema["type"]
    # to Python, True is an integer
    if not isinstance(value, KINDS[kind]) or (kind == "integer" and isinstance(value, bool)):
        return f"must be {ARTICLES.get(kind, 'a list')}"
    if kind == "string" and len(value) < schema.get("minLength", 0):
        return "must not be empty"
    if kind == "integer" and value < schema.get("minimum", value):
        return f"must be at least {schema['minimum']}"
    if kind == "array":
        return _wrong_items(schema, value)
    return None


def _wrong_items(schema: Mapping[str, Any], value: Any) -> str | None:
    few, many = schema.get("minItems", 0), schema.get("maxItems", len(value))
    if not few <= len(value) <= many:
        return f"must have {few} items" if few == many else f"must have {few} to {many} items"
    if any(_wrong(schema["items"], item) for item in value):
        return f"each item must be {ARTICLES[schema['items']['type']]}"
    return None
