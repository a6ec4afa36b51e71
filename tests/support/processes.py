"""The platform as real processes: commands, `serve`, workers beside it, and an end that leaves nothing.

Each process is started with a clean environment and ended by its own pid.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import anthropic
import httpx2

from tests.support import prepared
from tests.support.places import memory_dir, temporary_dir

COMMAND = (sys.executable, "-m", "agentstead")
READY_SECONDS = 30.0
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
        self.words = " ".join(arguments)
        self.out: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  closed with the process
        self.err: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self.process = subprocess.Popen(
            [*COMMAND, *arguments], env=environment(**extra), stdin=subprocess.DEVNULL,
            stdout=self.out, stderr=self.err,
        )  # fmt: skip

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    @property
    def said(self) -> tuple[str, str]:
        """What it has said so far, and what it has complained of."""
        return read(self.out), read(self.err)

    @property
    def ready(self) -> bool:
        """Whether a worker has said that it is ready."""
        return "is ready" in self.said[0]

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        """Signal it; its exit code and what it said."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return (self.process.wait(STOP_SECONDS), *self.said)

    def kill(self) -> None:
        """SIGKILL, now."""
        self.process.kill()
        self.process.wait(STOP_SECONDS)

    def close(self) -> None:
        """End it whatever it does."""
        try:
            self.stop()
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.words} did not stop: {self.said}") from None
        finally:
            self.out.close()
            self.err.close()


def read(file: IO[bytes]) -> str:
    """All that is in it; where its writer stands does not move."""
    size = os.fstat(file.fileno()).st_size
    return os.pread(file.fileno(), size, 0).decode(errors="replace")


class Platform:
    """A data directory and whatever runs on it."""

    def __init__(self, data_dir: Path, settings: Mapping[str, str] | None = None) -> None:
        self.data_dir = data_dir
        self.settings = dict(settings or {})
        self.running: list[Running] = []
        self.server: Running | None = None

    def start(self, *arguments: str, **extra: str) -> Running:
        """Start a command on it."""
        given = {**self.settings, **extra}
        process = Running(*arguments, "--data-dir", str(self.data_dir), **given)
        self.running.append(process)
        return process

    def serve(self, *arguments: str, **extra: str) -> Running:
        """Start a server on a free port and wait until it answers."""
        self.server = self.start("serve", "--port", "0", *arguments, **extra)
        eventually(self.answers, "the server's readiness")
        return self.server

    def answers(self) -> bool:
        """Whether the server answers."""
        if self.server.process.poll() is not None:
            raise AssertionError(f"serve ended: {self.server.said}")
        try:
            said = json.loads((self.data_dir / "serve.json").read_text())
        except OSError:
            return False
        return bool(said["pid"] == self.server.pid)

    def worker(self, *arguments: str) -> Running:
        """Start one more worker. It is ready a moment later."""
        return self.start("worker", *arguments)

    @property
    def url(self) -> str:
        """Where it answers."""
        return str(json.loads((self.data_dir / "serve.json").read_text())["url"])

    @property
    def key(self) -> str:
        """The key of its first start."""
        return (self.data_dir / "local-key").read_text().strip()

    def http(self, key: str | None = None) -> httpx2.Client:
        """Plain HTTP with a key."""
        headers = {"authorization": f"Bearer {key or self.key}"}
        return httpx2.Client(base_url=self.url, headers=headers, timeout=10, trust_env=False)

    def client(self) -> anthropic.Anthropic:
        """The official SDK, pointed here."""
        return anthropic.Anthropic(base_url=self.url, api_key=self.key, max_retries=0)

    def postgres(self) -> int | None:
        """The process id of its database server, while it lives."""
        try:
            pid = int((self.data_dir / "postgres" / "postmaster.pid").read_text().split()[0])
        except OSError:
            return None
        return pid if alive(pid) else None

    def delete_sessions(self) -> None:
        """End all sandboxes, by deleting the sessions they belong to; the server stops tidily."""
        answers = self.server is not None and self.server.process.poll() is None
        if answers and (self.data_dir / "local-key").exists():
            client = self.client()
            for session in client.beta.sessions.list(limit=100):
                client.beta.sessions.delete(session.id)

    def show(self) -> None:
        """The last lines of every process, for whoever reads a failure."""
        for process in self.running:
            lines = "\n".join(text for text in process.said if text).splitlines()[-40:]
            print(f"--- {process.words}", *lines, sep="\n")

    def end(self) -> None:
        """End all that runs, servers last, the database too."""
        with contextlib.ExitStack() as stack:
            stack.callback(self.end_postgres)
            for process in sorted(self.running, key=lambda one: not one.words.startswith("serve")):
                stack.callback(process.close)

    def end_postgres(self) -> None:
        """End the database, where a killed server left it."""
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
def platform_in(data_dir: Path, settings: Mapping[str, str] | None = None) -> Iterator[Platform]:
    """A platform on a data directory; whatever a test starts on it is ended."""
    platform = Platform(data_dir, settings)
    try:
        yield platform
        platform.delete_sessions()
    except BaseException:
        platform.show()
        raise
    finally:
        platform.end()


@contextmanager
def quick_platform(**settings: str) -> Iterator[Platform]:
    """A platform in memory, on a database that is set up and migrated; `settings` as below."""
    with memory_dir() as folder:
        prepared.prepare(folder / "data")
        with platform_in(folder / "data", variables(settings)) as platform:
            yield platform


@contextmanager
def platform(**settings: str) -> Iterator[Platform]:
    """A new platform on the disk; `settings` are AGENTSTEAD_… variables without the prefix."""
    folder = temporary_dir()
    try:
        with platform_in(folder / "data", variables(settings)) as platform:
            yield platform
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def variables(settings: Mapping[str, str]) -> dict[str, str]:
    """As environment variables."""
    return {f"AGENTSTEAD_{name.upper()}": value for name, value in settings.items()}
