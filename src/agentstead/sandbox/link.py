"""A question to a sandbox's supervisor, and its answer."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

from agentstead.sandbox.supervisor.frames import FRAME_BYTES_MAX, LENGTH, pack
from agentstead.sandbox.supervisor.place import SOCKET


async def ask(folder: Path, request: dict[str, Any]) -> dict[str, Any] | None:
    """The answer; None when nobody listens there, nothing in it when they hung up without one."""
    try:
        reader, writer = await _connect(folder)
    except OSError:
        return None
    try:
        writer.write(pack(request))
        await writer.drain()
        (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
        if length > FRAME_BYTES_MAX:
            return {}
        reply: dict[str, Any] = json.loads(await reader.readexactly(length))
        return reply
    except (OSError, asyncio.IncompleteReadError):
        return {}
    finally:
        writer.transport.abort()


async def _connect(folder: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    handle = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # the folder's path may be longer than a socket's address can be
        return await asyncio.open_unix_connection(f"/proc/self/fd/{handle}/{SOCKET}")
    finally:
        os.close(handle)
