"""A package index on the loopback that has one package for pip and one for npm, and sandboxes that use it."""

import asyncio
import base64
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import threading
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from agentstead.clock import SystemClock
from agentstead.sandbox.bubblewrap import Bubblewrap
from agentstead.sandbox.managers import SYSTEM_PATH
from agentstead.sandbox.network import Egress
from agentstead.sandbox.packages.building import Packages
from agentstead.sandbox.packages.layers import FOLDER, Layers
from agentstead.sandbox.packages.workshop import Bounds, Workshop
from agentstead.sandbox.sandbox import Limits
from agentstead.telemetry.metrics import Metrics
from tests.support.sandboxes import real_sandboxes

HOST = "packages.test"
WHEEL = "it-1.0-py3-none-any.whl"
PIP: Any = {"packages": {"type": "packages", "pip": ["it==1.0"]}}
ALIKE: Any = {"packages": {"type": "packages", "pip": ["it"]}}
BOTH: Any = {"packages": {"type": "packages", "npm": ["@here/it@1.0.0"], "pip": ["it"]}}
BROKEN: Any = {"packages": {"type": "packages", "pip": ["nowhere"]}}


def wheel() -> bytes:
    """A module `it` and a command `it-runs`."""
    about = "it-1.0.dist-info"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("it.py", "VALUE = 42\n\ndef main():\n    print('it runs', VALUE)\n")
        archive.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: it\nVersion: 1.0\n")
        tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        archive.writestr(f"{about}/WHEEL", tags)
        archive.writestr(f"{about}/entry_points.txt", "[console_scripts]\nit-runs = it:main\n")
        archive.writestr(f"{about}/RECORD", "")
    return file.getvalue()


def tarball() -> bytes:
    """A package `@here/it` with a command `it-node`."""
    files = {
        "package.json": json.dumps(
            {"name": "@here/it", "version": "1.0.0", "main": "it.js", "bin": {"it-node": "run.js"}}
        ),
        "it.js": "module.exports = 43;\n",
        "run.js": "#!/usr/bin/env node\nconsole.log('it runs', require('./it.js'));\n",
    }
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(f"package/{name}")
            info.size, info.mode = len(text), 0o755 if name == "run.js" else 0o644
            archive.addfile(info, io.BytesIO(text.encode()))
    return file.getvalue()


@dataclass
class Index:
    """The index, and what was asked of it."""

    port: int = 0
    asked: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    open: threading.Event = field(default_factory=threading.Event)
    """Cleared, nobody gets a wheel until it is set."""

    @property
    def url(self) -> str:
        """As sandboxes know it."""
        return f"http://{HOST}:{self.port}"

    @property
    def env(self) -> dict[str, str]:
        """Variables of sandboxes."""
        return {
            "PIP_INDEX_URL": f"{self.url}/simple",
            "PIP_TRUSTED_HOST": HOST,
            "NPM_CONFIG_REGISTRY": self.url,
        }

    @property
    def egress(self) -> Egress:
        """The operator's openings."""
        return Egress(openings=(f"127.0.0.1:{self.port}",), names={HOST: "127.0.0.1"})

    @property
    def downloads(self) -> int:
        """How often the wheel was fetched."""
        return self.asked.count(f"/files/{WHEEL}")


@contextmanager
def package_index() -> Iterator[Index]:
    """An index that runs."""
    index = Index()
    index.open.set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            index.asked.append(self.path)
            if self.path.endswith(WHEEL):
                index.open.wait(20)
            body = index.files.get(self.path)
            self.send_response(404 if body is None else 200)
            kind = "text/html" if self.path.startswith("/simple") else "application/octet-stream"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            pass  # a build that was killed hung up

    server = Server(("127.0.0.1", 0), Handler)
    index.port = server.server_address[1]
    packed = tarball()
    digest = base64.b64encode(hashlib.sha512(packed).digest()).decode()
    about = {
        "name": "@here/it",
        "version": "1.0.0",
        "bin": {"it-node": "run.js"},
        "dist": {"tarball": f"{index.url}/files/it.tgz", "integrity": f"sha512-{digest}"},
    }
    listing = {"name": "@here/it", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": about}}
    index.files = {
        "/simple/it/": f'<a href="/files/{WHEEL}">{WHEEL}</a>'.encode(),
        f"/files/{WHEEL}": wheel(),
        "/@here%2fit": json.dumps(listing).encode(),
        "/files/it.tgz": packed,
    }
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield index
    finally:
        index.open.set()
        server.shutdown()
        server.server_close()
        thread.join()


@cache
def pip() -> bool:
    """Whether the Python of sandboxes has it."""
    program = shutil.which("python3", path=SYSTEM_PATH)
    words = [str(program), "-I", "-c", "import pip"]
    return program is not None and subprocess.run(words, check=False).returncode == 0


def temporary() -> Path:
    """A data directory, through which the users of sandboxes may pass."""
    data_dir = Path(tempfile.mkdtemp(prefix="agentstead-test-"))
    if os.geteuid() == 0:
        data_dir.chmod(0o711)
    return data_dir


@dataclass
class Packaged:
    """Sandboxes and the packages in them."""

    hands: Bubblewrap
    packages: Packages
    data_dir: Path
    metrics: Metrics


def packages_of(hands: Bubblewrap, data_dir: Path, **bounds: Any) -> Packages:
    """What installs for these sandboxes; several of them are like several processes."""
    workshop = Workshop(hands, Bounds(**bounds), Limits(), hands.clock)
    return Packages(Layers(data_dir / FOLDER), workshop, hands.clock, Metrics())


async def layer_of(packages: Packages, config: Any, **more: Any) -> str:
    """The folder with what an environment without an image lists."""
    return (await packages.prepared({"config": config}, **more)).packages


@asynccontextmanager
async def packaged(index: Index, **bounds: Any) -> AsyncIterator[Packaged]:
    """Real sandboxes that reach the index; at the end nothing of a build is left."""
    if not pip():
        pytest.skip("needs pip of the system's Python (python3-pip)")
    data_dir = temporary()
    try:
        async with real_sandboxes(egress=index.egress, env=index.env) as hands:
            packages = packages_of(hands, data_dir, **bounds)
            try:
                yield Packaged(hands, packages, data_dir, packages.metrics)
            finally:
                index.open.set()
                await packages.close()
    finally:
        shutil.rmtree(data_dir)


async def main(root: str, data_dir: str, port: str) -> None:
    """A process of its own that builds two layers, for tests that kill it."""
    index = Index(int(port))
    hands = Bubblewrap(Path(root), clock=SystemClock(), egress=index.egress, env=index.env)
    packages = packages_of(hands, Path(data_dir))
    await asyncio.gather(layer_of(packages, PIP), layer_of(packages, ALIKE))
