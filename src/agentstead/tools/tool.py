"""The contract of a tool: name, words, input schema, effect, and how it is run.

A call's input comes from a model, so it is checked against the schema before anything is done; what
is wrong with it is a result that names the field, never an exception. The check knows the part of
JSON Schema that our tools use; a field given as null counts as left out, as models write that for
optional fields.

Permission, retry, time limits, audit and metrics are not here: every tool gets them alike from
`harness/permission.py` and `worker/run_tools.py`.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from agentstead.sandbox.sandbox import Outcome, Sandbox, SandboxSpec

KINDS: Mapping[str, Any] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "array": (list, tuple),
}
ARTICLES = {"string": "a string", "boolean": "true or false", "integer": "an integer"}


class Effect(StrEnum):
    """What a call may change."""

    READ = "read"
    WRITE = "write"
    DELETE = "delete"
    SEND = "send"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call, with the place it runs in."""

    id: str
    """The tool-use event's id: the once-only key."""
    session_id: str
    input: Mapping[str, Any]
    sandbox: Sandbox
    spec: SandboxSpec


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool the model may call."""

    name: str
    description: str
    """What the model reads; from the `.md` file beside the tool."""
    input_schema: Mapping[str, Any]
    effect: Effect
    run: Callable[[ToolCall], Awaitable[Outcome]]


def in_sandbox(
    name: str,
    schema: Mapping[str, Any],
    check: Callable[[Mapping[str, Any]], str | None] = lambda _: None,
) -> Callable[[ToolCall], Awaitable[Outcome]]:
    """The `run` of a tool whose work a sandbox does; `check` says what else is wrong with an input."""

    async def run(call: ToolCall) -> Outcome:
        tool_input = given(call.input)
        wrong = problem(schema, tool_input) or check(tool_input)
        if wrong:
            return Outcome.text(f"{name}: {wrong}", is_error=True)
        return await call.sandbox.call(call.session_id, call.spec, call.id, name, tool_input)

    return run


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
