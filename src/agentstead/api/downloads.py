"""Bodies sent as files.

Promises: the length is said before the body; a part of it is sent when one range is asked for; the
browser is told to keep it as a file and to believe its type; whoever goes away ends the reading.
"""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")

Read = Callable[[int, int], AsyncIterator[bytes]]
"""The bytes from the first place up to the second."""


@dataclass(frozen=True, slots=True)
class Content:
    """What is sent."""

    name: str
    """Of the file, as it is suggested to whoever keeps it."""
    mime_type: str
    size_bytes: int
    read: Read


class Download(StreamingResponse):
    """A body, or a part of it."""

    def __init__(self, chunks: AsyncIterator[bytes], status: int, headers: Mapping[str, str]):
        super().__init__(chunks, status, headers)
        self.chunks = chunks

    async def __call__(  # type: ignore[explicit-override]
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Send until the end, or until the client goes away."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            if isinstance(self.chunks, AsyncGenerator):
                await self.chunks.aclose()


async def download(content: Content, headers: Mapping[str, str]) -> Download:
    """The response to a request with these headers. What cannot be read raises before it begins."""
    size = content.size_bytes
    start, end, partial = wanted(headers.get("range"), size)
    said = {
        "content-type": content.mime_type,
        "content-length": str(end - start),
        "content-disposition": f"attachment; filename*=UTF-8''{quote(content.name, safe='')}",
        "accept-ranges": "bytes",
        "cache-control": "private, no-cache",
        "x-content-type-options": "nosniff",
        "content-security-policy": "sandbox; default-src 'none'",
    }
    if partial:
        said["content-range"] = f"bytes {start}-{end - 1}/{size}"
    chunks = content.read(start, end)
    first = await anext(chunks, b"")
    return Download(_from(first, chunks), 206 if partial else 200, said)


async def _from(first: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        yield first
        async for chunk in chunks:
            yield chunk
    finally:
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()


def wanted(header: str | None, size: int) -> tuple[int, int, bool]:
    """From where up to where, and whether that is a part; the whole unless one range is asked for."""
    asked = RANGE.fullmatch((header or "").strip())
    if asked is None or not any(asked.groups()):
        return 0, size, False
    first, last = asked.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
    if last and first and int(last) < int(first):
        return 0, size, False
    if start >= end:
        raise HTTPException(416, f"Range: The file has {size} bytes.")
    return start, end, True
