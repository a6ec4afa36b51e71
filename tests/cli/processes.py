"""Commands as processes, for tests: started with a clean environment, ended by their own pid."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

COMMAND = [sys.executable, "-m", "agentstead"]
READY_SECONDS = 20.0
STOP_SECONDS = 20.0
DROPPED = ("AGENTSTEAD_", "ANTHROPIC_", "OPENAI_", "PYTHONOPTIMIZE")


def environment(**extra: str) -> dict[str, str]:
    """Ours without what would configure a platform."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(DROPPED)}
    return kept | extra


def run(*arguments: str, seconds: float = 25.0, **extra: str) -> subprocess.CompletedProcess[str]:
    """A command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments], env=environment(**extra), capture_output=True, text=True,
        timeout=seconds, check=False,
    )  # fmt: skip


def eventually(ready: Callable[[], Any], what: str, seconds: float = READY_SECONDS) -> Any:
    """The first true answer."""
    until = time.monotonic() + seconds
    while True:
        if found := ready():
            return found
        assert time.monotonic() < until, f"{what} did not happen within {seconds:g} s"
        time.sleep(0.02)


class Running:
    """A command that goes on."""

    def __init__(self, *arguments: str, **extra: str) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *arguments], env=environment(**extra), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        """Signal it; its exit code and what it said."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        out, err = self.process.communicate(timeout=STOP_SECONDS)
        return self.process.returncode, out, err

    def kill(self) -> None:
        """End it whatever it does."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


class Platform:
    """A data directory and whatever runs on it."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.running: list[Running] = []

    def start(self, *arguments: str, **extra: str) -> Running:
        """Start a command on it."""
        process = Running(*arguments, "--data-dir", str(self.data_dir), **extra)
        self.running.append(process)
        return process

    def serve(self, *arguments: str, **extra: str) -> Running:
        """Start a server on a free port and wait until it answers."""
        server = self.start("serve", "--port", "0", *arguments, **extra)
        eventually(lambda: self.ready(server), "the server's readiness")
        return server

    def ready(self, server: Running) -> bool:
        """Whether this server answers."""
        if server.process.poll() is not None:
            raise AssertionError(f"serve ended: {server.process.communicate()}")
        try:
            said = json.loads((self.data_dir / "serve.json").read_text())
        except OSError:
            return False
        return bool(said["pid"] == server.process.pid)

    @property
    def url(self) -> str:
        """Where it answers."""
        return str(json.loads((self.data_dir / "serve.json").read_text())["url"])

    @property
    def key(self) -> str:
        """The key of its first start."""
        return (self.data_dir / "local-key").read_text().strip()

    def client(self, key: str | None = None) -> httpx2.Client:
        """The public API."""
        headers = {"authorization": f"Bearer {key or self.key}"}
        return httpx2.Client(base_url=self.url, headers=headers, timeout=10, trust_env=False)

    def postgres(self) -> int | None:
        """The process id of its database server, while it lives."""
        try:
            pid = int((self.data_dir / "postgres" / "postmaster.pid").read_text().split()[0])
        except OSError:
            return None
        return pid if alive(pid) else None

    def end(self) -> None:
        """End all that runs, the database too."""
        for process in reversed(self.running):
            process.kill()
        pid = self.postgres()
        if pid is not None:
            os.kill(pid, signal.SIGINT)
            eventually(lambda: not alive(pid), "the database's end")


def alive(pid: int) -> bool:
    """Whether a process lives (a zombie does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@contextmanager
def platform_in(folder: Path) -> Iterator[Platform]:
    """A platform in a folder, and nothing of it left behind."""
    platform = Platform(folder / "data")
    try:
        yield platform
    finally:
        platform.end()
