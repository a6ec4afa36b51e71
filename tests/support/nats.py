"""A real NATS server with JetStream, for tests of what runs over it."""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

READY_SECONDS = 10.0


class NatsServer:
    """A server on a port of its own, which can be killed and started again."""

    def __init__(self, program: str, folder: Path) -> None:
        self.program = program
        self.folder = folder
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"nats://127.0.0.1:{self.port}"

    def start(self, *, jetstream: bool = True) -> None:
        """Start it and wait until it takes connections."""
        options = ["-js", "-sd", str(self.folder)] if jetstream else []
        self.process = subprocess.Popen(
            [self.program, "-a", "127.0.0.1", "-p", str(self.port), *options],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until = time.monotonic() + READY_SECONDS
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            assert time.monotonic() < until, "the NATS server does not start"
            time.sleep(0.02)

    def kill(self) -> None:
        """End it at once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def nats_server(*, jetstream: bool = True) -> Iterator[NatsServer]:
    """A server, and nothing of it left behind."""
    program = shutil.which("nats-server", path="/usr/local/bin:/usr/bin:/usr/sbin")
    if program is None:
        pytest.skip("needs nats-server (Debian's package of that name)")
    folder = Path(tempfile.mkdtemp(prefix="agentstead-test-"))
    server = NatsServer(program, folder)
    try:
        server.start(jetstream=jetstream)
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def nats_url() -> Iterator[str]:
    """The run's server."""
    with nats_server() as server:
        yield server.url
