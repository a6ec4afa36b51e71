"""Where egress proxies ask for secrets: a socket of this process, private to the platform's user.

A supervisor connects for its sandbox and hands the connection to the sandbox's proxy, which then asks
host by host. So a secret goes from the process that opens it to the one that puts it into a request,
over nothing that keeps it. What is asked may be for that sandbox's session only.
"""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

from agentstead.clock import Clock
from agentstead.errors import StoreFault
from agentstead.sandbox.supervisor.way import FOLDER, SUFFIX
from agentstead.telemetry import logs

QUESTION_BYTES_MAX = 4096
BACKLOG = 128
PAUSE_SECONDS = 1.0
log = logs.get("credentials")


@dataclass(frozen=True, slots=True)
class Secret:
    """A credential for one host, as its proxy needs it."""

    name: str
    placeholder: str
    secret: str = field(repr=False)
    header: bool
    body: bool


@dataclass(frozen=True, slots=True)
class Variable:
    """A credential that a session's sandbox has as a variable."""

    name: str
    credential_id: str
    vault_id: str
    hosts: tuple[str, ...]
    """That it is limited to; none: it is for every host."""


class Secrets(Protocol):
    """Who knows them (`resources.vaults.variables.VaultVariables`)."""

    async def for_host(self, session_id: str, host: str) -> Sequence[Secret]:
        """A session's credentials that are for a host, as they are now. Raises StoreFault."""
        ...


@asynccontextmanager
async def desk(root: Path, secrets: Secrets, name: str, clock: Clock) -> AsyncIterator[None]:
    """Answer the proxies of the sandboxes below `root` for as long as the block runs.

    `name`: of this process, unique among those that ever share the folder.
    """
    folder = root / FOLDER
    listener = await asyncio.to_thread(_listener, folder, name)
    answering = asyncio.create_task(_accept(listener, secrets, clock), name="credentials")
    try:
        yield
    finally:
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)
        listener.close()
        await asyncio.to_thread((folder / f"{name}{SUFFIX}").unlink, missing_ok=True)


async def _accept(listener: socket.socket, secrets: Secrets, clock: Clock) -> None:
    async with asyncio.TaskGroup() as talking:
        while True:
            await _somebody_is_there(listener)
            try:
                connection, _ = listener.accept()
            except BlockingIOError:
                continue  # whoever it was has gone
            except OSError as error:  # no descriptor is free, for example
                log.warning("nobody can ask for credentials", fault=error.strerror)
                await clock.sleep(PAUSE_SECONDS)
            else:
                task = talking.create_task(_talk(connection, secrets))
                # one that is cancelled before it begins has closed nothing
                task.add_done_callback(partial(_hang_up, connection))


async def _somebody_is_there(listener: socket.socket) -> None:
    """Only waits: what the loop accepts itself is lost, open, when the waiting is cancelled then."""
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(listener, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(listener)


def _listener(folder: Path, name: str) -> socket.socket:
    """Listens before it has the name that others look for: what refuses there is dead."""
    folder.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    handle = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # the folder's path may be longer than a socket's address can be
        listener.bind(f"/proc/self/fd/{handle}/{name}.new")
        listener.listen(BACKLOG)
        (folder / f"{name}.new").rename(folder / f"{name}{SUFFIX}")
    except BaseException:
        listener.close()
        raise
    finally:
        os.close(handle)
    listener.setblocking(False)
    return listener


async def _talk(connection: socket.socket, secrets: Secrets) -> None:
    """One proxy's questions, for as long as it asks."""
    reader, writer = await asyncio.open_unix_connection(sock=connection, limit=QUESTION_BYTES_MAX)
    try:
        sandbox_id = str(json.loads(await reader.readline())["sandbox_id"])
        while line := await reader.readline():
            host = str(json.loads(line)["host"])
            found = await _found(secrets, sandbox_id, host)
            if found is None:
                return
            told = {"credentials": [asdict(one) for one in found]}
            writer.write(json.dumps(told).encode() + b"\n")
            await writer.drain()
    except (OSError, ValueError, KeyError, TypeError):
        pass  # whoever asked has gone, or asks nonsense
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


def _hang_up(connection: socket.socket, _: "asyncio.Task[None]") -> None:
    connection.close()


async def _found(secrets: Secrets, sandbox_id: str, host: str) -> Sequence[Secret] | None:
    """None: they cannot be read, which is not the same as none; the log says why."""
    try:
        return await secrets.for_host(sandbox_id, host)
    except StoreFault as fault:
        log.warning("credentials not told", session_id=sandbox_id, host=host, fault=fault.message)
        return None
