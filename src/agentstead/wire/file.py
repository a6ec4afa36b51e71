"""Files: what their names and types may be, and how one is answered.

Promises: a stored name is one plain component of a path; a type is the one that was declared, else
found by the name's ending, else by the first bytes; the same upload always gets the same type.
"""

import mimetypes
import re
from collections.abc import Mapping
from typing import Any

from agentstead.errors import Invalid

NAME_MAX = 255
FORBIDDEN = re.compile(r'[<>:"|?*\\/\x00-\x1f\x7f]')
UNNAMED = "unnamed"
UNKNOWN = "application/octet-stream"
MIME_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")
HEAD_BYTES = 512
"""So many of the first bytes of a file tell its type."""
IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")
TEXTS = (
    "application/json", "application/jsonl", "application/javascript", "application/toml",
    "application/xml", "application/yaml", "application/x-ipynb+json", "application/x-sh",
)  # fmt: skip
"""Types that are text, whatever they are called."""
EXPIRES_MIN, EXPIRES_MAX = 3_600, 7_776_000
"""Seconds after which a file may expire."""

TYPES = mimetypes.MimeTypes(filenames=())
"""Python's own table: what a host has installed must not decide."""
for ending, kind in {
    ".ipynb": "application/x-ipynb+json",
    ".jsonl": "application/jsonl",
    ".log": "text/plain",
    ".md": "text/markdown",
    ".parquet": "application/vnd.apache.parquet",
    ".toml": "application/toml",
    ".ts": "text/plain",
    ".webp": "image/webp",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}.items():
    TYPES.add_type(kind, ending)

MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
    (b"PK\x03\x04", "application/zip"),
    (b"\x1f\x8b", "application/gzip"),
)


def file_name(sent: str | None, field: str = "file") -> str | None:
    """The last component of a name as it was sent, None when it has none; Invalid names `field`."""
    name = (sent or "").rpartition("/")[2]
    if not name:
        return None
    if len(name) > NAME_MAX:
        raise Invalid(f"{field}: A file's name has at most {NAME_MAX} characters.")
    if FORBIDDEN.search(name):
        raise Invalid(
            f"{field}: A file's name must not contain < > : \" | ? * \\ or control characters."
        )
    if name in (".", ".."):
        raise Invalid(f'{field}: "{name}" is not the name of a file.')
    return name


def mime_type(declared: str | None, name: str | None, head: bytes) -> str:
    """The type of a file; `declared` as in a Content-Type, `head` its first bytes."""
    found = (declared or "").partition(";")[0].strip().lower()
    if found != UNKNOWN and MIME_TYPE.fullmatch(found):
        return found
    guessed, encoding = TYPES.guess_type(name) if name else (None, None)
    if encoding is not None:  # .tar.gz is no tar
        return f"application/{encoding}"
    return guessed or sniffed(head)


def sniffed(head: bytes) -> str:
    """The type that the first bytes tell."""
    for mark, found in MAGIC:
        if head.startswith(mark):
            return found
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return "text/plain" if is_text(head) else UNKNOWN


def is_text(head: bytes) -> bool:
    """Whether it begins as UTF-8 text does; the last character may be cut."""
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        if len(head) < HEAD_BYTES or error.start < len(head) - 3:
            return False
        text = head[: error.start].decode()
    return bool(text) and not re.search(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]", text)


def shown_as(found: str) -> str | None:
    """How a model takes a file of this type: image, pdf, text; None: not at all."""
    if found in IMAGES:
        return "image"
    if found == "application/pdf":
        return "pdf"
    return "text" if found.startswith("text/") or found in TEXTS else None


def unnamed(found: str) -> str:
    """The name of a file that came without one."""
    return UNNAMED + (TYPES.guess_extension(found) or "" if found != UNKNOWN else "")


def expiry(sent: str) -> int:
    """`expires_in_seconds` of a form; Invalid."""
    text = sent.strip()
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else 0
    if EXPIRES_MIN <= number <= EXPIRES_MAX:
        return number
    raise Invalid(
        f"expires_in_seconds: Expected a whole number from {EXPIRES_MIN} to {EXPIRES_MAX}."
    )


def answer(row: Mapping[str, Any], *, legacy: bool = False) -> dict[str, Any]:
    """The wire's FileMetadata of a row; `legacy`: as the first beta of the API knew it."""
    scope = row["session_id"]
    found = {
        "id": row["id"],
        "type": "file",
        "filename": row["filename"],
        "mime_type": row["mime_type"],
        "size_bytes": row["size_bytes"],
        "created_at": row["created_at"],
        "downloadable": row["downloadable"],
        "expires_at": row["expires_at"],
        "scope": None if scope is None else {"type": "session", "id": scope},
    }
    if legacy:
        del found["expires_at"]
    return found
