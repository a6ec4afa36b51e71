"""What the installed official SDK can ask for and understands, read from the SDK itself.

Promises: every method of every resource of the beta client, with its request as it is sent; types
are the SDK's own, so that a new version shows what is new in it.
"""

import ast
import functools
import inspect
import textwrap
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import anthropic

LEFT_OUT = ("with_raw_response", "with_streaming_response")


@dataclass
class Method:
    """One method of the SDK."""

    id: str
    verb: str | None = None
    """None: it sends no request of its own."""
    path: str = ""
    body: dict[str, Any] = field(default_factory=dict)
    """The SDK's type of each field of the body."""
    query: tuple[str, ...] = ()


@functools.cache
def methods() -> dict[str, Method]:
    """Every method below `client.beta`, by its name as one writes it."""
    client = anthropic.AsyncAnthropic(api_key="none")
    return {one.id: one for one in _walk(client.beta, "")}


def _walk(resource: Any, prefix: str) -> Iterator[Method]:
    kind = type(resource)
    for name in sorted(dir(kind)):
        if name.startswith("_") or name in LEFT_OUT:
            continue
        member = inspect.getattr_static(kind, name)
        if inspect.isfunction(member):
            yield _method(f"{prefix}{name}", member)
        else:
            below = getattr(resource, name)
            if type(below).__module__.startswith("anthropic.resources."):
                yield from _walk(below, f"{prefix}{name}.")


def _method(name: str, function: Any) -> Method:
    found = Method(name)
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(function)))):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if called == "self._get_api_list":
            found.verb = "GET"
        elif called in ("self._get", "self._post", "self._put", "self._patch", "self._delete"):
            found.verb = called.removeprefix("self._").upper()
        else:
            continue
        paths = [one.value for one in ast.walk(node.args[0]) if isinstance(one, ast.Constant)]
        found.path = str(paths[0]) if paths else "?"  # computed by the method
        found.query = tuple(_pairs(node, "query"))
        names = _pairs(node, "body")
        if names:
            hints = typing.get_type_hints(function)
            found.body = {key: hints[value] for key, value in names.items() if value in hints}
    return found


def _pairs(call: ast.Call, keyword: str) -> dict[str, str]:
    """The keys of a dictionary among a call's arguments, each with the parameter that fills it."""
    found: dict[str, str] = {}
    for one in ast.walk(call):
        if isinstance(one, ast.keyword) and one.arg == keyword and isinstance(one.value, ast.Dict):
            for key, value in zip(one.value.keys, one.value.values, strict=True):
                found[str(ast.literal_eval(key))] = ast.unparse(value)  # type: ignore[arg-type]
    return found


def constants(shape: Any, name: str) -> frozenset[str]:
    """The literal values of a TypedDict's or model's field; empty when it is none."""
    fields = getattr(shape, "model_fields", None)
    if fields is None:
        hint = typing.get_type_hints(shape).get(name)
    else:
        hint = fields[name].annotation if name in fields else None
    values = set()
    for one in _leaves(hint):
        if typing.get_origin(one) is typing.Literal:
            values |= {value for value in typing.get_args(one) if isinstance(value, str)}
    return frozenset(values)


def _leaves(hint: Any) -> Iterator[Any]:
    for one in members(hint):
        origin = typing.get_origin(one)
        if origin in (typing.Required, typing.NotRequired, typing.Annotated):
            yield from _leaves(typing.get_args(one)[0])
        else:
            yield one


def members(hint: Any) -> list[Any]:
    """The members of a union, unwrapped; the type itself when it is none."""
    origin = typing.get_origin(hint)
    if origin in (typing.Required, typing.NotRequired, typing.Annotated):
        return members(typing.get_args(hint)[0])
    if origin is typing.Union or str(origin) == "<class 'types.UnionType'>":
        return [one for part in typing.get_args(hint) for one in members(part)]
    return [hint]
