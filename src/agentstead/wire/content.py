"""Content blocks as clients may send them: text, image, document, search_result, redacted.

Promises: what passes can be sent to a model; what only the platform may write (`redacted`) and what
is not available yet (files) is known by shape, so that the door can say so by name.
"""

import base64
import binascii
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, StringConstraints, model_validator

from agentstead.wire.shape import Id, OneOf, Shape, Text


def _base64(data: str) -> str:
    try:
        found = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("Not valid base64") from None
    if not found:
        raise ValueError("Must not be empty")
    return data


def _web(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError("Not a valid URL") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("Must be an http or https URL")
    return url


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("Must not be blank")
    return text


Base64 = Annotated[str, AfterValidator(_base64)]
Url = Annotated[str, StringConstraints(min_length=1, max_length=2048), AfterValidator(_web)]
Words = Annotated[Text, AfterValidator(_not_blank)]
"""Text with something in it; models refuse blank text."""


class TextBlock(Shape):
    """Text of a tool result; may be empty."""

    type: Literal["text"]
    text: Text


class SaidBlock(Shape):
    """Text of a message; not blank."""

    type: Literal["text"]
    text: Words


class Base64Image(Shape):
    """An image in the request itself."""

    type: Literal["base64"]
    media_type: Literal["image/png", "image/jpeg", "image/gif", "image/webp"]
    data: Base64


class Base64Document(Shape):
    """A document in the request itself."""

    type: Literal["base64"]
    media_type: Literal["application/pdf"]
    data: Base64


class TextDocument(Shape):
    """A document of plain text."""

    type: Literal["text"]
    media_type: Literal["text/plain"]
    data: Words


class UrlSource(Shape):
    """Something to be fetched by the model's provider."""

    type: Literal["url"]
    url: Url


class FileSource(Shape):
    """A file uploaded before."""

    type: Literal["file"]
    file_id: Id


class ImageBlock(Shape):
    """An image."""

    type: Literal["image"]
    source: Annotated[Base64Image | UrlSource | FileSource, OneOf()]


class DocumentBlock(Shape):
    """A document."""

    type: Literal["document"]
    source: Annotated[Base64Document | TextDocument | UrlSource | FileSource, OneOf()]
    title: Text | None = None
    context: Text | None = None


class Citations(Shape):
    """Whether a search result may be cited."""

    enabled: bool


class SearchResultBlock(Shape):
    """A hit of a search, as a tool's result."""

    type: Literal["search_result"]
    title: Text
    source: Text
    content: list[TextBlock]
    citations: Citations


class RedactedBlock(Shape):
    """Content that was withheld; only the platform writes it, so that it is refused here."""

    type: Literal["redacted"]

    @model_validator(mode="after")
    def refused(self) -> "RedactedBlock":
        """Refuse it by its name."""
        raise ValueError("A message cannot hold redacted blocks")


MessageBlock = Annotated[SaidBlock | ImageBlock | DocumentBlock | RedactedBlock, OneOf()]
ResultBlock = Annotated[TextBlock | ImageBlock | DocumentBlock | SearchResultBlock, OneOf()]
