"""The base of all answers, and what they are made of."""

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, WithJsonSchema

T = TypeVar("T")


def _open(schema: dict[str, Any]) -> None:
    """Clients must live with fields that they do not know."""
    schema.pop("additionalProperties", None)


class Answer(BaseModel):
    """An object as it is answered: every field is there, nullable ones as null."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra=_open, defer_build=True
    )


Time = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
"""RFC 3339, in UTC."""

Bag = dict[str, str]
"""Metadata."""


class Page(Answer, Generic[T]):
    """A page of a list."""

    data: list[T]
    next_page: str | None
    """The cursor of the next page; null on the last."""


class PageBothWays(Page[T], Generic[T]):
    """A page of a list that can be read backwards."""

    prev_page: str | None


class Deleted(Answer):
    """What is left of something that was deleted."""

    id: str
    type: Literal[
        "environment_deleted",
        "file_deleted",
        "session_deleted",
        "session_resource_deleted",
        "skill_deleted",
        "skill_version_deleted",
        "vault_credential_deleted",
        "vault_deleted",
    ]
