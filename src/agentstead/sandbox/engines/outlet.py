"""The way out of one sandbox on an engine, from the worker's side: connections come over the line, and go
through the same filtering proxy as everywhere, a process of this machine that is nobody's but theirs.

The proxy listens in a folder that only this user can enter. It is started when somebody inside connects, ends
when it has nothing to do, and with us. What it decides goes where every proxy's decisions go.
"""

import asyncio
import base64
import json
import os
import shutil
import signal
import socket
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from agentstead.sandbox.engines.line import Line, LineBroken
from agentstead.sandbox.guest.outlet import PIECE_BYTES, WINDOW_BYTES
from agentstead.sandbox.supervisor import limits
from agentstead.sandbox.supervisor.gate import spawn
from agentstead.sandbox.supervisor.spool import Spool

NOBODY = 65534
"""Who the proxy is where we are root."""
BACKLOG = 64
BOUNDS = {"memory_bytes": 256 << 20, "processes_max": 64, "cpus": 1.0}
"""What the proxy may use of this machine, where it can be held to it."""


class Way:
    """One connection from inside."""

    def __init__(self) -> None:
        self.incoming: asyncio.Queue[bytes] = asyncio.Queue()
        """What came from inside; empty bytes at its end. At most a window of it."""
        self.credit = WINDOW_BYTES
        self.credited = asyncio.Event()
        self.credited.set()


class Outlet:
    """All connections of one sandbox."""

    def __init__(self, config: dict[str, Any], spool: Spool, sandbox_id: str) -> None:
        self.call_id = ""
        """The call that the network is used for, as far as one can tell."""
        self._config = config
        self._spool = spool
        self._line: Line | None = None
        self._ways: dict[int, tuple[Way, asyncio.Task[None]]] = {}
        self._folder = Path(tempfile.mkdtemp(prefix="agentstead-egress-"))
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._folder / "s"))
        self._listener.listen(BACKLOG)
        self._listener.setblocking(False)
        self._group = f"egress-{sandbox_id}-{os.getpid()}-{id(self):x}"
        self._pid = 0
        self._hearing: asyncio.Task[None] | None = None
        self._used, self._began = 0, 0.0

    async def open(self, line: Line) -> bool:
        """Take connections that come over this line; False when the proxy's place inside is taken."""
        self._line = line
        line.network = self.heard
        return "error" not in await line.ask("listen")

    def heard(self, message: dict[str, Any]) -> None:
        """What the relay says of one connection."""
        number = message["net"]
        if "opened" in message:
            way = Way()
            self._ways[number] = (way, asyncio.create_task(self._carry(number, way)))
            return
        way_and_task = self._ways.get(number)
        if way_and_task is None:
            return
        way, task = way_and_task
        if "data" in message:
            way.incoming.put_nowait(base64.b64decode(message["data"]))
        elif "taken" in message:
            way.credit += message["taken"]
            way.credited.set()
        elif "end" in message:
            way.incoming.put_nowait(b"")
        else:
            task.cancel()

    async def close(self) -> None:
        """Cut everybody off and end the proxy."""
        tasks = [task for _, task in self._ways.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._pid:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
        if self._hearing is not None:
            await asyncio.gather(self._hearing, return_exceptions=True)
        self._listener.close()
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def _carry(self, number: int, way: Way) -> None:
        """Both directions of one connection, until both have ended or one is cut."""
        writer: asyncio.StreamWriter | None = None
        try:
            self._start()
            reader, writer = await asyncio.open_unix_connection(str(self._folder / "s"))
            await asyncio.gather(self._up(number, way, writer), self._down(number, way, reader))
        except (OSError, LineBroken):
            pass
        finally:
            self._ways.pop(number, None)
            if writer is not None:
                writer.transport.abort()
            with suppress(LineBroken):
                await self._say({"net": number, "gone": True})

    async def _up(self, number: int, way: Way, writer: asyncio.StreamWriter) -> None:
        while data := await way.incoming.get():
            writer.write(data)
            await writer.drain()
            await self._say({"net": number, "taken": len(data)})
        writer.write_eof()

    async def _down(self, number: int, way: Way, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(PIECE_BYTES):
            while way.credit <= 0:
                way.credited.clear()
                await way.credited.wait()
            way.credit -= len(data)
            await self._say({"net": number, "data": base64.b64encode(data).decode()})
        await self._say({"net": number, "end": True})

    async def _say(self, message: dict[str, Any]) -> None:
        assert self._line is not None
        await self._line.tell(message)

    # --- the proxy

    def _start(self) -> None:
        """Start the proxy unless it runs."""
        if self._pid:
            return
        ours, theirs = socket.socketpair()
        given = {
            **self._config,
            "uid": NOBODY,
            "parent": os.getpid(),
            "used": self._used,
            "began": self._began,
        }
        config = os.memfd_create("config", os.MFD_CLOEXEC)
        try:
            os.write(config, json.dumps(given).encode())
            os.lseek(config, 0, os.SEEK_SET)
            handed = {0: config, 3: self._listener.fileno(), 4: theirs.fileno()}
            self._pid = spawn(handed, self._config["libraries"])
        finally:
            os.close(config)
            theirs.close()
        ours.setblocking(False)
        control = limits.control(self._group, BOUNDS)
        try:
            control.add(self._pid)
        except OSError:
            os.kill(self._pid, signal.SIGKILL)  # unlimited it must not run
        self._hearing = asyncio.create_task(self._hear(ours, self._pid, control), name="egress")

    async def _hear(self, channel: socket.socket, pid: int, control: limits.Control) -> None:
        """Write down what the proxy decides, until it ends."""
        reader, writer = await asyncio.open_unix_connection(sock=channel)
        try:
            while line := await reader.readline():
                self._take(line)
        except (ValueError, OSError):
            pass  # it speaks nonsense, or is gone
        finally:
            writer.transport.abort()
            self._spool.write()
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            await asyncio.to_thread(os.waitpid, pid, 0)
            await asyncio.to_thread(control.remove)
            self._pid = 0

    def _take(self, line: bytes) -> None:
        record = json.loads(line)
        if "sent" in record:
            moved = int(record["sent"]) + int(record["received"])
            same = float(record["began"]) == self._began
            self._began = float(record["began"])
            self._used = self._used + moved if same else moved
        self._spool.add(record, self.call_id)
        self._spool.write()
