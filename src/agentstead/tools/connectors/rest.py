"""The five operations of a collection at an endpoint."""

from collections.abc import Mapping, Sequence
from typing import Any

from agentstead.tools.connectors.operation import Operation

QUERY: Mapping[str, Any] = {
    "type": "object",
    "description": "Parameters of the query, by name.",
    "additionalProperties": {
        "type": ["string", "number", "boolean", "array"],
        "items": {"type": ["string", "number", "boolean"]},
    },
}
ID: Mapping[str, Any] = {
    "type": ["string", "integer"],
    "minLength": 1,
    "description": "The entry's id: one segment of the address.",
}
BODY: Mapping[str, Any] = {"type": "object", "description": "The entry's fields."}


def operations(name: str, update_method: str) -> Sequence[Operation]:
    """Of a connector of this name."""
    one = ((("id", True)),)
    return (
        Operation(
            f"{name}_list",
            f"List entries of {name}; how to filter and page is the API's to say.",
            "GET",
            input_schema=schema(query=QUERY),
            open_query="query",
        ),
        Operation(
            f"{name}_get",
            f"Get one entry of {name} by its id.",
            "GET",
            one,
            schema("id", id=ID, query=QUERY),
            open_query="query",
        ),
        Operation(
            f"{name}_create",
            f"Create an entry of {name}.",
            "POST",
            input_schema=schema("body", body=BODY),
            body_field="body",
        ),
        Operation(
            f"{name}_update",
            f"Change an entry of {name}: "
            + ("the fields given." if update_method == "PATCH" else "it is replaced as a whole."),
            update_method,
            one,
            schema("id", "body", id=ID, body=BODY),
            body_field="body",
        ),
        Operation(
            f"{name}_delete", f"Delete an entry of {name}.", "DELETE", one, schema("id", id=ID)
        ),
    )


def schema(*required: str, **properties: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of an input."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }
