"""Processes that are to run, and what a supervisor of services does about them.

Whoever ends is started again after a moment, as systemd would, whether it was killed or not.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from agentstead.chaos import processes
from agentstead.chaos.proxy import Way
from agentstead.clock import Clock
from agentstead.errors import Misconfigured

TICK_SECONDS = 0.1
RESTART_SECONDS = 0.3
START_SECONDS = 90.0
STOP_SECONDS = 20.0
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
TAIL_CHARACTERS = 400


@dataclass
class Unit:
    """A process that is to run."""

    name: str
    arguments: tuple[str, ...]
    way: Way | None = None
    """Its way to the database; None: it holds the database itself."""
    process: subprocess.Popen[bytes] | None = None
    killed: bool = False
    """Whether it was us who ended it."""
    ended_at: float | None = None
    starts: int = 0

    @property
    def pid(self) -> int:
        """Its process id; 0 when it does not run."""
        return self.process.pid if self.process and self.process.poll() is None else 0


class Units:
    """All processes of a platform."""

    def __init__(self, logs: Path, settings: Mapping[str, str], clock: Clock) -> None:
        self.logs = logs
        self.env = {"PATH": PATH, "LC_ALL": "C.UTF-8", **settings}
        self.clock = clock
        self.all: dict[str, Unit] = {}
        self.surprises: list[str] = []
        """Those that ended, or did not end, against our will."""
        self.held = False
        """Nobody is started while this is set."""
        self._keeper: asyncio.Task[None] | None = None

    def add(self, name: str, *arguments: str, way: Way | None = None) -> Unit:
        """Start one, for as long as the run lasts."""
        unit = self.all[name] = Unit(name, (sys.executable, "-m", "agentstead", *arguments), way)
        self._start(unit)
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep(), name="keeper")
        return unit

    def named(self, kind: str) -> list[Unit]:
        """Those of a kind that run: `serve`, `worker`."""
        return [unit for unit in self.all.values() if unit.name.startswith(kind) and unit.pid]

    def kill(self, unit: Unit) -> None:
        """SIGKILL."""
        unit.killed = True
        processes.send(unit.pid, signal.SIGKILL)

    def kill_everything(self) -> int:
        """SIGKILL these processes and all that ever descended from them; how many there were."""
        for unit in self.all.values():
            unit.killed = True
        return processes.kill_below(os.getpid())

    def log(self, unit: Unit) -> Path:
        """What its latest process says."""
        return self.logs / f"{unit.name}.{unit.starts}.log"

    def ready(self, unit: Unit) -> bool:
        """Whether its process runs and has said that it is ready."""
        return bool(unit.pid) and "is ready" in self.log(unit).read_text(errors="replace")

    def counted(self, words: str) -> int:
        """How often this is said in all logs of workers."""
        files = self.logs.glob("worker-*.log")
        return sum(file.read_text(errors="replace").count(words) for file in files)

    async def until(self, done: Callable[[], bool], what: str) -> None:
        """Wait for something of the start."""
        until = self.clock.monotonic() + START_SECONDS
        while not done():
            if self.clock.monotonic() > until:
                raise Misconfigured(
                    f"{what} did not come within {START_SECONDS:g} s.\nSee the logs in {self.logs}."
                )
            await self.clock.sleep(TICK_SECONDS)

    async def stop(self) -> None:
        """Stop all in good order, the first one last; then whatever is left, by force."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        await asyncio.to_thread(self._stop)

    def _stop(self) -> None:
        for unit in reversed(self.all.values()):
            if unit.process is None or not unit.pid:
                continue
            processes.send(unit.pid, signal.SIGCONT)
            processes.send(unit.pid, signal.SIGTERM)
            try:
                unit.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.surprises.append(f"{unit.name} did not stop within {STOP_SECONDS:g} s")
        processes.kill_below(os.getpid())
        for unit in self.all.values():
            if unit.process is not None:
                unit.process.wait(STOP_SECONDS)
        processes.collect(())

    def _start(self, unit: Unit) -> None:
        unit.starts += 1
        unit.killed, unit.ended_at = False, None
        with self.log(unit).open("ab") as log:
            unit.process = subprocess.Popen(
                unit.arguments, env=self.env, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    async def _keep(self) -> None:
        """Start again whoever has ended, and collect the dead."""
        while True:
            await self.clock.sleep(TICK_SECONDS)
            for unit in self.all.values():
                if not unit.pid:
                    self._mind(unit)
            waited = {unit.process.pid for unit in self.all.values() if unit.process is not None}
            await asyncio.to_thread(processes.collect, waited)

    def _mind(self, unit: Unit) -> None:
        """One that does not run."""
        now = self.clock.monotonic()
        if unit.ended_at is None:
            unit.ended_at = now
            if not unit.killed:
                self.surprises.append(f"{unit.name} ended: {self.last_words(unit)}")
        elif now - unit.ended_at >= RESTART_SECONDS and not self.held:
            self._start(unit)

    def last_words(self, unit: Unit) -> str:
        """The end of its log."""
        lines = self.log(unit).read_text(errors="replace").splitlines()
        return " / ".join(lines[-3:])[-TAIL_CHARACTERS:]
