"""The platform under test: servers, workers and a database on one data directory, all real processes.

The first server holds the embedded database; every other process reaches it by a way of its own that
can be broken. A third of what there is to see lies on the disk: sandboxes, and what was left in them.
"""

import secrets
import socket
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from agentstead.chaos import processes
from agentstead.chaos.jobs import LEDGER
from agentstead.chaos.proxy import HOST, Way
from agentstead.chaos.units import Units
from agentstead.clock import Clock

DATABASE_SOCKET = ".s.PGSQL.5432"


class Place:
    """A data directory and the processes on it."""

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        *,
        workers: int,
        servers: int,
        settings: Mapping[str, str],
    ) -> None:
        self.data_dir = folder / "data"
        self.key = secrets.token_urlsafe(24)
        self.ports = [free_port() for _ in range(servers)]
        self.workers = workers
        self.clock = clock
        logs = folder / "logs"
        logs.mkdir(exist_ok=True)
        self.units = Units(logs, {"AGENTSTEAD_API_KEY": self.key, **settings}, clock)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start everything and wait until it is ready."""
        processes.become_subreaper()
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop everything."""
        await self._stop()

    async def _start(self) -> None:
        units, data_dir = self.units, ("--data-dir", str(self.data_dir))
        serve = [("serve", "--workers", "0", "--port", str(port)) for port in self.ports]
        first = units.add("serve-1", *serve[0], *data_dir)
        await units.until(lambda: units.ready(first), "The first server")
        for number, arguments in enumerate(serve[1:], 2):
            url, way = await self._way()
            units.add(f"serve-{number}", *arguments, "--database-url", url, *data_dir, way=way)
        for number in range(1, self.workers + 1):
            url, way = await self._way()
            units.add(f"worker-{number}", "worker", "--database-url", url, *data_dir, way=way)
        await units.until(lambda: all(map(units.ready, units.all.values())), "The start")

    async def _stop(self) -> None:
        await self.units.stop()
        await self._stack.aclose()

    async def _way(self) -> tuple[str, Way]:
        """A new way to the database, and its URL."""
        folder = (self.data_dir / "postgres.socket").read_text().strip()
        way = await self._stack.enter_async_context(Way(Path(folder) / DATABASE_SOCKET))
        password = (self.data_dir / "postgres.password").read_text().strip()
        user = f"agentstead:{password}@{HOST}:{way.port}"
        return f"postgresql://{user}/postgres?sslmode=disable", way

    @property
    def urls(self) -> list[str]:
        """Where the servers answer."""
        return [f"http://127.0.0.1:{port}" for port in self.ports]

    def database(self) -> int:
        """The process id of the database's server; 0 when none lives."""
        return first_number(self.data_dir / "postgres" / "postmaster.pid")

    def supervisor(self, session_id: str) -> int:
        """The process id of the supervisor of a session's sandbox; 0 when none lives."""
        return first_number(self._sandbox(session_id) / "lock")

    def ledger(self, session_id: str) -> Counter[str]:
        """What calls have left in the session's workspace: token → how often."""
        try:
            text = (self._sandbox(session_id) / "files" / "workspace" / LEDGER).read_text()
        except FileNotFoundError:
            return Counter()
        return Counter(text.split())

    def _sandbox(self, session_id: str) -> Path:
        return self.data_dir / "sandboxes" / session_id


def first_number(file: Path) -> int:
    """The process id that a file begins with; 0 when that process does not live."""
    try:
        pid = int(file.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 0
    return pid if processes.alive(pid) else 0


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
