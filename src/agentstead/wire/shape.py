"""The base of every shape on the wire: strict, closed, and honest about what was left out.

Promises: a request with an unknown field or a wrong type is refused with `Invalid`, whose message
begins with the path of the first field at fault; `given()` tells omitted from null; `canonical` is
the one way in which this platform writes JSON.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StringConstraints,
    ValidationError,
)
from pydantic_core import CoreSchema, ErrorDetails, core_schema, from_json

from agentstead.errors import Invalid

ShapeT = TypeVar("ShapeT", bound="Shape")

Json = Mapping[str, Any]
"""A JSON object."""


class Shape(BaseModel):
    """A closed object: unknown fields and wrong types are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    codes: ClassVar[Mapping[str, str]] = {}
    """Field → `error_code` of whatever is wrong with it."""

    def given(self) -> dict[str, Any]:
        """The fields that were sent, null ones included: omitted keeps, null clears."""
        return {name: getattr(self, name) for name in self.model_fields_set}

    def as_sent(self) -> dict[str, Any]:
        """As plain JSON values, without what was not sent."""
        return self.model_dump(mode="json", exclude_unset=True)


def canonical(value: Any) -> str:
    """Compact JSON text of one line; NaN and infinities are a ValueError."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def parse(shape: type[ShapeT], body: bytes) -> ShapeT:
    """A request body as `shape`; Invalid names the first field at fault by its path."""
    try:
        value = from_json(body or b"{}", allow_inf_nan=False)
    except ValueError as error:
        raise Invalid(f"The request body is not valid JSON: {error}.") from None
    return validate(shape, value)


def validate(shape: type[ShapeT], value: Any) -> ShapeT:
    """Parsed JSON as `shape`; Invalid names the first field at fault by its path."""
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        field = str(fault["loc"][0]) if fault["loc"] else ""
        raise Invalid(sentence(fault), code=shape.codes.get(field)) from None


def sentence(fault: ErrorDetails) -> str:
    """One sentence for one fault, the field's path first."""
    path = ".".join(steps(fault))
    if fault["type"] == "value_error":
        said = str(fault["ctx"]["error"])
    elif fault["type"] == "model_type":
        said = "Input should be an object"
    elif fault["type"] in ("too_long", "too_short"):
        said = size(fault)
    else:
        said = (
            fault["msg"]
            .replace("dictionary", "object")
            .replace("String should have", "Should have")
        )
    if not path:
        return said if said.startswith("The request") else f"The request body is wrong: {said}."
    return f"{path}: {said}" if said.endswith((".", "?")) else f"{path}: {said}."


def size(fault: ErrorDetails) -> str:
    """What is wrong with a length."""
    limits = fault["ctx"]
    unit = "characters" if isinstance(fault["input"], str) else "items"
    if fault["type"] == "too_long":
        return f"Should have at most {limits['max_length']} {unit}"
    return f"Should have at least {limits['min_length']} {unit}"


def steps(fault: ErrorDetails) -> Iterator[str]:
    """The path of a fault as it lies in the request: without the tags of our unions."""
    for part in fault["loc"]:
        if not str(part).startswith(MARK) and part != "[key]":
            yield str(part)
    if fault["type"] == UNKNOWN_MEMBER:
        yield fault["ctx"]["field"]


MARK = "\x00"
"""Begins every tag of a union, so that it cannot be taken for a field."""

UNKNOWN_MEMBER = "unknown_member"
"""The fault of a value that is no member of its union."""


@dataclass(frozen=True)
class OneOf:
    """Marks a union of shapes told apart by the constant in `field`."""

    field: str = "type"

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """The union; a fault inside a member is reported without the member's tag."""
        members = {
            get_args(member.model_fields[self.field].annotation)[0]: member
            for member in get_args(source)
        }

        def choose(value: Any) -> str | None:
            found = (
                value.get(self.field)
                if isinstance(value, dict)
                else getattr(value, self.field, None)
            )
            return MARK + found if isinstance(found, str) and found in members else None

        return core_schema.tagged_union_schema(
            {MARK + name: handler.generate_schema(member) for name, member in members.items()},
            choose,
            custom_error_type=UNKNOWN_MEMBER,
            custom_error_context={"field": self.field},
            custom_error_message="Expected one of " + ", ".join(f'"{name}"' for name in members),
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """The union with its discriminator, for generators of clients."""
        found = handler(schema)
        choices: Mapping[str, Any] = schema.get("choices", {})
        # Without a mapping a value would be looked up as the name of a schema, which it is not.
        members = zip(choices, found["oneOf"], strict=True)
        mapping = {name.removeprefix(MARK): member["$ref"] for name, member in members}
        return {**found, "discriminator": {"propertyName": self.field, "mapping": mapping}}


@dataclass(frozen=True)
class Shorthand:
    """Marks a union of a word (first member) and an object (the second), told apart by kind."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """The union; a fault is reported for the member that was meant."""
        word, shape = get_args(source)
        return core_schema.tagged_union_schema(
            {
                MARK + "word": handler.generate_schema(word),
                MARK + "object": handler.generate_schema(shape),
            },
            lambda value: MARK + ("word" if isinstance(value, str) else "object"),
        )


def _plain(text: str) -> str:
    if "\x00" in text:
        raise ValueError("The NUL character is not allowed")
    return text


def printable(text: str) -> str:
    """The text, without control characters; ValueError."""
    if any(ord(char) < 32 or 127 <= ord(char) < 160 for char in text):
        raise ValueError("Control characters are not allowed")
    return text


def _metadata(pairs: dict[str, Any]) -> dict[str, Any]:
    for key in pairs:
        if not 1 <= len(key) <= METADATA_KEY_MAX:
            raise ValueError(f"Keys have 1 to {METADATA_KEY_MAX} characters")
    return pairs


METADATA_PAIRS_MAX = 16
METADATA_KEY_MAX = 64
METADATA_VALUE_MAX = 512

Text = Annotated[str, AfterValidator(_plain)]
"""Any text the database can hold."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=256), AfterValidator(printable)]
Description = Annotated[str, StringConstraints(max_length=2048), AfterValidator(_plain)]
Title = Annotated[str, StringConstraints(max_length=512), AfterValidator(printable)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_.:-]+$")]
"""An identifier as a client may send it; whether the thing exists is another question."""

MetadataKey = Annotated[str, StringConstraints(), AfterValidator(_plain)]
MetadataValue = Annotated[
    str, StringConstraints(max_length=METADATA_VALUE_MAX), AfterValidator(_plain)
]
Metadata = Annotated[dict[MetadataKey, MetadataValue], AfterValidator(_metadata)]
MetadataPatch = Annotated[dict[MetadataKey, MetadataValue | None], AfterValidator(_metadata)]


def patch_metadata(
    stored: Mapping[str, str],
    patch: Mapping[str, str | None] | None,
    *,
    empty_deletes: bool = False,
    code: str | None = None,
) -> dict[str, str]:
    """`stored` after a patch: strings upsert, null deletes, the rest keeps; Invalid when too many."""
    result = dict(stored)
    for key, value in (patch or {}).items():
        if value is None or (empty_deletes and value == ""):
            result.pop(key, None)
        else:
            result[key] = value
    if len(result) > METADATA_PAIRS_MAX:
        raise Invalid(f"metadata: At most {METADATA_PAIRS_MAX} pairs are allowed.", code=code)
    return result
