"""The platform as real processes: `serve`, workers beside it, and an end that leaves nothing."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import anthropic

from tests.support.postgres import temporary_dir

COMMAND = (sys.executable, "-m", "agentstead")
START_SECONDS = 30.0
STOP_SECONDS = 15.0


class Platform:
    """`serve` and any number of workers on one data directory; logs of each in a file."""

    def __init__(self, place: Path, settings: Mapping[str, str]) -> None:
        self.place = place
        self.data_dir = place / "data"
        self.settings = dict(settings)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.count = 0

    def spawn(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a process; its output goes to a file."""
        kept = {
            k: v for k, v in os.environ.items() if not k.startswith(("AGENTSTEAD_", "ANTHROPIC_"))
        }
        kept |= {k: v for k, v in os.environ.items() if k == "AGENTSTEAD_TEST_RUN"}
        with (self.place / f"{name}.log").open("ab") as output:
            process = subprocess.Popen(
                [*COMMAND, *arguments, "--data-dir", str(self.data_dir)],
                env=kept | self.settings, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
        self.processes[name] = process
        return process

    def serve(self, *arguments: str, name: str = "serve") -> float:
        """Start the server and wait until it is ready; how long that took, in seconds."""
        began = time.monotonic()
        self.spawn(name, "serve", "--port", "0", *arguments)
        presence = self.data_dir / "serve.json"
        self.wait(name, presence.exists)
        said = json.loads(presence.read_text())
        self.url = str(said["url"])
        self.key = (self.data_dir / "local-key").read_text().strip()
        return time.monotonic() - began

    def worker(self) -> str:
        """Start one more worker; its name. It is ready a moment later."""
        self.count += 1
        name = f"worker-{self.count}"
        self.spawn(name, "worker")
        return name

    def ready(self, name: str) -> bool:
        """Whether a worker has said that it is ready."""
        return b"is ready" in (self.place / f"{name}.log").read_bytes()

    def wait(self, name: str, ready: Callable[[], bool]) -> None:
        """Wait until it is so; a process that ended instead says why."""
        until = time.monotonic() + START_SECONDS
        while not ready():
            if self.processes[name].poll() is not None or time.monotonic() > until:
                raise AssertionError(f"{name} did not start:\n{self.output(name)}")
            time.sleep(0.01)

    def output(self, name: str) -> str:
        """The last lines a process wrote."""
        return "\n".join(
            (self.place / f"{name}.log").read_text(errors="replace").splitlines()[-40:]
        )

    def kill(self, name: str) -> None:
        """SIGKILL, now."""
        process = self.processes.pop(name)
        process.kill()
        process.wait(STOP_SECONDS)

    def stop(self, name: str) -> None:
        """SIGTERM, and wait for an orderly end."""
        process = self.processes.pop(name)
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_SECONDS)
            raise AssertionError(f"{name} did not stop:\n{self.output(name)}") from None

    def client(self) -> anthropic.Anthropic:
        """The official SDK, pointed here."""
        return anthropic.Anthropic(base_url=self.url, api_key=self.key, max_retries=0)


@contextmanager
def platform(**settings: str) -> Iterator[Platform]:
    """A platform in a temporary directory; `settings` are AGENTSTEAD_… variables without the prefix."""
    place = temporary_dir()
    given = {f"AGENTSTEAD_{name.upper()}": value for name, value in settings.items()}
    made = Platform(place, given)
    try:
        yield made
        delete_sessions(made)
    except BaseException:
        for log in sorted(place.glob("*.log")):
            print(f"--- {log.stem}\n{made.output(log.stem)}")
        raise
    finally:
        for name in sorted(made.processes, key=lambda name: name.startswith("serve")):
            made.stop(name)
        shutil.rmtree(place, ignore_errors=True)


def delete_sessions(made: Platform) -> None:
    """End all sandboxes, by deleting the sessions they belong to."""
    client = made.client()
    for session in client.beta.sessions.list(limit=100):
        client.beta.sessions.delete(session.id)
