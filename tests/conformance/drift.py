"""Compares the SDK's types with ours: what it may send with our shapes, what it reads with our answers.

Promises: a difference is one line of text, the same in every run, so that known ones can be data.
"""

import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from tests.conformance.sdk_surface import constants, members

Schema = dict[str, Any]


class Requests:
    """Whether what the SDK may send fits a JSON schema of ours."""

    def __init__(self, schema: Schema) -> None:
        self.definitions = schema.get("$defs", {})
        self.seen: set[tuple[str, str]] = set()

    def differences(self, hint: Any, schema: Schema | None, path: str) -> Iterator[str]:
        """What the SDK may send at `path` that the schema does not take."""
        options = list(self.options(schema))
        for member in members(hint):
            yield from self.member(member, options, path)

    def options(self, schema: Schema | None) -> Iterator[Schema]:
        """The schemas that a value may fit, references followed."""
        if schema is None:
            return
        if "$ref" in schema:
            yield from self.options(self.definitions[schema["$ref"].rpartition("/")[2]])
        elif parts := schema.get("anyOf") or schema.get("oneOf"):
            for part in parts:
                yield from self.options(part)
        else:
            yield schema

    def member(self, hint: Any, options: list[Schema], path: str) -> Iterator[str]:
        """One member of a union against all we take."""
        origin = typing.get_origin(hint)
        if hint in (Any, object) or "Omit" in str(hint) or "NotGiven" in str(hint):
            return
        if origin is typing.Literal:
            yield from self.literals(hint, options, path)
        elif hasattr(hint, "__required_keys__"):
            yield from self.shape(hint, options, path)
        elif origin is dict or hint is dict:
            yield from self.kind("object", options, path)
        elif hint is type(None):
            yield from self.kind("null", options, path)
        elif hint in (str, int, float, bool) or "datetime" in str(hint):
            names = {str: "string", int: "integer", float: "number", bool: "boolean"}
            yield from self.kind(names.get(hint, "string"), options, path)
        elif typing.get_args(hint):
            lists = [one for one in options if one.get("type") == "array"]
            if not lists:
                yield f"{path}: a list"
            for one in lists:
                yield from self.differences(typing.get_args(hint)[0], one["items"], f"{path}[]")
        else:
            yield f"{path}: {hint}"

    def kind(self, name: str, options: list[Schema], path: str) -> Iterator[str]:
        """A value of a JSON type."""
        if not any(one.get("type") == name or not one for one in options):
            yield f"{path}: {name}"

    def literals(self, hint: Any, options: list[Schema], path: str) -> Iterator[str]:
        """Constant values."""
        for value in typing.get_args(hint):
            taken = any(
                value == one["const"] if "const" in one
                else value in one["enum"] if "enum" in one
                else one.get("type") == "string"
                for one in options
            )  # fmt: skip
            if not taken:
                yield f"{path}: {value!r}"

    def shape(self, hint: Any, options: list[Schema], path: str) -> Iterator[str]:
        """An object with named fields."""
        objects = [one for one in options if one.get("type") == "object"]
        if any("properties" not in one for one in objects):
            return  # anything goes
        if (path.rpartition(".")[2], hint.__name__) in self.seen:
            return
        self.seen.add((path.rpartition(".")[2], hint.__name__))
        tag = next((one for one in ("type", "name") if constants(hint, one)), None)
        if tag and len(objects) > 1:
            values = constants(hint, tag)
            objects = [
                one for one in objects if one["properties"].get(tag, {}).get("const") in values
            ] or [one for one in objects if self.takes(one["properties"].get(tag, {}), values)]
            path = f"{path}<{'|'.join(sorted(values))}>"
        if not objects:
            yield f"{path}: an object"
        for name, below in typing.get_type_hints(hint, include_extras=True).items():
            taken = [one["properties"][name] for one in objects if name in one["properties"]]
            if not taken and objects:
                yield f"{path}.{name}"
            for schema in taken[:1]:
                yield from self.differences(below, schema, f"{path}.{name}")

    def takes(self, schema: Schema, values: frozenset[str]) -> bool:
        """Whether a field takes one of these constants."""
        return any(
            one.get("const") in values or values & set(one.get("enum", ()))
            for one in self.options(schema)
        )


def unanswered(hint: Any, value: Any, path: str) -> Iterator[str]:
    """Fields of the SDK's type that an answer of ours lacks, and fields of ours it does not know."""
    for member in members(hint):
        if isinstance(value, list) and typing.get_origin(member) is list:
            for one in value:
                yield from unanswered(typing.get_args(member)[0], one, path)
        elif isinstance(value, dict) and _is_model(member) and _fits(member, value):
            yield from _fields(member, value)
            return


def _fields(model: type[BaseModel], value: dict[str, Any]) -> Iterator[str]:
    known = {field.alias or name: field for name, field in model.model_fields.items()}
    for name in known.keys() - value.keys():
        yield f"{model.__name__}.{name}"
    for name in value.keys() - known.keys():
        yield f"{model.__name__}+{name}"
    for name in known.keys() & value.keys():
        yield from unanswered(known[name].annotation, value[name], name)


def _is_model(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, BaseModel)


def _fits(model: type[BaseModel], value: dict[str, Any]) -> bool:
    """Whether the constants of a model are those of the value."""
    for name in ("type", "name"):
        if (found := constants(model, name)) and value.get(name) not in found:
            return False
    return True
