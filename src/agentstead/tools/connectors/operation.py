"""One operation of an API: the tool it is, and what of a call's input goes where."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentstead.tools.connectors.connector import ConnectorTool
from agentstead.tools.tool import Effect

KEY_HEADER = "idempotency-key"
NOT_TO_SET = frozenset(
    (
        "authorization", "connection", "content-length", "content-type", "cookie", "host",
        "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade", KEY_HEADER,
        "x-http-method", "x-http-method-override", "x-method-override",
    )
)  # fmt: skip
"""Headers that neither a declaration nor a model sets: they would change whose or which request it is."""
EFFECTS: Mapping[str, Effect] = {
    "GET": Effect.READ,
    "HEAD": Effect.READ,
    "POST": Effect.WRITE,
    "PUT": Effect.WRITE,
    "PATCH": Effect.WRITE,
    "DELETE": Effect.DELETE,
}


@dataclass(frozen=True, slots=True)
class Operation:
    """A method on a path."""

    name: str
    description: str
    method: str
    template: tuple[tuple[str, bool], ...] = ()
    """The segments below the endpoint; True: the name of a field whose value it is."""
    input_schema: Mapping[str, Any] | None = None
    query: frozenset[str] = frozenset()
    """Fields that go into the query by their own names."""
    open_query: str | None = None
    """A field whose own fields all go into the query."""
    header_fields: frozenset[str] = frozenset()
    body_field: str | None = None

    def tool(self, keyed: bool) -> ConnectorTool:
        """As a tool; `keyed`: its writes are done once per key."""
        schema = self.input_schema or {"type": "object", "properties": {}}
        return ConnectorTool(self.name, self.description, schema, EFFECTS[self.method], keyed)

    def path(self, given: Mapping[str, Any]) -> Sequence[str]:
        """The segments of a call."""
        return [text_of(given[part]) if is_field else part for part, is_field in self.template]

    def params(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The query of a call."""
        own = {name: given[name] for name in self.query if name in given}
        spread = given.get(self.open_query) if self.open_query else None
        merged = {**(spread if isinstance(spread, Mapping) else {}), **own}
        return {name: value_of(value) for name, value in merged.items()}

    def headers(self, given: Mapping[str, Any]) -> dict[str, str]:
        """The headers of a call."""
        found = {name: text_of(given[name]) for name in self.header_fields if name in given}
        return {name.lower(): " ".join(value.split()) for name, value in found.items()}

    def body(self, given: Mapping[str, Any]) -> Any:
        """The JSON of a call."""
        return given.get(self.body_field) if self.body_field else None


def value_of(value: Any) -> Any:
    """A value in a query: lists are repeated."""
    return [text_of(one) for one in value] if isinstance(value, list) else text_of(value)


def text_of(value: Any) -> str:
    """A value in a path, a query or a header."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
